"""`polyseme attention`: where the tokens of a text look, and what each attention head does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.cli.options import (
    Encoding,
    Folder,
    Json,
    MaybeOutput,
    PageLanguage,
    ReadOn,
    Separator,
    Threads,
    positive,
    read_options,
    refuse_unused,
    typed_options,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, show
from polyseme.core.shell import command
from polyseme.errors import ConfigError, InputError

if TYPE_CHECKING:
    from polyseme.text.labelled.opening import ReadOptions

EXAMPLE = 'polyseme attention runs/mine "The weather was good." -o attention'
_SHOWN = 120
"""Longest text in characters that the suggested command repeats."""


def run(
    folder: Folder,
    text: Annotated[str | None, Parameter(name="TEXT", show_default=False)] = None,
    text_b: Annotated[str | None, Parameter(name="TEXT_B", show_default=False)] = None,
    /,
    *,
    layer: int | None = None,
    head: int | None = None,
    file: Path | None = None,
    pairs: Annotated[bool, Parameter(show_default=False)] = False,
    limit: int = 1000,
    output: MaybeOutput = None,
    top: int | None = None,
    above: float = 0.005,
    full: Annotated[bool, Parameter(show_default=False)] = False,
    max_length: int | None = None,
    lang: PageLanguage = "en",
    threads: Threads = None,
    device: ReadOn = "cpu",
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
    use_device(device)
    reading = read_options(None, separator, encoding)
    refuse_unused(reading, [file], tables=pairs)
    from polyseme.report.files import check_file, check_folder
    from polyseme.study.attention import MAX_LENGTH, attention
    from polyseme.text.clean import replace_surrogates

    if output is not None:
        (check_file if output.suffix.lower() in (".html", ".svg", ".png") else check_folder)(output)
    result = attention(
        folder,
        None if text is None else replace_surrogates(text),
        None if text_b is None else replace_surrogates(text_b),
        layer=layer,
        head=head,
        file=file,
        pairs=pairs,
        limit=limit,
        top=top,
        above=above,
        full=full,
        max_length=max_length or MAX_LENGTH,
        separator=reading.separator,
        encoding=reading.encoding,
    )
    wrote = show(result, output, lang, json)
    texts = [part if len(part) <= _SHOWN else "TEXT" for part in (text, text_b) if part is not None] or [
        "TEXT"
    ]
    options = ["-o", "attention"] if output is None else ["--layer", "1", "--head", "1"]
    closing(
        wrote=wrote,
        then=[command("polyseme", "attention", folder, *texts, *_again(file, pairs, reading), *options)],
    )


def _again(file: Path | None, pairs: bool, reading: ReadOptions) -> list[object]:
    """The options about the file that the suggested command repeats."""
    return [] if file is None else ["--file", file, *["--pairs"] * pairs, *typed_options(reading)]
