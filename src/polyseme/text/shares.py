"""Shares of several sources in a training text: `novels/=0.5 news.jsonl=0.5`.

A share is one of the *words* of the training text, counted where the tokenizer begins a word, so that it means the same
whatever the vocabulary. Nothing is repeated: the text is as large as the shares allow, one source is read whole, of
the others as many documents as their shares ask for, drawn at random; the last of them ends after the sentence that
reaches the share. So a pass over the text still reads each of its sentences once, and what was left out is said.

Where there is a file, a folder or a pattern of the whole name, "=" is a part of it.
"""

from __future__ import annotations

import glob
import math
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from polyseme.core.arrays import IntArray
from polyseme.core.rng import Random
from polyseme.errors import ConfigError
from polyseme.text.builtin import BUILTINS

__all__ = ["Sources", "drawn", "read_shares", "share_lines", "words_allowed"]

_SUM = 2e-3
"""How far a sum may be from 1: three times 0.333 is meant to be all."""


class Sources(NamedTuple):
    """What the user named, and the share of each; `shares` is empty where none has one."""

    names: list[str]
    shares: list[float]


def read_shares(sources: Iterable[str]) -> Sources:
    """Part names from shares.

    Raises:  ConfigError: a share that is no number above 0, shares that do not sum to 1, or some without a share.

    Example:
        >>> read_shares(["no such folder/=0.25", "python-docs=0.75"])
        Sources(names=['no such folder/', 'python-docs'], shares=[0.25, 0.75])
    """
    sources = list(sources)
    pairs = [_pair(source) for source in sources]
    names, shares = [name for name, _ in pairs], [share for _, share in pairs if share is not None]
    if not shares:
        return Sources(names, [])
    if len(shares) < len(names):
        left = 1 - sum(shares)
        missing = [name for name, share in pairs if share is None]
        each = left / len(missing) if left > 0 else 1 / len(names)
        given = [share if share is not None and left > 0 else each for _, share in pairs]
        raise ConfigError(
            "some sources have a share and others have none",
            got=f"no share for {', '.join(missing[:3])}",
            fix=_typed(names, given),
        )
    total = sum(shares)
    if abs(total - 1) > _SUM:
        raise ConfigError(
            "the shares of the sources do not sum to 1",
            got=f"{' + '.join(f'{share:g}' for share in shares)} = {total:g}",
            expected="shares of the words of the training text",
            fix=_typed(names, shares),
        )
    return Sources(names, [share / total for share in shares])


def _pair(source: str) -> tuple[str, float | None]:
    """The name and the share of one source.

    Raises:  ConfigError: what stands behind the last "=" is no share, though what stands before it exists.
    """
    name, equals, text = source.rpartition("=")
    if not equals or _is_there(source):
        return source, None
    try:
        share = float(text)
    except ValueError:
        if name and _is_there(name):
            raise _no_share(text, name) from None
        return source, None
    if not name:
        return source, None
    if not (math.isfinite(share) and 0 < share <= 1):
        raise _no_share(text, name)
    return name, share


def _no_share(text: str, name: str) -> ConfigError:
    if text and not text.strip("0."):
        return ConfigError(
            "not a share of the training text",
            got=repr(text),
            expected="a number above 0",
            where=name,
            fix="leave it out",
        )
    share = 0.5
    if text.endswith("%") and text[:-1].replace(".", "", 1).isdigit() and 0 < float(text[:-1]) < 100:
        share = float(text[:-1]) / 100
    return ConfigError(
        "not a share of the training text",
        got=repr(text),
        expected="a number above 0 and at most 1",
        where=name,
        fix=shlex.quote(f"{name}={share:g}"),
    )


def _is_there(name: str) -> bool:
    return os.path.lexists(name) or name in BUILTINS or (glob.has_magic(name) and bool(glob.glob(name)))


def _typed(names: Sequence[str], shares: Sequence[float]) -> str:
    """The sources as they are typed with these shares, made to sum to 1."""
    parts = [round(share / sum(shares), 4) for share in shares]
    largest = max(range(len(parts)), key=parts.__getitem__)
    parts[largest] = round(1 - sum(parts[:largest]) - sum(parts[largest + 1 :]), 4)
    return " ".join(shlex.quote(f"{name}={part:g}") for name, part in zip(names, parts, strict=True))


def words_allowed(found: Sequence[int], shares: Sequence[float]) -> list[int]:
    """How many words of each source a text of these shares has, if none is repeated and one is used up.

    Args:
        found: words of each source.

    Example:
        >>> words_allowed([900, 100, 500], [0.5, 0.25, 0.25])
        [200, 100, 100]
    """
    whole = min(n / share for n, share in zip(found, shares, strict=True))
    return [min(n, round(whole * share)) for n, share in zip(found, shares, strict=True)]


def drawn(sizes: IntArray, words: int, random: Random) -> tuple[IntArray, int]:
    """Numbers of the documents of a source that make up so many words, in their order; the last may be needed in part.

    Args:
        sizes: words of every document.
        words: at most as many as there are.
    Returns the documents, and which of them is cut (-1: none), as the one that reaches the number.
    """
    if words >= int(sizes.sum()):
        return np.arange(len(sizes)), -1
    order = np.asarray(random.permutation(len(sizes), 0))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), words)) + 1
    return np.sort(order[:enough]), int(order[enough - 1])


def share_lines(shares: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the shares of the sources came to, a line each; for people."""
    lines = [
        f"{entry['source']}: {entry['share']:.1%} of the words: {entry['words']:,}"
        + (
            " (all there are)"
            if entry["words"] == entry["words_found"]
            else f" of its {entry['words_found']:,}, documents drawn at random"
        )
        for entry in shares
    ]
    if any(entry["heldout_words"] < entry["heldout_words_found"] for entry in shares):
        lines.append("held-out text has the same shares")
    elif shares:
        lines.append("held-out text has not the same shares: all of it is there")
    return lines
