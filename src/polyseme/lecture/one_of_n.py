"""1-of-N: every two words are equally far apart."""

from __future__ import annotations

from typing import Any

from polyseme.core.shell import command
from polyseme.lecture.chapter import Chapter, Found, figure
from polyseme.lecture.room import Room
from polyseme.report.cosines import cosines_chart
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part
from polyseme.study.cosines import cosines
from polyseme.tasks.metrics.intervals import measured

_WORDS = 8


def _measure(room: Room) -> dict[str, Any]:
    words = list(room.texts.enough(room.texts.content, _WORDS, "words"))[:_WORDS]
    runs = [room.run("onehot"), room.run("word2vec")]
    result = cosines(runs, words)
    figures = []
    for run in result.runs:
        (layer,) = run["layers"]
        values = [v for i, row in enumerate(layer["cosines"]) for v in row[:i] if v is not None]
        low, high = min(values, default=0.0), max(values, default=0.0)
        name = "cosine of two different words, smallest … largest"
        holds = low == high == 0.0 if run["model"] == "onehot" else None
        mean = sum(values) / max(1, len(values))
        figures.append(figure(name, measured(mean, (low, high), len(values)), of=run["name"], holds=holds))
    return {
        "commands": [command("polyseme", "cosines", room.path("onehot"), *words)],
        "figures": figures,
        "cosines": result.document(),
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    document = found["cosines"]
    return [
        Figure(
            f"cosines_{run['model']}",
            cosines_chart(document, run["layers"][0], say),
            run["name"] if run["name"] == run["model"] else f"{run['name']} ({run['model']})",
            say("Heat map of the cosines in {run}", run=run["name"]),
        )
        for run in document["runs"]
    ]


ENTRY = Chapter(
    order=10,
    runs=("onehot", "word2vec"),
    title="Equal distances",
    claim="In a 1-of-N encoding each word is a place of its own: every two words are equally far apart, and nothing is "
    "said of which ones are alike. Beside it the same words as vectors that were learned.",
    holds="Every two words have the cosine 0, so the distance √2; learned vectors tell words apart by degrees.",
    fails="Two words of a 1-of-N encoding are not at a right angle: that would be a fault.",
    takes="It holds at any size.",
    measure=_measure,
    parts=_parts,
)
