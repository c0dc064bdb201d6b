"""`polyseme senses`: does a run tell the senses of a word apart?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from polyseme.cli.options import (
    ColumnNames,
    Encoding,
    Folder,
    Json,
    MaybeOutput,
    PageLanguage,
    ReadOn,
    Separator,
    Threads,
    layer_of,
    positive,
    read_options,
    refuse_unused,
    typed_options,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, show
from polyseme.core.shell import command

EXAMPLE = "polyseme senses runs/mine uses.tsv -o senses"


def run(
    folder: Folder,
    file: Annotated[Path | None, Parameter(name="FILE")] = None,
    /,
    *,
    against: list[Path] | None = None,
    word: list[str] | None = None,
    layer: str | None = None,
    output: MaybeOutput = None,
    limit: int | None = None,
    folds: int = 10,
    map: Literal["pca", "umap", "lda"] = "pca",
    of: Literal["word", "text", "both"] = "word",
    maps: bool = False,
    lang: PageLanguage = "en",
    columns: ColumnNames = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    balance: bool = False,
    seed: int = 0,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Measure how well a run tells the senses of words apart, by layer, and draw every use as a point on a map.

    Args:
        folder: the run folder.
        file: uses of words with their senses: a folder in the form of CoarseWSD-20, of one word or of several, or a
            .tsv, .csv or .jsonl with text, sense and either start and end (characters) or word; chinese-senses: ten
            words that come with polyseme. Without senses, or as running text with --word, the uses are clustered. When
            absent: those of --word in the text that the run was trained on.
        against: a further run, repeatable: all are measured on the same uses and laid side by side.
        word: the word to look at, repeatable; all of the file when absent.
        layer: a layer by number (0 is the embedding layer, -1 the last) or all. Absent: all where uses have senses, the
            last one where they are clustered.
        output: a folder for senses.json, senses.html and every chart as .svg and .png.
        limit: at most so many uses of each word, drawn by hash.
        folds: of the cross-validation.
        map: pca; umap where the package umap-learn is installed; lda: the axes that part the senses best, learned from
            one half of the uses and drawn with the other.
        of: what a use's vector is of: the word's own tokens, all tokens of its text, or both side by side.
        maps: put the map of every layer into the JSON, each turned onto the one beside it, so that points move little.
        balance: draw equally many uses of every sense of a word, as many as its rarest one has; --limit then holds for
            all senses of a word together.
        columns: OURS=THEIRS, repeatable or with commas: text=sentence,sense=gloss.
        lang: language of the page's own words.
        seed: of folds, intervals, clusters and --balance.
        json: print one JSON document: {"labelled", "words", "mean", "runs", "differences", …}; figures are {"value",
            "low", "high", "n"}.
    """
    positive("--threads", threads)
    positive("--limit", limit)
    layers = layer_of(layer, "all")
    reading = read_options(columns, separator, encoding)
    refuse_unused(reading, [file], tables=file is None or not file.is_dir())

    from polyseme.cli.progress import reporting
    from polyseme.report.files import check_folder
    from polyseme.study.senses import senses

    if output is not None:
        check_folder(output)
    use_threads(threads)
    use_device(device)
    with reporting() as reporter:
        result = senses(
            [folder, *(against or ())],
            file,
            word=word or (),
            layer=layers,
            limit=limit,
            folds=folds,
            map=map,
            of=of,
            maps=maps,
            balance=balance,
            columns=reading.columns,
            separator=reading.separator,
            encoding=reading.encoding,
            seed=seed,
            reporter=reporter,
        )
    wrote = show(result, output, lang, json)
    options = ["-o", "senses"] if output is None else ["--against", "RUN"]
    again = [*_again(word, balance), *typed_options(reading)]
    closing(
        wrote=wrote, then=[command("polyseme", "senses", folder, *([file] if file else []), *again, *options)]
    )


def _again(words: list[str] | None, balance: bool) -> list[str]:
    named = [part for word in words or () for part in ("--word", word)]
    return named + ["--balance"] * balance
