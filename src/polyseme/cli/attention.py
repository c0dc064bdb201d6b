"""`polyseme attention`: where the tokens of a text look, and what each attention head does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from polyseme.cli.options import (
    Encoding,
    Json,
    PageLanguage,
    Separator,
    Threads,
    positive,
    read_options,
    refuse_unused,
    typed_options,
    use_threads,
)
from polyseme.cli.output import closing, command, emit, emit_json, say
from polyseme.errors import ConfigError, InputError

if TYPE_CHECKING:
    from polyseme.study.attention import Text
    from polyseme.text.labelled.opening import ReadOptions

EXAMPLE = 'polyseme attention runs/mine "The weather was good." -o attention'
_TEXTS = 1000
_SHOWN = 120
"""Characters of a text up to which the next command repeats it."""


def run(
    folder: Annotated[Path, Parameter(name="RUN")],
    text: Annotated[str | None, Parameter(name="TEXT", show_default=False)] = None,
    text_b: Annotated[str | None, Parameter(name="TEXT_B", show_default=False)] = None,
    /,
    *,
    layer: int | None = None,
    head: int | None = None,
    file: Path | None = None,
    pairs: Annotated[bool, Parameter(show_default=False)] = False,
    limit: int = _TEXTS,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    top: int | None = None,
    above: float = 0.005,
    full: Annotated[bool, Parameter(show_default=False)] = False,
    max_length: int | None = None,
    lang: PageLanguage = "en",
    threads: Threads = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    json: Json = False,
) -> None:
    """Show where the tokens of a text or a pair look, and measure what each head does.

    Args:
        folder: a run of a model with attention: bert, modernbert, ernie, gpt, qwen3.
        text: the text to show; with TEXT_B, a pair as the model reads it, [CLS] A [SEP] B [SEP].
        text_b: the second text of a pair.
        layer: the layer to show first, from 1; with the head chosen by how sharply it looks at other words when absent.
        head: the head to show first, from 1.
        file: measure the heads over these texts, with 95 % intervals, in place of TEXT: a line each, or .jsonl.
        pairs: the file has pairs: .tsv, .csv or .jsonl with text and text_b.
        limit: read so many texts of the file at most.
        output: a folder for attention.json, attention.html and the pictures; or one .html page, or the chosen head
            as .svg or .png.
        top: keep the N strongest edges of every token and head; as many as stay readable when absent.
        above: leave smaller shares out.
        full: write every share into the JSON, under view.probabilities; for short texts.
        max_length: read so many tokens at most, separators among them; 512 when absent.
        lang: the language of the page.
        json: print one JSON document: {"figures": [{"layer", "head", "previous": {"value", "low", "high", "n"}, …}],
            "view": {"tokens", "heads": [{"layer", "head", "from", "to", "share"}], "edges"}, …}.
    """
    for name, value in (("--limit", limit), ("--top", top), ("--max-length", max_length)):
        positive(name, value)
    if pairs and file is None:
        raise ConfigError("--pairs is about a file", fix="--file FILE --pairs, or two texts")
    if text is None and file is None:
        raise InputError("no text to look at", fix=command("polyseme", "attention", folder, "TEXT"))
    use_threads(threads)
    reading = read_options(None, separator, encoding)
    refuse_unused(reading, [file], tables=pairs)
    from polyseme.infer.model import load
    from polyseme.report.attention import attention_text
    from polyseme.report.study_files import check_file, check_folder
    from polyseme.study.attention import MAX_LENGTH, attention
    from polyseme.text.clean import replace_surrogates

    if output is not None:
        (check_file if output.suffix.lower() in (".html", ".svg", ".png") else check_folder)(output)
    shown: Text | None = None
    if text is not None:
        one = replace_surrogates(text)
        shown = one if text_b is None else (one, replace_surrogates(text_b))
    many = [] if file is None else _texts(file, pairs, limit, reading)
    loaded = load(folder)
    found = attention(
        loaded, shown, many, layer=layer, head=head, max_length=max_length or MAX_LENGTH, file=file
    )
    document = found.document(top, above, full)
    if json:
        emit_json(document)
    else:
        emit(attention_text(document))
    wrote, notes = _write(document, output, lang) if output is not None else ([], [])
    for note in [*found.notes, *notes]:
        say(f"note: {note}")
    texts = [part if len(part) <= _SHOWN else "TEXT" for part in (text, text_b) if part is not None] or [
        "TEXT"
    ]
    more = ["-o", "attention"] if output is None else ["--layer", "1", "--head", "1"]
    closing(
        wrote=wrote,
        then=[command("polyseme", "attention", folder, *texts, *_again(file, pairs, reading), *more)],
    )


def _again(file: Path | None, pairs: bool, reading: ReadOptions) -> list[object]:
    """What the next command repeats of the file."""
    return [] if file is None else ["--file", file, *["--pairs"] * pairs, *typed_options(reading)]


def _texts(file: Path, pairs: bool, limit: int, reading: ReadOptions) -> list[Text]:
    """The first texts of a file."""
    from itertools import islice

    from polyseme.text.clean import CleaningReport
    from polyseme.text.config import TextConfig
    from polyseme.text.labelled.tables import read_texts
    from polyseme.text.sources import read_lines

    if pairs:
        records = islice(
            read_texts(
                file, pair=True, labelled=False, encoding=reading.encoding, separator=reading.separator
            ),
            limit,
        )
        return [(record.text, record.text_b or "") for record in records]
    config = TextConfig.of({"encoding": reading.encoding}, "attention")
    lines = (line for line in read_lines(file, config, CleaningReport()) if line.strip())
    return list(islice(lines, limit))


def _write(document: dict[str, Any], output: Path, lang: str) -> tuple[list[Path], list[str]]:
    """Write what the name says; returns the files and what a person should know of them."""
    from polyseme.report.attention import attention_figures, attention_page
    from polyseme.report.language import Speaker
    from polyseme.report.study_files import write_pictures, write_study

    ending = output.suffix.lower()
    pictures = attention_figures(document, Speaker(lang))
    if ending == ".html":
        return [attention_page(document, lang).write(output)], []
    if ending in (".svg", ".png"):
        if not pictures:
            raise InputError("there is no head to draw without a text", fix="a TEXT, or -o FOLDER")
        wrote, note = write_pictures(pictures[0], [output])
        return wrote, [note] if note else []
    wrote, note = write_study("attention", document, attention_page(document, lang), output)
    notes = [note] if note else []
    for figure in pictures:
        files, note = write_pictures(figure, [output / f"{figure.name}.svg", output / f"{figure.name}.png"])
        wrote += files
        notes += [note] if note else []
    return wrote, notes
