"""ERNIE hides whole words, phrases and names where BERT hides characters and pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.core.shell import command
from polyseme.infer.mask import mask
from polyseme.lecture.chapter import Chapter, Found, figure, share_of
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, bars
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table
from polyseme.text.words import is_cjk

_TEXTS = 80


def _measure(room: Room) -> dict[str, Any]:
    texts = room.texts
    passages = [f"{a} {b}" if room.lang == "en" else a + b for a, b, _ in texts.pairs()]
    passages = list(texts.enough(passages or texts.sentences(), 8, "plain sentences"))[: room.scaled(_TEXTS)]
    runs = {model: room.run(model) for model in ("bert", "ernie")}
    halves: dict[str, list[bool]] = {"bert": [], "ernie": []}
    good: list[dict[str, Any]] = []
    for number, passage in enumerate(passages):
        # of ernie the last stage, at which words, phrases and names are all hidden
        by_model = {
            model: mask(run, passage, seed=room.seed + number).lines[-1] for model, run in runs.items()
        }
        units = [(a, b) for a, b, _ in by_model["ernie"]["cut"] if _is_several(passage[a:b])]
        hidden = {
            model: [(unit["start"], unit["end"]) for unit in line["units"]]
            for model, line in by_model.items()
        }
        for model, places in hidden.items():
            halves[model] += [_is_half(passage, unit, places) for unit in units if _touched(unit, places)]
        if any(_touched(unit, hidden["ernie"]) for unit in units) and any(
            _touched(unit, hidden["bert"]) and _is_half(passage, unit, hidden["bert"]) for unit in units
        ):
            good.append({"text": passage, "lines": [by_model[model] for model in ("bert", "ernie")]})
    good.sort(key=lambda one: len(one["text"]))
    shown = texts.first_readable(good, lambda one: str(one["text"]), 200) if good else None
    shares = {model: share_of(some) for model, some in halves.items()}
    never = shares["ernie"]["value"] == 0 if shares["ernie"]["n"] else None
    name = "units that are hidden in part, of those that are touched"
    return {
        "commands": [
            command("polyseme", "mask", room.path("ernie"), shown["text"] if shown else passages[0])
        ],
        "figures": [
            figure(
                name,
                shares["ernie"],
                of="ernie",
                holds=never,
                percent=True,
            ),
            figure(
                name,
                shares["bert"],
                of="bert",
                percent=True,
            ),
        ],
        "shares": shares,
        "shown": shown,
    }


def _touched(unit: tuple[int, int], hidden: Sequence[tuple[int, int]]) -> bool:
    return any(a < unit[1] and b > unit[0] for a, b in hidden)


def _is_several(unit: str) -> bool:
    """Whether a unit is several tokens: words with a blank between them, or Chinese characters."""
    return " " in unit or (len(unit) > 1 and is_cjk(unit[0]))


def _is_half(text: str, unit: tuple[int, int], hidden: Sequence[tuple[int, int]]) -> bool:
    """Whether some characters of a unit are hidden and others are seen."""
    covered = set[int]()
    for a, b in hidden:
        covered.update(range(a, b))
    return any(place not in covered and not text[place].isspace() for place in range(*unit))


def _parts(found: Found, say: Speaker) -> list[Part]:
    rows = [
        {"model": model, **{key: one[key] for key in ("value", "low", "high")}}
        for model, one in found["shares"].items()
    ]
    parts: list[Part] = [
        Figure(
            "units",
            bars(rows, Axis("model"), Axis("value", say("hidden in part"), ".0%", (0.0, 1.0))),
            say(
                "Of the words, phrases and names of several tokens that a mask touches, how many are hidden in part."
            ),
            say("Bars of the share of units that are hidden in part"),
        )
    ]
    if found["shown"]:
        lines = found["shown"]["lines"]
        parts.append(
            Table(
                ["", say("what the model sees"), say("hidden")],
                [[line["model"], line["masked"], ", ".join(_hidden(line))] for line in lines],
                left=(0, 1, 2),
            )
        )
    return parts


def _hidden(line: Mapping[str, Any]) -> list[str]:
    return [unit["text"] for unit in line["units"] if unit["outcome"] != "kept"]


ENTRY = Chapter(
    order=120,
    runs=("bert", "ernie"),
    title="ERNIE hides whole units",
    claim="BERT hides single characters of Chinese and pieces of words; what is left of the word gives them away. "
    "ERNIE hides words, phrases and names as wholes.",
    holds="No unit of ERNIE is ever hidden in part.",
    fails="Some units of ERNIE are hidden in part: that would be a fault.",
    takes="It holds at any size.",
    measure=_measure,
    parts=_parts,
)
