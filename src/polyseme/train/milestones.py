"""Weights kept on the way, at numbers of words seen: RUN/milestones/1M, RUN/milestones/2M …

Each is a run of its own, complete or absent, which every verb reads: run.json, the tokenizer, weights. Its weights are
those of the first update at which so many words had been seen; they are the current ones, not the best so far. A
word is where the tokenizer begins one, and one that is seen again counts again.

Source:  the BabyLM challenge asks for them at 1M … 10M, 20M … 100M, 200M … 1000M words (Charpentier et al. 2025).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from polyseme.core.counts import read_count, short_count
from polyseme.core.files import make_folder, new_folder, saving
from polyseme.errors import ConfigError, RunError
from polyseme.train.run import RunDirectory

__all__ = ["BABYLM", "FOLDER", "check_reachable", "keep", "kept", "read_milestones"]

FOLDER = "milestones"
BABYLM = (*(n * 10**k for k in (6, 7, 8) for n in range(1, 10)), 10**9)
_OWN = ("files", "other_files", "results", "milestones", "published_step")


def read_milestones(asked: str | Iterable[int | str], words: int | None) -> tuple[int, ...]:
    """Numbers of words, in order.

    Args:
        asked: "babylm", "1M,2M", or a list.
        words: the budget, where it is in words: of babylm those beyond it are left out.
    Raises:  ConfigError: no such number, or one that is beyond the budget.

    Example:
        >>> read_milestones("babylm", 3_500_000), read_milestones("2k,500", None)
        ((1000000, 2000000, 3000000), (500, 2000))
    """
    if asked == "babylm":
        within = tuple(n for n in BABYLM if words is None or n <= words)
        if not within:
            raise ConfigError(
                "babylm's first milestone is beyond the budget",
                got=f"--words {short_count(words or 0)}",
                expected="at least 1M words",
                fix="--words 1M",
            )
        return within
    items = asked.split(",") if isinstance(asked, str) else list(asked)
    numbers = sorted({_number(item) for item in items if str(item).strip()})
    if items and not numbers:
        raise ConfigError("no milestone is named", got=repr(asked), fix="--milestones 1M,2M, or babylm")
    check_reachable(numbers, words)
    return tuple(numbers)


def _number(item: int | str) -> int:
    try:
        number = item if isinstance(item, int) and not isinstance(item, bool) else read_count(str(item))
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigError(
            "a milestone is a number of words",
            got=repr(item),
            expected="numbers such as 500k or 1M, with commas between them, or babylm",
            fix="--milestones 1M,2M",
        )
    return number


def check_reachable(milestones: Sequence[int], words: float | None, epochs: float | None = None) -> None:
    """Refuse milestones beyond the budget.

    Args:
        words: of the budget; None = not known.
        epochs: how many passes over the text these are, where the budget is in passes.
    Raises:  ConfigError: the budget ends before the last milestone.
    """
    beyond = [number for number in milestones if words is not None and number > words]
    if beyond:
        rest = [short_count(number) for number in milestones if number not in beyond]
        enough = f"--words {short_count(beyond[-1])}"
        if epochs is not None:
            enough = f"--epochs {math.ceil(epochs * beyond[-1] / max(1.0, words or 0))}"
        raise ConfigError(
            "a milestone is beyond the budget",
            got=", ".join(map(short_count, beyond)),
            expected=f"at most {short_count(int(words or 0))} words",
            fix=enough + (f", or --milestones {','.join(rest)}" if rest else ", or leave --milestones out"),
        )


def keep(run: RunDirectory, number: int, weights: Mapping[str, Tensor], **where: Any) -> None:
    """Write the milestone of this number of words into the run, in the place of one that an interrupted process wrote.

    Args:
        number: the milestone.
        weights: "encoder.…" and "heads.NAME.…".
        where: what was seen so far, for people: words, step, tokens, seconds.
    Raises:  StorageError: the disk refuses; what was there before stays.
    """
    name = short_count(number)
    place = run.path / FOLDER / name
    make_folder(place.parent)
    written = place.with_name(f".{name}.new")
    with saving(place):
        shutil.rmtree(written, ignore_errors=True)
    meta = {key: value for key, value in run.meta.items() if key not in _OWN}
    results = {"steps": where["step"], "tokens_seen": where["tokens"], "seconds": where["seconds"]}
    with new_folder(written) as folder:
        milestone = RunDirectory.create(folder, meta)
        for file in ["tokenizer.json", *(f"{known}.tsv" for known in run.meta.get("knowledge", {}))]:
            if (run.path / file).is_file():
                shutil.copyfile(run.path / file, folder / file)
        milestone.publish(
            weights, status="finished", milestone={"words_asked": number, **where}, results=results
        )
    with saving(place):
        shutil.rmtree(place, ignore_errors=True)
        written.rename(place)
    before = [entry for entry in run.meta.get("milestones", []) if entry["words"] != number]
    entry = {"words": number, "path": f"{FOLDER}/{name}", "words_seen": where["words"], "step": where["step"]}
    run.save_meta(milestones=sorted([*before, entry], key=lambda entry: entry["words"]))


def kept(run: RunDirectory) -> list[tuple[str, Path]]:
    """Names and folders of a run's milestones, in order.

    Raises:  RunError: one that run.json names is not there.
    """
    found = []
    for entry in run.meta.get("milestones", []):
        place = run.path / entry["path"]
        if not (place / "run.json").is_file():
            raise RunError(
                "a milestone of the run is not there", where=place, fix="copy the whole folder of the run"
            )
        found.append((short_count(entry["words"]), place))
    return found
