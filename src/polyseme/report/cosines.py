"""Cosines for people: of every run and layer a heat map and its table, and which two are nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.charts import Axis, Chart, heatmap
from polyseme.report.figures import width
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Heading, Notes, Part, Table

__all__ = ["cosines_page", "cosines_parts"]

_WRITTEN = 14
"""Items up to which every cell has its figure written in it."""
_LONGEST = 26
"""Columns of a word at most: it is the head of a column, too."""
_BESIDE = 14
"""Columns of text that are shown on either side of a use's word."""


def cosines_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The whole page.

    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    if document["of"] == "uses" and len({item["word"].casefold() for item in document["items"]}) > 1:
        title = say("How near uses of words are")
        lead = say(
            "The cosine of the marked words' vectors in every two sentences: 1 = the same vector. A static model has "
            "one vector a word, whatever stands around it."
        )
    elif document["of"] == "uses":
        title = say("How near uses of {word} are", word=document["items"][0]["word"])
        lead = say(
            "The cosine of the word's vectors in every two sentences: 1 = the same vector. A static model has one "
            "vector a word, so all its uses are 1; what differs from 1 was learned from the context."
        )
    else:
        title = say("How near words are")
        lead = say(
            "The cosine of every two words' vectors: 1 = the same direction, 0 = nothing in common. In a 1-of-N "
            "encoding every two words are equally far."
        )
    return Page(title, lead, cosines_parts(document, say), lang)


def cosines_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """The matrices as parts of a page.

    Args:
        document: `Cosines.document`.
        say: speaks the page's language.
        prefix: stands before the names of the figures' files.
    """
    items, runs = document["items"], document["runs"]
    parts: list[Part] = []
    if document["of"] == "uses":
        sentences = [[str(n), _sentence(item)] for n, item in enumerate(items, 1)]
        parts.append(Table(["", say("sentence")], sentences, left=(0, 1)))
    parts += [Heading(say("At a glance")), _summary(document, say)]
    for n, run in enumerate(runs, 1):  # names of two runs may be the same file's
        parts.append(Heading(f"{run['name']} ({run['model']})"))
        for layer in run["layers"]:
            parts += _layer(document, run, layer, say, f"{prefix}cosines_{n}")
    parts.append(Either(page=[Notes([say.note(note) for note in document["notes"]])]))
    return parts


def _layer(
    document: Mapping[str, Any], run: Mapping[str, Any], layer: Mapping[str, Any], say: Speaker, name: str
) -> list[Part]:
    """A heat map with its table."""
    number = layer["layer"]
    caption = "" if number is None else say("Layer {layer}.", layer=number)
    figure = Figure(
        name if number is None else f"{name}_{number}",
        cosines_chart(document, layer, say),
        caption,
        say("Heat map of the cosines in {run}", run=run["name"]),
    )
    names = _short(document)
    head = ["", *(names if document["of"] == "words" else map(str, range(1, len(names) + 1)))]
    rows = [[name, *map(_figure, row)] for name, row in zip(names, layer["cosines"], strict=True)]
    table = Table(head, rows)
    return [Either(page=[figure, table], terminal=[caption, table])]


def cosines_chart(document: Mapping[str, Any], layer: Mapping[str, Any], say: Speaker) -> Chart:
    """A cell for every two items, shaded by their cosine."""
    names = _short(document)
    across: Sequence[Any] = names if document["of"] == "words" else range(1, len(names) + 1)
    rows = [
        {"i": names[i], "j": across[j], "cosine": value, "shown": _figure(value)}
        for i, row in enumerate(layer["cosines"])
        for j, value in enumerate(row)
    ]
    written = len(names) <= _WRITTEN
    return heatmap(
        rows,
        Axis("j"),
        Axis("i"),
        Axis("cosine", say("cosine"), ".3f"),
        list(across),
        names,
        text="shown" if written else "",
        cell=(50, 38) if written else (24, 24),
    )


def _summary(document: Mapping[str, Any], say: Speaker) -> Table:
    """A row a run and layer: the mean cosine, the two that are nearest, and the two that are farthest."""
    names = _short(document) if document["of"] == "words" else None
    layered = document["of"] == "uses"
    head = [say("Run"), *([say("layer")] if layered else []), say("mean"), say("nearest"), say("farthest")]
    rows = []
    for run in document["runs"]:
        for layer in run["layers"]:
            pairs = [
                (value, j, i)
                for i, row in enumerate(layer["cosines"])
                for j, value in enumerate(row[:i])
                if value is not None
            ]
            row = [run["name"], *([str(layer["layer"])] if layered else [])]
            if not pairs:
                rows.append([*row, "—", "—", "—"])
                continue
            alike = min(pairs)[0] == max(pairs)[0]
            ends = [max(pairs), min(pairs)]
            shown = [say("all alike") if alike else f"{_pair(end, names)} {_figure(end[0])}" for end in ends]
            rows.append([*row, _figure(sum(pair[0] for pair in pairs) / len(pairs)), *shown])
    left = (0, len(head) - 2, len(head) - 1)
    return Table(head, rows, say("Over every two, without each beside itself."), left, keys=1 + layered)


def _pair(pair: tuple[float, int, int], names: Sequence[str] | None) -> str:
    _, a, b = pair
    return f"{names[a]} · {names[b]}" if names else f"{a + 1} · {b + 1}"


def _short(document: Mapping[str, Any]) -> list[str]:
    """What items are called, each by another name: words as they are, uses by number and a few words around."""
    items = document["items"]
    if document["of"] == "words":
        words = [_cut(item["word"], _LONGEST) for item in items]
        return [word if words.count(word) == 1 else f"{word} ({n})" for n, word in enumerate(words, 1)]
    names = []
    for n, item in enumerate(items, 1):
        text, start, end = item["text"], item["start"], item["end"]
        before, after = " ".join(text[:start].split()), " ".join(text[end:].split())
        space = " " if text[start - 1 : start].isspace() else ""
        behind = " " if text[end : end + 1].isspace() else ""
        names.append(
            f"{n}  {_cut(before[::-1])[::-1]}{space}{_cut(text[start:end], _LONGEST)}{behind}{_cut(after)}"
        )
    return names


def _cut(text: str, most: int = _BESIDE) -> str:
    if width(text) <= most:
        return text
    while width(text) >= most:
        text = text[:-1]
    return text + "…"


def _sentence(item: Mapping[str, Any]) -> str:
    text, start, end = item["text"], item["start"], item["end"]
    return f"{text[:start]}*{text[start:end]}*{text[end:]}"


def _figure(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
