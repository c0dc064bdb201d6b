"""The similarity of layers for people: a heat map, a row a layer of one run, a column a layer of the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.report.charts import Axis, Chart, heatmap
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Heading, Part, Table

__all__ = ["cka_page", "cka_parts"]

_WRITTEN = 14
"""Layers up to which every cell has its figure written in it."""


def cka_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The whole page of a comparison.

    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    return Page(say("How alike the layers are"), _what(document, say), cka_parts(document, say), lang)


def cka_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """The comparison as parts of a page.

    Args:
        document: `Cka.document`.
        say: speaks the page's language.
        prefix: stands before the names of the figures' files.
    """
    names = _names(document)
    figure = Figure(
        f"{prefix}cka",
        cka_chart(document, say),
        say(
            "Debiased linear CKA: 1 = the same up to rotation and scale, 0 = nothing in common. Layer 0 is the "
            "embedding layer."
        ),
        say("Similarity of the layers of {a} and {b}", a=names[0], b=names[-1]),
    )
    return [
        Heading(say("Similarity of layers (CKA)")),
        Either(page=[figure], terminal=[_matrix(document)]),
        _likeness(document, say),
        *_notes(document, say),
    ]


def _matrix(document: Mapping[str, Any]) -> Table:
    """What the chart shades, as figures: a row a layer of the first run."""
    names, matrix = _names(document), document["cka"]
    head = [f"{names[0]} \\ {names[-1]}", *map(str, range(len(matrix[0])))]
    return Table(head, [[str(i), *map(_short, row)] for i, row in enumerate(matrix)])


def cka_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """A cell for every two layers, shaded by their similarity."""
    names, matrix = _names(document), document["cka"]
    n, m = len(matrix), len(matrix[0])
    rows = [
        {
            "i": i,
            "j": j,
            "cka": None if cell["value"] is None else round(cell["value"], 4),
            "shown": _short(cell),
            "low": cell["low"],
            "high": cell["high"],
            "plain": cell["plain"],
        }
        for i, row in enumerate(matrix)
        for j, cell in enumerate(row)
    ]
    written = max(n, m) <= _WRITTEN
    return heatmap(
        rows,
        Axis("j", say("layers of {run}", run=names[-1])),
        Axis("i", say("layers of {run}", run=names[0])),
        Axis("cka", "CKA", ".4f"),
        range(m),
        range(n - 1, -1, -1),
        text="shown" if written else "",
        more=[Axis("plain", say("not debiased"), ".4f")],
        cell=(46, 46) if written else (26, 26),
    )


def _likeness(document: Mapping[str, Any], say: Speaker) -> Table:
    """Which layer every layer of the first run is most like."""
    alone = len(document["runs"]) == 1
    names = _names(document)
    rows = []
    for i, row in enumerate(document["cka"]):
        known = [j for j, cell in enumerate(row) if cell["value"] is not None and not (alone and i == j)]
        if not known:
            rows.append([str(i), "—", "—", "", "—"])
            continue
        best = max(known, key=lambda j: row[j]["value"])
        cell = row[best]
        interval = "" if cell["low"] is None else f"{cell['low']:.3f} … {cell['high']:.3f}"
        rows.append([str(i), str(best), f"{cell['value']:.3f}", interval, f"{cell['plain']:.3f}"])
    head = [say("layer"), say("most like"), "CKA", say("95 % interval"), say("not debiased")]
    caption = (
        say("The other layer of {a} that each of its layers is most like.", a=names[0])
        if alone
        else say("The layer of {b} that each layer of {a} is most like.", a=names[0], b=names[-1])
    )
    return Table(head, rows, caption, left=())


def _what(document: Mapping[str, Any], say: Speaker) -> str:
    units = say("words") if document["unit"] == "words" else say("whole texts")
    models = " / ".join(
        f"{name} ({run['model']})" for name, run in zip(_names(document), document["runs"], strict=True)
    )
    return say(
        "{models}: linear CKA between every two layers, on the same {n} {units} of {texts} texts{file}.",
        models=models,
        n=f"{document['units']:,}",
        units=units,
        texts=f"{document['texts']:,}",
        file="" if document["file"] is None else say(" ({name})", name=Path(document["file"]).name),
    )


def _notes(document: Mapping[str, Any], say: Speaker) -> list[str]:
    left = document["left_out"]
    notes = [
        say(
            "Intervals leave out one of {n} blocks of whole texts at a time (95 %, jackknife).",
            n=document["blocks"],
        )
        if document["blocks"] > 1
        else say("One block of text gives no interval.")
    ]
    if left["unknown"] or left["not_read"]:
        notes.append(
            say(
                "Left out: {unknown} words that a run does not know, {cut} that it has not read.",
                unknown=f"{left['unknown']:,}",
                cut=f"{left['not_read']:,}",
            )
        )
    return notes


def _names(document: Mapping[str, Any]) -> list[str]:
    names = [Path(run["run"]).name or run["run"] for run in document["runs"]]
    return [run["run"] for run in document["runs"]] if len(set(names)) < len(names) else names


def _short(cell: Mapping[str, Any]) -> str:
    return "—" if cell["value"] is None else f"{cell['value']:.2f}"
