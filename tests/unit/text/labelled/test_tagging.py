from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.errors import ConfigError, InputError
from polyseme.text.labelled.tagging import allowed, scheme_of, spans, tags_of


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["B-PER", "I-PER", "O"], "BIO"),
        (["B-PER", "B-LOC"], "BIO"),
        (["B-PER", "I-PER", "E-PER", "S-PER", "O"], "BIOES"),
        (["B-PER", "M-PER", "E-PER", "S-PER"], "BIOES"),
        (["B-PER", "I-PER", "L-PER", "U-PER"], "BIOES"),
        (["I-PER", "O"], "IO"),
        (["B", "I", "O"], "BIO"),
        (["B", "M", "E", "S"], "BIOES"),
        (["I", "O"], "IO"),
        (["NOUN", "VERB"], None),
        (["S", "M", "L"], None),
        (["B-PER", "NOUN"], None),
        (["O"], None),
        ([], None),
    ],
)
def test_scheme(tags: list[str], scheme: str | None) -> None:
    assert scheme_of(iter(tags)) == scheme


@pytest.mark.parametrize(
    ("tags", "loose", "strict"),
    [
        ("B-A I-A O B-B", [("A", 0, 2), ("B", 3, 4)], [("A", 0, 2), ("B", 3, 4)]),
        ("I-A I-A B-A I-B", [("A", 0, 2), ("A", 2, 3), ("B", 3, 4)], [("A", 2, 3)]),
        ("O I-A O", [("A", 1, 2)], []),
        ("B I B", [("", 0, 2), ("", 2, 3)], [("", 0, 2), ("", 2, 3)]),
        ("B-x-y I-x-y", [("x-y", 0, 2)], [("x-y", 0, 2)]),
        ("", [], []),
        ("O O", [], []),
    ],
)
def test_spans_of_bio(tags: str, loose: list[object], strict: list[object]) -> None:
    assert spans(tags.split()) == loose
    assert spans(tags.split(), strict="BIO") == strict


@pytest.mark.parametrize(
    ("tags", "loose", "strict"),
    [
        ("B-A I-A E-A S-A", [("A", 0, 3), ("A", 3, 4)], [("A", 0, 3), ("A", 3, 4)]),
        ("B-A I-A O", [("A", 0, 2)], []),
        ("B-A O E-A", [("A", 0, 1), ("A", 2, 3)], []),
        ("E-A E-A", [("A", 0, 1), ("A", 1, 2)], []),
        ("B-A E-B", [("A", 0, 1), ("B", 1, 2)], []),
        ("S-A I-A", [("A", 0, 1), ("A", 1, 2)], [("A", 0, 1)]),
        ("B-A M-A E-A", [("A", 0, 3)], [("A", 0, 3)]),
        ("B-A I-A L-A U-A", [("A", 0, 3), ("A", 3, 4)], [("A", 0, 3), ("A", 3, 4)]),
    ],
)
def test_spans_of_bioes(tags: str, loose: list[object], strict: list[object]) -> None:
    assert spans(tags.split()) == loose
    assert spans(tags.split(), strict="BIOES") == strict


@st.composite
def sentences(draw: st.DrawFn) -> tuple[int, list[tuple[str, int, int]]]:
    found, at = [], draw(st.integers(0, 3))
    for _ in range(draw(st.integers(0, 4))):
        end = at + draw(st.integers(1, 4))
        found.append((draw(st.sampled_from(["A", "B-b", ""])), at, end))
        at = end + draw(st.integers(0, 2))
    return at + draw(st.integers(0, 2)), found


@given(sentences(), st.sampled_from(["BIO", "BIOES", "BMES", "BILOU"]))
def test_tags_are_read_back(sentence: tuple[int, list[tuple[str, int, int]]], scheme: str) -> None:
    n, found = sentence
    tags = tags_of(found, n, scheme)
    assert len(tags) == n
    assert spans(tags) == spans(tags, strict="BIO" if scheme == "BIO" else "BIOES") == found


def test_tags_that_cannot_be_written() -> None:
    with pytest.raises(ConfigError, match="scheme"):
        tags_of([], 3, "BIOS")
    for found in ([("A", 0, 2), ("B", 1, 3)], [("A", 1, 1)], [("A", 2, 4)], [("A", -1, 1)]):
        with pytest.raises(InputError, match="span"):
            tags_of(found, 3)


@pytest.mark.parametrize(
    "tags",
    [
        ["O", "B-A", "I-A", "B-B", "I-B"],
        ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "E-B"],
        ["B", "M", "E", "S"],
        ["O", "B-A", "I-A", "L-A", "U-A"],
    ],
)
def test_allowed_sequences_are_the_well_formed_ones(tags: list[str]) -> None:
    start, transition, end = allowed(tags)
    scheme = scheme_of(tags)
    for n in (1, 2, 3, 4):
        for path in itertools.product(range(len(tags)), repeat=n):
            fits = (
                start[path[0]]
                and end[path[-1]]
                and all(transition[a, b] for a, b in itertools.pairwise(path))
            )
            written = [tags[k] for k in path]
            assert fits == (spans(written) == spans(written, strict=scheme)), written


@pytest.mark.parametrize("tags", [["NOUN", "VERB"], ["O", "I-A"], ["O"]])
def test_everything_is_allowed_without_marks(tags: list[str]) -> None:
    assert all(part.all() for part in allowed(tags))


@pytest.mark.parametrize(
    "tags",
    [
        ["O", "B-A", "I-B"],  # I alone opens, as where B is only written between spans that touch
        ["O", "S-A", "I-A"],
        ["O", "B-A", "S-A"],
        ["E-A", "O", "S-B"],
        ["O", "B-A", "I-A", "S-B"],
        ["O", "I-A", "E-A", "S-A"],
    ],
)
def test_no_tag_of_an_incomplete_set_is_a_dead_end(tags: list[str]) -> None:
    start, transition, end = allowed(tags)
    reach, leave = start.copy(), end.copy()
    for _ in tags:
        reach = reach | (reach @ transition)
        leave = leave | (transition @ leave)
    assert np.all(reach)
    assert np.all(leave)
