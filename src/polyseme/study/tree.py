"""The tree of words: where the classes of given words part, by their binary paths.

    day   0110          Brown clustering merges classes two by two, the ones first that cost the least mutual
    week  0111          information; a word's path is the way from the last merge to its class, a bit a branch. Words
    run   10            with a long common beginning stand in like contexts.

Paper: Brown et al. (1992), section 3; see objectives/class_bigram.py and models/word_classes.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from polyseme.core.result import Result
from polyseme.errors import ConfigError, InputError
from polyseme.infer.inputs import texts_of
from polyseme.infer.loaded import Loaded, word_ids
from polyseme.study import Run, opened
from polyseme.text.clean import replace_surrogates

if TYPE_CHECKING:
    from polyseme.models.word_classes import WordClasses

__all__ = ["Tree", "branches", "tree"]

_BESIDE = 5
"""The most frequent words of a class that are named."""


@dataclass(frozen=True, eq=False, repr=False)
class Tree(Result):
    """What `tree` found.

    Args:
        run: whose classes.
        words: one each, in the order of their paths: {"word", "path", "beside": the most frequent other words of its
            class}.
        unknown: words without a class.
        notes: what a person should know.
    """

    kind = "tree"

    run: str
    words: list[dict[str, Any]]
    unknown: list[str]
    notes: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {"run": self.run, "words": self.words, "unknown": self.unknown, "notes": list(self.notes)}

    def headline(self) -> str:
        """How many words in how many classes."""
        classes = len({word["path"] for word in self.words})
        return f"{len(self.words)} words in {classes} classes, {Path(self.run).name}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a word."""
        return [
            {"word": word["word"], "path": word["path"], "class": ", ".join(word["beside"])}
            for word in self.words
        ]


def tree(run: Run, words: Iterable[str]) -> Tree:
    """The classes of words and where they part.

    Args:
        run: of word-classes.
        words: two at least, one by one: a phrase has no class.
    Raises:  ConfigError: the run has no tree of classes.  InputError: fewer than two words with a class.

    Example:
        print(polyseme.tree("runs/classes", ["day", "week", "London", "Paris"]))
    """
    asked = list(dict.fromkeys(texts_of(words, "words")[0]))
    loaded = opened(run)
    if not hasattr(loaded.encoder, "paths_of"):
        raise ConfigError(
            "the run has no tree of word classes",
            got=loaded.recipe.architecture,
            expected="a run of word-classes",
            where=loaded.run.path,
            fix="polyseme pretrain word-classes CORPUS -o RUN, or polyseme cosines RUN WORD WORD in any run",
        )
    placed = {word: _placed(loaded, word) for word in asked}
    known = [one for one in placed.values() if one is not None]
    unknown = [word for word, one in placed.items() if one is None]
    if len(known) < 2:
        raise InputError(
            "two words with a class are needed at least",
            got=f"{len(known)} of {len(asked)}",
            expected="words of the vocabulary",
            fix="polyseme tree RUN WORD WORD",
        )
    notes = [f"without a class and left out: {', '.join(unknown)}"] if unknown else []
    known.sort(key=lambda one: (one["path"], asked.index(one["word"])))
    return Tree(replace_surrogates(str(loaded.run.path)), known, unknown, notes)


def _placed(loaded: Loaded, word: str) -> dict[str, Any] | None:
    """A word's path and the words beside it; None where it has no class."""
    encoder = cast("WordClasses", loaded.encoder)
    ids = word_ids(loaded.tokenizer, word)
    if len(ids) != 1 or (of := int(encoder.classes[ids[0]])) < 0:
        return None
    special = loaded.tokenizer.special_ids  # [UNK] has a class, too, and is no word
    beside = [i for i, _ in encoder.neighbours(ids[0], _BESIDE + len(special)) if i not in special]
    return {
        "word": word,
        "path": encoder.paths_of(encoder.tree)[of],
        "beside": [loaded.tokenizer.display(i).strip() for i in beside[:_BESIDE]],
    }


def branches(paths: Sequence[str]) -> tuple[list[dict[str, float]], float]:
    """The lines of the smallest tree that holds some paths, and the row of its root.

    Args:
        paths: sorted and different: the rows 0, 1, … of the leaves.
    Returns {"from", "to": depths, "at", "until": rows}: a line along the depth for every branch, and one across where
    branches part.

    Example:
        >>> lines, root = branches(["00", "01", "1"])
        >>> len(lines), root
        (7, 1.25)
    """
    lines = list[dict[str, float]]()
    root = _branch(paths, 0, 0, lines)
    return lines, root


def _branch(paths: Sequence[str], first: int, depth: int, lines: list[dict[str, float]]) -> float:
    """Adds the lines below a branch that begins at a depth; returns its row."""
    ends = zip(paths[0], paths[-1], strict=False)  # they are sorted
    parts = next((n for n, (a, b) in enumerate(ends) if a != b), len(paths[0]))
    if len(paths) == 1:
        row: float = first
    else:
        left = [path for path in paths if path[parts] == "0"]
        rows = [
            _branch(side, at, parts, lines)
            for side, at in ((left, first), (paths[len(left) :], first + len(left)))
        ]
        row = sum(rows) / 2
        lines.append({"from": parts, "to": parts, "at": rows[0], "until": rows[1]})
    lines.append({"from": depth, "to": parts, "at": row, "until": row})
    return row
