"""Duplicates are found, exact and near, and others are not."""

from __future__ import annotations

import random
from typing import Literal

import pytest

from polyseme.text.corpus import Document
from polyseme.text.dedupe import Deduplicator

WORDS = [f"word{i}" for i in range(2000)]


def found(mode: Literal["none", "exact", "near"], texts: list[str]) -> list[str | None]:
    memory = Deduplicator(mode)
    return [memory.seen(Document(text, "", 0).key, text) for text in texts]


def test_exact() -> None:
    assert found("exact", ["a", "b", "a", "a "]) == [None, None, "duplicate", None]
    assert found("none", ["a", "a"]) == [None, None]


def test_near_finds_small_changes_and_no_others() -> None:
    pytest.importorskip("rensa")
    draw = random.Random(1)
    originals = [" ".join(draw.choices(WORDS, k=300)) for _ in range(50)]
    changed = [text.replace(text.split()[100], "other", 1).upper() for text in originals]
    halves = [" ".join(text.split()[:150] + draw.choices(WORDS, k=150)) for text in originals]
    result = found("near", originals + changed + halves + originals)
    assert result[:50] == [None] * 50
    assert result[50:100].count("near_duplicate") >= 48
    assert result[100:150] == [None] * 50
    assert result[150:] == ["duplicate"] * 50


def test_near_works_on_chinese() -> None:
    pytest.importorskip("rensa")
    text = "".join(chr(0x4E00 + random.Random(i).randrange(3000)) for i in range(400))
    assert found("near", [text, text[:200] + "新" + text[200:], text[::-1]]) == [None, "near_duplicate", None]
