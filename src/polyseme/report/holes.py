"""Words that fit the same hole, for people: cosines within holes and across, and a heat map of all candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.charts import Axis, Chart, Series, dots, heatmap
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Heading, Notes, Part, Table

__all__ = ["holes_page"]

_WRITTEN = 14
"""Candidates up to which every cell has its figure written in it."""
_DRAWN = 80
"""Candidates up to which the heat map is drawn."""


def holes_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The whole page.

    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    lead = say.sentences(
        say(
            "Words that fit the same hole have like vectors: the mean cosine of the words of a hole among themselves, "
            "beside that of words of different holes."
        ),
        say("The words were given.")
        if document["source"] == "given"
        else say("The words are the guesses of {run}.", run=document["source"]),
    )
    return Page(say("Words that fit the same hole"), lead, _parts(document, say), lang)


def _parts(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    holes = document["holes"]
    rows = [[str(n), _shown(hole), ", ".join(hole["candidates"])] for n, hole in enumerate(holes, 1)]
    few = sum(len(hole["candidates"]) for hole in holes) <= _DRAWN
    intervals = any(run["difference"]["low"] is not None for run in document["runs"])
    figure = Figure(
        "holes",
        _standing(document, say),
        say("Intervals draw the holes again (95 %, bootstrap).") if intervals else "",
        say("Cosines within holes and across them, by run"),
    )
    parts: list[Part] = [
        Either(page=[figure]),
        _table(document, say),
        Heading(say("The holes")),
        Table(["", say("sentence"), say("candidates")], rows, left=(0, 1, 2)),
    ]
    for n, run in enumerate(document["runs"], 1):
        if few:
            name, described = f"holes_{n}", say("Heat map of the cosines in {run}", run=run["name"])
            caption = say(
                "The words in the order of their holes: what is alike are squares along the diagonal."
            )
            heading = Heading(f"{run['name']} ({run['model']})")
            parts += [Either(page=[heading, Figure(name, _heat(document, run, say), caption, described)])]
    parts.append(Either(page=[Notes([say.note(note) for note in document["notes"]])]))
    return parts


def _table(document: Mapping[str, Any], say: Speaker) -> Table:
    head = [say("Run"), say("same hole"), say("other holes"), say("difference"), "p", say("holes")]
    rows = [
        [
            run["name"],
            _figure(run["within"]),
            _figure(run["across"]),
            _figure(run["difference"]),
            "—" if run["difference"]["p"] is None else f"{run['difference']['p']:.3f}",
            str(run["difference"]["n"]),
        ]
        for run in document["runs"]
    ]
    return Table(head, rows)


def _standing(document: Mapping[str, Any], say: Speaker) -> Chart:
    names = [say("same hole"), say("other holes")]
    rows = [
        {"run": run["name"], "of": name, "cosine": run[key]["value"], **_limits(run[key])}
        for run in document["runs"]
        for name, key in zip(names, ("within", "across"), strict=True)
        if run[key]["value"] is not None
    ]
    runs = [run["name"] for run in document["runs"]]
    return dots(rows, Axis("run"), Axis("cosine", say("cosine"), ".3f"), runs, Series("of", names))


def _limits(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Its limits; those of a figure without an interval are the figure."""
    if figure["low"] is None:
        return {"low": figure["value"], "high": figure["value"]}
    return {"low": figure["low"], "high": figure["high"]}


def _heat(document: Mapping[str, Any], run: Mapping[str, Any], say: Speaker) -> Chart:
    names = _labels(document["holes"])
    holes = [n for n, hole in enumerate(document["holes"], 1) for _ in hole["candidates"]]
    rows = [
        {
            "a": names[i],
            "b": names[j],
            "cosine": value,
            "shown": "—" if value is None else f"{value:.2f}",
            "hole": f"{holes[i]} · {holes[j]}",
        }
        for i, row in enumerate(run["cosines"])
        for j, value in enumerate(row)
    ]
    written = len(names) <= _WRITTEN
    return heatmap(
        rows,
        Axis("b"),
        Axis("a"),
        Axis("cosine", say("cosine"), ".3f"),
        names,
        names,
        text="shown" if written else "",
        cell=(50, 38) if written else (22, 22),
    )


def _labels(holes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What candidates are called in a picture, each by another name: words of several holes have the hole's number."""
    words = [(word, n) for n, hole in enumerate(holes, 1) for word in hole["candidates"]]
    alone = [word for word, _ in words]
    return [word if alone.count(word) == 1 else f"{word} ({n})" for word, n in words]


def _shown(hole: Mapping[str, Any]) -> str:
    return " ".join(hole["text"].split())


def _figure(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return "—"
    interval = "" if one["low"] is None else f" ({one['low']:.3f} … {one['high']:.3f})"
    return f"{one['value']:.3f}{interval}"
