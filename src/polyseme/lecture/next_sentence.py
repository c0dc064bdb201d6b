"""Next sentence: does B follow A, or is it from elsewhere?"""

from __future__ import annotations

from typing import Any

from polyseme.core.shell import command
from polyseme.infer.next_sentence import follows
from polyseme.lecture.chapter import Chapter, Found, figure, share_of
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, Rule, bars
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table

_PAIRS = 240


def _measure(room: Room) -> dict[str, Any]:
    texts, run = room.texts, room.run("bert")
    pairs = texts.pairs(True)
    if len(pairs) < 20 or len({source for *_, source in pairs}) < 2:
        pairs = texts.pairs()
    pairs = list(texts.enough(pairs, 8, "plain sentences in a row"))[: room.scaled(_PAIRS)]
    elsewhere = []
    for number, (a, _, source) in enumerate(pairs):
        # from half of them on, which are drawn as well: so that no one sentence is the other of many
        others = (pairs[(number + len(pairs) // 2 + step) % len(pairs)] for step in range(len(pairs)))
        other = next((b for _, b, theirs in others if theirs != source), None)
        if other is not None:
            elsewhere.append((a, other))
    follow = [(a, b) for a, b, _ in pairs]
    kinds = {
        "the next sentence": follow,
        "a sentence of another document": elsewhere,
        "in the wrong order": [(b, a) for a, b in follow],
    }
    answers = {
        kind: follows(run, [a for a, _ in some], [b for _, b in some]) if some else []
        for kind, some in kinds.items()
    }
    right = [bool(one) for one in answers["the next sentence"]]
    wrong = [not one for one in answers["a sentence of another document"]]
    n = min(len(right), len(wrong)) or len(right)
    figures = [
        figure("real and other pairs told apart", share_of(right[:n] + wrong[:n]), against=0.5, percent=True)
    ]
    rates = []
    for kind, some in answers.items():
        if some:
            rates.append({"kind": kind, **share_of([bool(one) for one in some])})
    shown = [
        [a, b, one.probability]
        for kind in ("the next sentence", "a sentence of another document")
        for (a, b), one in list(zip(kinds[kind], answers[kind], strict=True))[:3]
    ]
    a, b = follow[0]
    return {
        "commands": [command("polyseme", "follows", room.path("bert"), a, b)],
        "figures": figures,
        "rates": rates,
        "shown": shown,
    }


_KINDS = {
    "the next sentence": "the next sentence",
    "a sentence of another document": "a sentence of another document",
    "in the wrong order": "in the wrong order",
}


def _parts(found: Found, say: Speaker) -> list[Part]:
    rows = [
        {"kind": say(_KINDS[one["kind"]]), **{key: one[key] for key in ("value", "low", "high")}}
        for one in found["rates"]
    ]
    chart = bars(rows, Axis("kind"), Axis("value", say("said to follow"), ".0%", (0.0, 1.0)), rule=Rule(0.5))
    table = [[a, b, f"{p:.2f}"] for a, b, p in found["shown"]]
    return [
        Figure(
            "follows",
            chart,
            say(
                "How often B is said to follow A, by where B is from; lines are 95 % intervals. Sentences in the wrong "
                "order are of one document: a head that has learned topics alone lets them pass."
            ),
            say("Bars of how often B is said to follow A"),
        ),
        Table(["A", "B", "P"], table, say("The first three pairs are real."), left=(0, 1)),
    ]


ENTRY = Chapter(
    order=90,
    runs=("bert",),
    title="Next sentence",
    claim="Does the second sentence follow the first? BERT learns it beside the hidden words, from the vector of "
    "[CLS].",
    holds="It tells the next sentence from one of another document more often than by chance.",
    fails="It tells the next sentence from another one no better than by chance.",
    takes="Articles of different topics are told apart after ten minutes, chapters of one novel are not; BERT was "
    "right 97 to 98 times of a hundred, and later models left the task out without loss.",
    measure=_measure,
    parts=_parts,
)
