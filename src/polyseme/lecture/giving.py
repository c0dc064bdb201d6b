"""Giving the lecture: one chapter after another; what is done is kept, and is not done again.

FOLDER/lecture.json        text, language, seed: what all chapters are of
FOLDER/chapters/NAME.json  what a chapter found, and of which runs
FOLDER/runs/MODEL          runs; FOLDER/files: files that the text labels
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polyseme.core.config import suggest, to_json
from polyseme.core.files import make_folder, write_atomic
from polyseme.core.version import __version__
from polyseme.errors import ConfigError, Interrupted, PolysemeError, RunError
from polyseme.lecture.chapter import Chapter, in_order, verdict
from polyseme.lecture.room import Room
from polyseme.text.builtin import sanguo

__all__ = ["give"]


def give(room: Room, only: Sequence[str] = ()) -> dict[str, Any]:
    """The whole lecture, or some chapters of it: {"text", "lang", "minutes", "chapters", "training", "version"}.

    A chapter is {"name", "title", "claim", "holds", "figures", "commands", "found", "seconds"}; one that this text
    cannot show has "error" in place of what it found, and is tried again the next time.

    Args:
        only: names of chapters; what else was done before stays in the document.
    Raises:  ConfigError: no such chapter.  RunError: the folder holds the lecture of another text.
             Interrupted: what is done is kept.
    """
    chapters = in_order()
    for name in only:
        if name not in chapters:
            raise ConfigError(f"no chapter {name!r}", fix=suggest(name, chapters))
    for name in room.corpus:  # a text that is not there is no matter of a chapter
        if name == "sanguo":
            sanguo()
    _ = room.texts
    _open(room)
    told = []
    for number, (name, chapter) in enumerate(chapters.items()):
        room.reporter.stage(f"chapter {name}", number, len(chapters))
        kept = _kept(room, name, chapter)
        if kept is None and (not only or name in only):
            kept = _measured(room, name, chapter)
        if kept is not None:
            told.append({"name": name, "title": chapter.title, "claim": chapter.claim, **kept})
    return {
        "text": list(room.corpus),
        "lang": room.lang,
        "minutes": room.minutes,
        "chapters": told,
        "training": room.training_commands(),
        "version": __version__,
    }


def _open(room: Room) -> None:
    """Raises:  RunError: the folder holds another lecture."""
    about = {"text": list(room.corpus), "lang": room.lang, "seed": room.seed}
    file = room.folder / "lecture.json"
    if file.is_file():
        try:
            known = json.loads(file.read_bytes())["about"]
        except (ValueError, KeyError, TypeError):
            known = None
        if known != about:
            raise RunError(
                "the folder holds the lecture of another text",
                got=json.dumps(about, ensure_ascii=False),
                expected=json.dumps(known, ensure_ascii=False),
                where=room.folder,
                fix="another -o",
            )
        return
    make_folder(room.folder)
    write_atomic(file, to_json({"about": about}).encode())


def _file(room: Room, name: str) -> Path:
    return room.folder / "chapters" / f"{name}.json"


def _of(room: Room, chapter: Chapter) -> dict[str, Any]:
    """What a chapter's figures are of: with another of these they are measured again."""
    asked = {"word": room.word, "uses": room.uses, "tasks": [[task, str(path)] for task, path in room.tasks]}
    asked["uses"] = None if room.uses is None else str(room.uses)
    return {**asked, "minutes": room.minutes, "runs": {model: room.identity(model) for model in chapter.runs}}


def _kept(room: Room, name: str, chapter: Chapter) -> dict[str, Any] | None:
    """What was kept of a chapter, where it is of the same runs and files."""
    try:
        kept: dict[str, Any] = json.loads(_file(room, name).read_bytes())
        same = kept.pop("of") == json.loads(json.dumps(_of(room, chapter)))
    except (OSError, ValueError, KeyError):
        return None
    return kept if same else None


def _measured(room: Room, name: str, chapter: Chapter) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        found = chapter.measure(room)
    except Interrupted:
        raise
    except PolysemeError as error:  # this text cannot show it; the others go on
        room.reporter.note(f"{name}: {error.what}")
        return {
            "holds": None,
            "figures": [],
            "commands": [],
            "found": None,
            "seconds": 0.0,
            "error": str(error),
        }
    kept = {
        "holds": verdict(found),
        "figures": found.pop("figures"),
        "commands": found.pop("commands"),
        "found": found,
        "seconds": round(time.perf_counter() - began, 1),
    }
    make_folder(_file(room, name).parent)
    write_atomic(
        _file(room, name), to_json({**kept, "of": _of(room, chapter)}).encode("utf-8", "backslashreplace")
    )
    loaded: dict[str, Any] = json.loads(to_json(kept))
    return loaded
