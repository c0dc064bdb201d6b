"""`polyseme uses`: how a word is used in the text that a run was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import Count, Encoding, Folder, Json, MaybeOutput, PageLanguage, positive
from polyseme.cli.output import closing, show
from polyseme.core.shell import command
from polyseme.errors import ConfigError

EXAMPLE = "polyseme uses runs/mine good --limit 20"


def run(
    folder: Folder,
    word: str,
    /,
    *,
    texts: Annotated[list[Path] | None, Parameter(name="--texts")] = None,
    output: MaybeOutput = None,
    limit: Count = None,
    lang: PageLanguage = "en",
    encoding: Encoding = "auto",
    seed: int = 0,
    json: Json = False,
) -> None:
    """List uses of a word in the text that a run was trained on, each in its sentence and those beside it.

    Args:
        folder: the run folder; its store keeps the text as tokens.
        word: a word or phrase, found as a whole, upper and lower case alike; Chinese words anywhere.
        texts: a file, a folder or python-docs to search in place of the run's text; repeatable.
        output: a folder for uses.html, uses.json, and uses.jsonl, which `senses` reads.
        limit: at most so many uses, drawn by the seed; 400 when absent.
        lang: the language of the page.
        seed: of the draw.
        json: print one JSON document: {"word", "from", "uses": [{"id", "text", "start", "end"}], "found",
            "texts_read"}.
    """
    positive("--limit", limit)
    if encoding != "auto" and not texts:
        raise ConfigError("--encoding is about files, and none is read", fix="leave --encoding out")
    from polyseme.cli.progress import reporting
    from polyseme.report.files import check_folder
    from polyseme.study.sense_clusters import LEAST
    from polyseme.study.word_uses import LIMIT, uses

    if output is not None:
        check_folder(output)
    with reporting() as reporter:
        result = uses(
            folder,
            word,
            texts=texts or None,
            limit=limit or LIMIT,
            seed=seed,
            encoding=encoding,
            reporter=reporter,
        )
    wrote = show(result, output, lang, json)
    enough = min(result.found, limit or LIMIT) >= LEAST
    then: list[object] = ["senses", folder, "--word", word]
    if output is None and texts:
        then = ["uses", "-o", "uses", *_texts(texts), "--", folder, word]
    elif output is not None and enough:
        then = ["senses", folder, output / "uses.jsonl"]
    closing(wrote=wrote, then=[command("polyseme", *then)] if enough or then[0] == "uses" else [])


def _texts(texts: list[Path]) -> list[object]:
    return [part for text in texts for part in ("--texts", text)]
