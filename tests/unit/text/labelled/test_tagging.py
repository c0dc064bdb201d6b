"""Spans are read as conlleval reads them, and what is allowed is exactly what a scheme can write."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from polyseme.text.labelled.tagging import Scheme, Span, allowed, scheme_of, spans, tags_of


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["O", "B-PER", "I-PER"], "BIO"),
        (["B-PER"], "BIO"),
        (["I-PER", "O"], "IO"),
        (["O"], "IO"),
        (["O", "B-A", "I-A", "E-A", "S-A"], "BIOES"),
        (["O", "B-A", "M-A", "E-A", "S-A"], "BIOES"),
        (["O", "B-A", "I-A", "L-A", "U-A"], "BIOES"),
        (["B", "M", "E", "S"], "BIOES"),
        (["B", "I", "O"], "BIO"),
        (["B-sort-of-thing", "O"], "BIO"),
        (["NOUN", "VERB"], None),
        (["B-", "O"], None),
        (["O-PER", "B-PER"], None),
        (["B-PER", "NOUN"], None),
        (["E", "S"], None),
        ([], None),
    ],
)
def test_schemes_are_recognised(tags: list[str], scheme: Scheme | None) -> None:
    assert scheme_of(tags) == scheme


def conlleval(tags: Sequence[str]) -> list[Span]:
    """The rules as they are usually written: two predicates on neighbouring tags."""

    def ends(before: str, now: str, kind_before: str, kind: str) -> bool:
        return (
            before in ("E", "S")
            or (before in ("B", "I") and now in ("B", "S", "O"))
            or (before != "O" and kind_before != kind)
        )

    def begins(before: str, now: str, kind_before: str, kind: str) -> bool:
        return (
            now in ("B", "S")
            or (before in ("E", "S", "O") and now in ("E", "I"))
            or (now != "O" and kind_before != kind)
        )

    found, start, before, kind_before = [], 0, "O", ""
    for i, tag in enumerate([*tags, "O"]):
        now, kind = tag[0], tag[2:]
        if ends(before, now, kind_before, kind):
            found.append((kind_before, start, i))
        if begins(before, now, kind_before, kind):
            start = i
        before, kind_before = now, kind
    return found


def test_spans_of_valid_and_invalid_sequences_are_those_of_conlleval() -> None:
    chance = random.Random(0)
    tags = ["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in ("X", "Y"))]
    for _ in range(5000):
        sequence = chance.choices(tags, k=chance.randrange(9))
        assert spans(sequence) == conlleval(sequence), sequence


def test_other_spellings_give_the_same_spans() -> None:
    ours = ["B-X", "I-X", "E-X", "O", "S-Y", "S-Y"]
    expected = [("X", 0, 3), ("Y", 4, 5), ("Y", 5, 6)]
    assert spans(ours) == expected
    assert spans([tag.replace("I-", "M-") for tag in ours]) == expected
    assert spans([tag.replace("E-", "L-").replace("S-", "U-") for tag in ours]) == expected
    assert spans(["B", "I", "O", "B"]) == [("_", 0, 2), ("_", 3, 4)]


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_spans_round_trip(scheme: Scheme) -> None:
    chance = random.Random(1)
    for _ in range(2000):
        n = chance.randrange(1, 10)
        cuts = sorted(chance.sample(range(n + 1), chance.randrange(0, n + 2)))
        given = [(chance.choice("XY_"), a, b) for a, b in itertools.pairwise(cuts) if chance.random() < 0.7]
        assert spans(tags_of(given, n, scheme)) == given
    assert tags_of([("X", 0, 2), ("X", 2, 3)], 3, "IO") == ["I-X", "I-X", "I-X"]


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_allowed_is_exactly_what_the_scheme_writes(scheme: Scheme) -> None:
    letters = "BI" if scheme == "BIO" else "BIES"
    tags = ["O", *(f"{letter}-{kind}" for kind in ("X", "Y") for letter in letters)]
    start, follow, end = allowed(tags)
    for length in (1, 2, 3, 4):
        for path in itertools.product(range(len(tags)), repeat=length):
            sequence = [tags[i] for i in path]
            legal = (
                start[path[0]] and end[path[-1]] and all(follow[a, b] for a, b in itertools.pairwise(path))
            )
            assert legal == (tags_of(spans(sequence), length, scheme) == sequence), sequence


@pytest.mark.parametrize(
    "tags",
    [
        ["B-X", "E-X"],
        ["B-X", "I-X"],
        ["E-X", "O"],
        ["B", "M", "E", "S"],
        ["B-X", "I-Y", "S-Z"],
        ["I-X", "E-X", "B-Y"],
        ["L-X", "B-X", "U-Y", "I-Y"],
    ],
)
def test_some_sequence_of_every_length_is_allowed(tags: list[str]) -> None:
    start, follow, end = allowed(tags)
    reached = start
    for length in range(1, 8):
        assert (reached & end).any(), length
        reached = (reached[:, None] & follow).any(0)


def test_plain_classes_and_io_allow_everything() -> None:
    for tags in (["NOUN", "VERB", "X"], ["O", "I-X", "I-Y"]):
        assert all(array.all() for array in allowed(tags))
    assert [array.shape for array in allowed(["NOUN", "VERB"])] == [(2,), (2, 2), (2,)]
