"""word2vec: words in like company get near vectors, and directions between them mean something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polyseme.core.files import make_folder, write_atomic
from polyseme.core.shell import command
from polyseme.errors import InputError
from polyseme.infer.loaded import Loaded
from polyseme.infer.neighbours import Neighbours, neighbours
from polyseme.lecture.chapter import Chapter, Found, figure, mean_of, share_of
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, bars
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table
from polyseme.study.tree import tree
from polyseme.study.word_vectors import analogy, word_matrix

_SHOWN, _NEAR, _ASKED, _ANALOGIES = 5, 6, 120, 3
_ENDINGS = ("s", "ed", "ing")
_PAIRS = 14
"""Pairs of an ending; every two of them make a question."""


def _measure(room: Room) -> dict[str, Any]:
    content = list(room.texts.enough(room.texts.content, 12, "words"))
    run, asked = room.run("word2vec"), content[:_ASKED]
    shown = ([room.word] if room.word else []) + content[:: max(1, len(asked) // _SHOWN)]
    lists = [
        {"word": word, "near": list(found)}
        for word, found in zip(shown, _near(run, shown), strict=True)
        if found
    ][:_SHOWN]
    first = {word: near[0]["word"] for word, near in zip(asked, _near(run, asked), strict=True) if near}
    placed = tree(room.run("word-classes"), [*first, *first.values()])
    known = {one["word"]: one["path"] for one in placed.words}
    pairs = [(known[a], known[b]) for a, b in first.items() if a in known and b in known]
    chance = _same_class_by_chance(list(known.values()))
    same = share_of([a == b for a, b in pairs])
    figures = [figure("nearest word is of the same word class", same, against=chance, percent=True)]
    shown_analogies: list[dict[str, Any]] = []
    commands = [
        command("polyseme", "neighbours", room.path("word2vec"), lists[0]["word"] if lists else "WORD")
    ]
    file = _questions(room)
    if file is not None:
        chance = 1 / max(1, run.tokenizer.vocab_size)
        for ending, scores in analogy(run, file).sections.items():
            name = "analogies by the ending of a word, right"
            figures.append(figure(name, scores["cos_add"], of=f"-{ending}", against=chance, percent=True))
        commands.append(command("polyseme", "analogy", room.path("word2vec"), file))
        shown_analogies = _answered(run, file, list(room.texts.counts))
        alike = mean_of(_alike(run, file))
        figures.append(figure("cosine of two differences that one ending makes", alike, against=0.0))
    return {"commands": commands, "figures": figures, "lists": lists, "analogies": shown_analogies}


def _sections(file: Path) -> list[list[list[str]]]:
    """The questions of every ending: four words each."""
    return [
        [line.split() for line in section.splitlines()[1:]]
        for section in file.read_text("utf-8").split(": ")[1:]
    ]


def _alike(run: Loaded, file: Path) -> list[float]:
    """Of every pair of an ending: the mean cosine of its difference with those of the other pairs of it."""
    cosines: list[float] = []
    for questions in _sections(file):
        pairs = dict.fromkeys((a, b) for a, b, _, _ in questions)
        (first, known), (second, too) = (word_matrix(run, side) for side in zip(*pairs, strict=True))
        differences = (second - first)[known & too]
        differences /= np.maximum(np.linalg.norm(differences, axis=1, keepdims=True), 1e-9)
        n = len(differences)
        if n > 1:
            cosines += (((differences @ differences.T).sum(1) - 1) / (n - 1)).tolist()
    return cosines


def _answered(run: Loaded, file: Path, vocabulary: list[str]) -> list[dict[str, Any]]:
    """The first questions of every ending, and the word nearest to b - a + c."""
    vectors, known = word_matrix(run, vocabulary)
    words = [word for word, has in zip(vocabulary, known, strict=True) if has]
    matrix = vectors[known]
    matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    place = {word: number for number, word in enumerate(words)}
    answered = []
    for questions in _sections(file):
        # every pair is first in as many questions as there are other pairs: other words in every line
        for a, b, c, d in questions[:: len({one[0] for one in questions})][:_ANALOGIES]:
            if {a, b, c, d} <= place.keys():
                cosines = matrix @ (matrix[place[b]] - matrix[place[a]] + matrix[place[c]])
                cosines[[place[a], place[b], place[c]]] = -np.inf
                said = words[int(cosines.argmax())]
                answered.append({"a": a, "b": b, "c": c, "said": said, "right": d})
    return answered


def _near(run: Loaded, words: list[str]) -> list[Neighbours | None]:
    """The neighbours of words, None of those without a vector."""
    found: list[Neighbours | None] = []
    for word in words:
        try:
            found.append(neighbours(run, word, None, _NEAR))
        except InputError:
            found.append(None)
    return found


def _same_class_by_chance(paths: list[str]) -> float:
    """The share of pairs of words that share a class."""
    _, counts = np.unique(paths, return_counts=True)
    n = int(counts.sum())
    return float((counts * (counts - 1)).sum() / max(1, n * (n - 1)))


def _questions(room: Room) -> Path | None:
    """Analogies by the ending of a word: list is to lists as string is to strings; None where there are few."""
    if room.lang != "en":
        return None
    counts = room.texts.counts
    lines: list[str] = []
    for ending in _ENDINGS:
        pairs = [(w, w + ending) for w in room.texts.content if counts[w] >= 8 and counts[w + ending] >= 8]
        chosen = pairs[:_PAIRS]
        if len(chosen) >= 4:
            lines.append(f": {ending}")
            lines += [f"{a} {b} {c} {d}" for a, b in chosen for c, d in chosen if a != c]
    if not lines:
        return None
    path = room.file("analogies.txt")
    make_folder(path.parent)
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return path


def _parts(found: Found, say: Speaker) -> list[Part]:
    rows = [
        {
            "word": near["word"],
            "cosine": near["similarity"],
            "label": f"{one['word']} · {near['word']}",
        }
        for one in found["lists"]
        for near in one["near"][:4]
    ]
    chart = bars(
        rows,
        Axis("label"),
        Axis("cosine", say("cosine"), ".3f", (0.0, 1.0)),
        [row["label"] for row in rows],
        size=(460, 20 * len(rows)),
    )
    table = [[one["word"], ", ".join(near["word"] for near in one["near"])] for one in found["lists"]]
    return [
        Figure(
            "neighbours",
            chart,
            say("The words whose vectors are nearest."),
            say("Bars of the cosines of the nearest words"),
        ),
        Table([say("word"), say("nearest words")], table, left=(0, 1)),
        *_analogies(found.get("analogies", []), say),
    ]


def _analogies(answered: Sequence[Mapping[str, Any]], say: Speaker) -> list[Part]:
    if not answered:
        return []
    rows = [
        [
            f"{one['b']} - {one['a']} + {one['c']}",
            one["said"],
            "✓" if one["said"] == one["right"] else one["right"],
        ]
        for one in answered
    ]
    head = [say("direction"), say("nearest words"), say("right answer")]
    return [Table(head, rows, say("A difference of two words, added to a third."), left=(0, 1, 2))]


ENTRY = Chapter(
    order=30,
    runs=("word2vec", "word-classes"),
    title="Word vectors",
    claim="A word is a point in space: words that are used alike lie near each other, and a difference such as that of "
    "one and many is a direction.",
    holds="The nearest word is of the same class far more often than chance has it.",
    fails="The nearest word is not surely of the same class more often than by chance.",
    takes="Mikolov et al. (2013) read 6 billion words; below a hundred million, directions such as king - man + woman "
    "are rarely right.",
    measure=_measure,
    parts=_parts,
)
