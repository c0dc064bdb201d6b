"""Neighbours for people: bars of their cosines, rare words in another colour, and how often each was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.infer.neighbours import RARE, Neighbours
from polyseme.report.charts import BLUE, ORANGE, Axis, Chart, Series, bars
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Notes, Part, Table

__all__ = ["neighbours_page"]


def neighbours_page(document: Sequence[Mapping[str, Any]], lang: str = "en") -> Page:
    """The page of a word's neighbours.

    Args:
        document: `Neighbours`, which says of what word, or its rows alone.
    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    about = document if isinstance(document, Neighbours) else None
    word = about.word if about else ""
    if about and about.context:
        lead = say("The words that could stand in its place in: {text}", text=about.context)
    else:
        lead = say("The words whose vectors are nearest to the word's own, by their cosine.")
    head = [say("cosine"), say("word"), say("times seen"), ""]
    table = Table(head, [_row(row, say) for row in document], left=(1, 3), keys=2)
    caption = say("Rare: seen fewer than {n} times in the training text.", n=RARE)
    described = say("Bars of the cosines of the nearest words")
    figure = Figure(
        "neighbours", _chart(document, say), caption if any(map(_rare, document)) else "", described
    )
    notes = [say.note(note) for note in about.notes] if about else []
    parts: list[Part] = [Either(page=[figure]), table, Either(page=[Notes(notes)])]
    return Page(say("Words near {word}", word=word), lead, parts, lang)


def _rare(row: Mapping[str, Any]) -> bool:
    return bool(row.get("count", RARE) < RARE)


def _row(row: Mapping[str, Any], say: Speaker) -> list[str]:
    about = [say("class {path}", path=row["path"])] if "path" in row else []
    about += [say("rare")] if _rare(row) else []
    return [
        f"{row['similarity']:.3f}",
        row["word"],
        f"{row['count']:,}" if "count" in row else "",
        ", ".join(about),
    ]


def _chart(document: Sequence[Mapping[str, Any]], say: Speaker) -> Chart:
    """A bar a word; beside it how often it was seen."""
    names = [say("often enough"), say("rare")]
    rows = [
        {
            "word": row["word"],
            "cosine": row["similarity"],
            "seen": names[_rare(row)],
            "times": say("{n} times", n=f"{row['count']:,}") if "count" in row else "",
        }
        for row in document
    ]
    labels = [row["word"] for row in document]
    by = Series("seen", names, (BLUE, ORANGE))
    known = any("count" in row for row in document)
    least = min([0.0, *(row["similarity"] for row in document)])
    value = Axis("cosine", say("cosine"), ".3f", (least, 1.0))
    size = (520, 28 * len(labels))
    return bars(rows, Axis("word"), value, labels, by, text="times" if known else "", size=size)
