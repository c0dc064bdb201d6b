"""Hidden units for people: how many of every kind each run finds again, at what cost, and some of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.report.charts import Axis, Chart, Series, bars
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Figure, Heading, Notes, Part, Table

__all__ = ["units_page"]


def units_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The page that `polyseme units -o` writes.

    Raises:  ConfigError: no such language.
    """
    say = Speaker(lang)
    lead = say(
        "Every token of a unit is hidden at once, the rest of its text stays in place. Units of {texts} texts{file}.",
        texts=f"{document['texts']:,}",
        file="" if document["file"] is None else say(" ({name})", name=Path(document["file"]).name),
    )
    names = [run["name"] for run in document["runs"]]
    parts: list[Part] = [
        Heading(say("Units that are found again")),
        _table(document, names, say),
        Figure(
            "units",
            _chart(document, names, say),
            say("Share of units whose every token is the likeliest at its place; lines are 95 % intervals."),
            say("Bars of the share of units that are found, by kind and run"),
        ),
    ]
    if len(names) > 1:
        parts += [Heading(say("Differences")), _differences(document, names, say)]
    parts += [
        Heading(say("Some of them")),
        _some(document, names, say),
        Notes([*map(say.note, document["notes"])]),
    ]
    return Page(say("Whole words, phrases and entities"), lead, parts, lang)


def _chart(document: Mapping[str, Any], names: list[str], say: Speaker) -> Chart:
    """A bar a kind and run."""
    rows = [
        {
            "kind": say(kind),
            "run": name,
            "found": round(figures["found"]["value"], 4),
            "low": figures["found"]["low"],
            "high": figures["found"]["high"],
            "shown": f"{figures['found']['value']:.2f}",
        }
        for name, run in zip(names, document["runs"], strict=True)
        for kind, figures in run["kinds"].items()
    ]
    kinds = [say(kind) for kind in document["runs"][0]["kinds"]]
    found = Axis("found", say("found"), ".2f", (0, 1))
    return bars(rows, Axis("kind"), found, kinds, Series("run", names), text="shown")


def _table(document: Mapping[str, Any], names: list[str], say: Speaker) -> Table:
    """Figures by kind and run."""
    rows = [
        [
            say(kind),
            name,
            _measured(run["kinds"][kind]["found"], 3),
            _measured(run["kinds"][kind]["nats"], 2),
            f"{run['kinds'][kind]['tokens']:.1f}",
            f"{run['kinds'][kind]['found']['n']:,}",
        ]
        for kind in document["runs"][0]["kinds"]
        for name, run in zip(names, document["runs"], strict=True)
    ]
    head = [say("kind"), say("Run"), say("found"), say("nats a unit"), say("tokens"), say("units")]
    caption = say(
        "Nats are a pseudo-log-likelihood: a sum over the unit's tokens, each predicted without the others."
    )
    return Table(head, rows, caption, (0, 1), keys=2)


def _differences(document: Mapping[str, Any], names: list[str], say: Speaker) -> Table:
    """The first run less each other one."""
    rows = [
        [
            say(kind),
            f"{names[0]} - {name}",
            _measured(run["kinds"][kind]["found_difference"], 3, "+"),
            _measured(run["kinds"][kind]["nats_difference"], 2, "+"),
        ]
        for kind in document["runs"][0]["kinds"]
        for name, run in zip(names[1:], document["runs"][1:], strict=True)
    ]
    caption = say("On the same units; fewer nats are better. Texts are drawn again (paired bootstrap).")
    return Table(
        [say("kind"), say("difference"), say("found"), say("nats a unit")], rows, caption, (0, 1), keys=2
    )


def _some(document: Mapping[str, Any], names: list[str], say: Speaker) -> Table:
    """Units as people read them, and what runs put there."""
    rows = [
        [
            say(example["kind"]),
            example["text"],
            *(f"{answer['said']} ({answer['nats']:.1f})" for answer in example["answers"]),
        ]
        for example in document["examples"]
    ]
    caption = say("The likeliest tokens of every run, and the nats of what stood there.")
    return Table([say("kind"), say("text"), *names], rows, caption, range(2 + len(names)), keys=1)


def _measured(figure: Mapping[str, Any], digits: int, sign: str = "") -> str:
    value = f"{figure['value']:{sign}.{digits}f}"
    if figure["low"] is None:
        return value
    return f"{value} ({figure['low']:{sign}.{digits}f} … {figure['high']:{sign}.{digits}f})"
