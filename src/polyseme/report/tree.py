"""The tree of words for people: a dendrogram and the paths it is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from polyseme.report.charts import Axis, Chart
from polyseme.report.charts import tree as drawn_tree
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Notes, Part, Table
from polyseme.study.tree import branches

__all__ = ["tree_page"]


def tree_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The whole page.

    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    lead = say(
        "Where the classes of words part: classes were merged two by two, those first that stand in the most like "
        "contexts. Words that part late are alike."
    )
    figure = Figure(
        "tree",
        tree_chart(document, say),
        say("Words of one class share a leaf. The depth counts the branches from the root."),
        say("Tree of the classes of words"),
    )
    head = [say("word"), say("path"), say("other words of its class")]
    rows = [[one["word"], one["path"], ", ".join(one["beside"])] for one in document["words"]]
    parts: list[Part] = [
        Either(page=[figure]),
        Table(head, rows, left=(0, 1, 2)),
        Either(page=[Notes([say.note(note) for note in document["notes"]])]),
    ]
    name = Path(document["run"]).name
    return Page(say("The tree of words in {run}", run=name), lead, parts, lang)


def tree_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """A leaf a class."""
    leaves = []
    for row, (path, members) in enumerate(groupby(document["words"], lambda one: one["path"])):
        words = list(members)
        name, about = ", ".join(one["word"] for one in words), f"{path}: {', '.join(words[0]['beside'])}"
        leaves.append({"depth": len(path), "row": row, "name": name, "about": about})
    paths = list(dict.fromkeys(one["path"] for one in document["words"]))
    lines, _ = branches(paths)
    return drawn_tree(lines, leaves, Axis("depth", say("depth")))
