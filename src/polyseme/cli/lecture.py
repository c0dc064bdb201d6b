"""`polyseme lecture`: every claim of the line from 1-of-N to GPT, measured on a text and drawn, in one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from polyseme.cli.options import Json, Output, Threads, positive
from polyseme.cli.output import closing, emit, emit_json, say
from polyseme.core.shell import command
from polyseme.errors import ConfigError

if TYPE_CHECKING:
    from polyseme.lecture.room import Room

EXAMPLE = "polyseme lecture --text my-texts -o lecture --minutes 25"
_TASKS = ("classify", "pair", "tag", "qa")


def run(
    *,
    output: Output = Path("lecture"),
    text: Annotated[list[str] | None, Parameter(name="--text")] = None,
    lang: Literal["en", "zh"] = "en",
    minutes: float = 25.0,
    word: str | None = None,
    uses: Path | None = None,
    tasks: Annotated[list[str] | None, Parameter(name="--tasks")] = None,
    runs: Annotated[list[Path] | None, Parameter(name="--run")] = None,
    only: Annotated[list[str] | None, Parameter(name="--only")] = None,
    seed: int = 1,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Measure every claim of the lecture, from 1-of-N to GPT, on a text, and write one page of it.

    What is needed is trained, in small, and kept in OUTPUT/runs; chapters that are done are kept, too, so the work may
    be stopped at any time, and the same command goes on. A claim that does not hold is shown with its figure.

    Args:
        output: the folder of the lecture; the page is OUTPUT/lecture.html.
        text: files, folders or built-in texts, repeatable; when absent python-docs, in Chinese sanguo.
        lang: language of the text and of the page: en or zh.
        minutes: of everything together, on two cores.
        word: a word of yours whose uses are shown.
        uses: a file of uses of words with their senses, as `senses` reads it.
        tasks: TASK=FILE, repeatable: labelled files of yours beside those that the text itself labels; TASK is
            classify, pair, tag or qa.
        runs: a run of yours, repeatable, in place of the one that would be trained.
        only: a chapter, repeatable; the others stay as they are.
        seed: number behind every random choice.
        json: print everything that was measured as one JSON document.
    """
    positive("--minutes", minutes)
    positive("--threads", threads)
    labelled = [_task(typed) for typed in tasks or ()]

    from polyseme.cli.options import use_threads
    from polyseme.cli.progress import reporting
    from polyseme.lecture.giving import give
    from polyseme.lecture.page import lecture_page
    from polyseme.lecture.room import Room
    from polyseme.report.files import check_folder
    from polyseme.train.signals import goes_on_by

    check_folder(output)
    use_threads(threads)
    with goes_on_by("the same command goes on where it stopped", output), reporting() as reporter:
        room = Room(
            folder=output,
            corpus=text or ["python-docs" if lang == "en" else "sanguo"],
            lang=lang,
            minutes=minutes,
            word=word,
            uses=uses,
            tasks=labelled,
            runs=runs or (),
            seed=seed,
            threads=threads,
            reporter=reporter,
        )
        document = give(room, only or ())
    page = lecture_page(document, lang)
    path = page.write(output / "lecture.html")
    if json:
        emit_json(document)
    else:
        emit(page.text())
    for chapter in document["chapters"]:
        if "error" in chapter:
            say(f"note: {chapter['name']}: {chapter['error'].splitlines()[0]}")
    trained = _trained(room)
    closing(wrote=[path], then=[command("polyseme", "serve", *trained)] if trained else [])


def _task(typed: str) -> tuple[str, Path]:
    """Raises:  ConfigError: not TASK=FILE."""
    task, equals, file = typed.partition("=")
    if not equals or task not in _TASKS or not file:
        raise ConfigError(
            "--tasks needs TASK=FILE",
            got=typed,
            expected=f"TASK is {', '.join(_TASKS)}",
            fix="write it like --tasks classify=FILE",
        )
    return task, Path(file)


def _trained(room: Room) -> Sequence[Path]:
    from polyseme.lecture.room import MODELS

    return [room.path(model) for model in MODELS if room.is_trained(model)]
