"""Word classes: words that keep the same company share a class, and classes are a tree."""

from __future__ import annotations

from typing import Any

from polyseme.core.shell import command
from polyseme.lecture.chapter import Chapter, Found, figure
from polyseme.lecture.room import Room
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table
from polyseme.report.tree import tree_chart
from polyseme.study.holes import holes
from polyseme.study.tree import tree

_DRAWN = 16
_ASKED = 150
"""Frequent words whose classes are compared."""


def _measure(room: Room) -> dict[str, Any]:
    content = list(room.texts.enough(room.texts.content, 12, "words"))
    run = room.run("word-classes")
    everything = tree(run, content[:_ASKED])
    classes: dict[str, list[str]] = {}
    for one in everything.words:
        classes.setdefault(one["path"], []).append(one["word"])
    several = {path: words for path, words in classes.items() if len(words) >= 2}
    room.texts.enough(list(several), 5, "classes with two frequent words")
    # classes of two words and more, so that the tree has leaves with company, in the order of their frequency
    drawn: list[str] = []
    for words in sorted(several.values(), key=lambda words: content.index(words[0])):
        if len(drawn) < _DRAWN:
            drawn += words[:3]
    names = [f"[MASK] ({path})" for path in several]
    compared = holes(room.run("word2vec"), names, list(several.values()), seed=room.seed)
    (vectors,) = compared.runs
    difference = vectors["difference"]
    return {
        "commands": [command("polyseme", "tree", room.path("word-classes"), *drawn)],
        "figures": [
            figure(
                "cosine in word2vec of words of one class, less that of words of others",
                difference,
                against=0.0,
            )
        ],
        "tree": tree(run, drawn).document(),
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    document = found["tree"]
    rows = [[one["word"], one["path"], ", ".join(one["beside"])] for one in document["words"]]
    return [
        Figure(
            "tree",
            tree_chart(document, say),
            say("Words of one class share a leaf. The depth counts the branches from the root."),
            say("Tree of the classes of words"),
        ),
        Table([say("word"), say("path"), say("other words of its class")], rows, left=(0, 1, 2)),
    ]


ENTRY = Chapter(
    order=20,
    runs=("word-classes", "word2vec"),
    title="Word classes",
    claim="Words that stand in like contexts are put into one class, and classes are merged into a tree: dog, cat and "
    "bird here, ran and jumped there. What a class does not say is how its members differ.",
    holds="Words of one class are nearer to each other in word2vec, which knows nothing of the classes, than words of "
    "different classes.",
    fails="Words of one class are not surely nearer to each other than others.",
    takes="Brown et al. (1992) read 366 million words.",
    measure=_measure,
    parts=_parts,
)
