"""`polyseme distil`: a static run of a run that reads context."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Group, Parameter

from polyseme.cli.options import (
    Count,
    Documents,
    Folder,
    Json,
    Output,
    ReadOn,
    Threads,
    layer_of,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, emit, emit_json, neighbours_command, say, use_command
from polyseme.core.shell import command

EXAMPLE = "polyseme distil runs/mine -o runs/static"
_TEXT = Group("How to read the corpus", sort_key=3)


def run(
    folder: Folder,
    /,
    *,
    output: Output,
    corpus: list[str] | None = None,
    words: str | None = None,
    dimensions: int | None = None,
    remove: int = 0,
    sif: float = 1e-4,
    layer: str | None = None,
    tokens: Count = 1_000_000,
    min_count: int = 5,
    encoding: Annotated[str | None, Parameter(group=_TEXT)] = None,
    field: Annotated[str | None, Parameter(group=_TEXT)] = None,
    documents: Annotated[Documents | None, Parameter(group=_TEXT)] = None,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Make a static run: one vector a word, the mean of a text's words its vector. Every verb takes it.

    Without a corpus every word is read alone; with one, its vector is the mean over its uses there. Then principal
    components are taken, and frequent words are made short, so that they count little in a mean.

    Args:
        folder: a run that reads context: bert, modernbert, gpt, an imported sentence-transformers model …
        output: the run folder to write.
        corpus: files, folders or globs to find uses in and to count words in, repeatable.
        words: whole words in place of the run's own tokens: a file with one a line, or `corpus`: those of the corpus.
        dimensions: of a vector; 256 when absent, or as many as the run has.
        remove: leave so many first principal components out.
        sif: a in the weight a / (a + share of the word in the text); 0: every word weighs the same.
        layer: a layer by number (0 is the embedding layer, -1 the last) or mix, the mean of all; the last when absent.
        tokens: read about so many tokens of the corpus, spread over it: 5000000, 5e6 or 5M; all of it counts words.
        min_count: how often a word of `--words corpus` must occur.
        encoding: a name such as utf-8 or gb18030; found out when absent.
        field: the key of the text in .jsonl; text when absent.
        documents: how documents are told apart: by blank lines, by file, by line, by headings; found out when absent.
        json: print one JSON document: {"path", "words", "dimensions", "explained", "way", "shares", "notes", …}.
    """
    use_threads(threads)
    use_device(device)
    from polyseme.cli.progress import reporting
    from polyseme.study.distil import distil
    from polyseme.text.config import TextConfig

    asked = {"encoding": encoding, "field": field, "documents": documents}
    text = TextConfig.of({name: value for name, value in asked.items() if value is not None}, "distil")
    number = layer_of(layer, "mix")
    with reporting() as reporter:
        static = distil(
            folder,
            output,
            corpus=corpus,
            words=words,
            dimensions=dimensions,
            remove=remove,
            sif=sif,
            layer="all" if number == "mix" else number,
            tokens=tokens,
            min_count=min_count,
            text=text,
            reporter=reporter,
        )
    made, model = static.meta["imported"], static.meta["recipe"]["model"]
    if json:
        emit_json(
            {
                "path": str(static.path),
                "vocab_size": model["vocab_size"],
                "dimensions": model["hidden_size"],
                **{key: value for key, value in made.items() if key not in ("kind", "path", "files")},
            }
        )
    else:
        emit(
            f"{model['vocab_size']:,} entries, {model['hidden_size']} numbers each, which keep "
            f"{made['explained']:.0%} of the variance; read: {made['way']}, shares: {made['shares']}"
        )
    for note in made["notes"]:
        say(f"note: {note}")
    recipe = static.meta["recipe"]
    more = [command("polyseme", "export", output, "model2vec", "FOLDER")]
    closing(wrote=[output], then=[use_command(recipe, output), *neighbours_command(recipe, output), *more])
