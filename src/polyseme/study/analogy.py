"""Analogies: a is to b as c is to …?

    3CosAdd   argmax_d  cos(d, b - a + c)                              (Mikolov, Yih and Zweig 2013)
    3CosMul   argmax_d  cos'(d, b) · cos'(d, c) / (cos'(d, a) + ε)     (Levy and Goldberg 2014), cos' = (cos + 1) / 2

The three given words are no answers. Questions with a word that is not one entry of the vocabulary are left out and
counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polyseme.core.arrays import IntArray
from polyseme.errors import InputError
from polyseme.infer.loaded import Loaded, word_ids
from polyseme.tasks.metrics.intervals import measured, wilson
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.sources import read_lines

EPSILON = 1e-3
_CHUNK = 1 << 23
"""Cosines that stand in memory at once."""

Question = tuple[str, str, str, str]


def read_questions(file: Path, encoding: str = "auto", separator: str = "auto") -> dict[str, list[Question]]:
    """Questions by section: four words a line, sections begin with ": NAME".

    Args:
        encoding: of the file; "auto" to detect it.
        separator: what stands between words; "auto" = white space.

    Raises:  CorpusError: the file is missing or binary.  InputError: a line is not of that form.
    """
    sections: dict[str, list[Question]] = {}
    current = sections.setdefault("all", [])
    for number, line in enumerate(
        read_lines(file, TextConfig.of({"encoding": encoding}, "analogy"), CleaningReport()), 1
    ):
        words = [word.strip() for word in line.split(None if separator == "auto" else separator)]
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            current = sections.setdefault(line.strip().lstrip(":").strip() or "all", [])
            continue
        if len(words) != 4:
            raise InputError(
                "not an analogy", got=line[:80], expected="four words, or : SECTION", where=f"{file}:{number}"
            )
        a, b, c, d = words
        current.append((a, b, c, d))
    found = {name: questions for name, questions in sections.items() if questions}
    if not found:
        raise InputError("no analogies there", expected="lines of four words", where=file)
    return found


@torch.no_grad()
def analogy(loaded: Loaded, file: Path, *, encoding: str = "auto", separator: str = "auto") -> dict[str, Any]:
    """Accuracy of a run's static vectors on analogies.

    Args:
        encoding, separator: see `read_questions`.
    Returns {"file", "sections": {name: scores}, "total": scores}, where scores are {"questions", "covered", "cos_add",
    "cos_mul"}, the accuracies with Wilson intervals over the covered questions.
    Raises:  CorpusError, InputError: see `read_questions`.
    """
    hidden = loaded.special.special | loaded.tokenizer.continues
    answers = torch.from_numpy(~hidden)
    sections, correct, totals = {}, np.zeros(2, np.int64), np.zeros(2, np.int64)
    for name, questions in read_questions(file, encoding, separator).items():
        ids = [found for q in questions if (found := _ids(loaded, q)) is not None]
        right = _count(loaded.word_vectors, answers, torch.tensor(ids, dtype=torch.long).reshape(-1, 4))
        sections[name] = _scores(len(questions), len(ids), right)
        correct += right
        totals += [len(questions), len(ids)]
    return {
        "file": str(file),
        "sections": sections,
        "total": _scores(int(totals[0]), int(totals[1]), correct),
    }


def _count(vectors: Tensor, answers: Tensor, ids: Tensor) -> Any:
    """How many questions each rule answers.  Shapes: ids: (Q, 4) -> (2,)"""
    right = np.zeros(2, np.int64)
    if not len(ids):
        return right
    words, which = torch.unique(ids[:, :3], return_inverse=True)
    step = max(1, _CHUNK // len(vectors))
    if len(words) <= 4 * step:
        cosines = vectors[words] @ vectors.T  # shared by the questions of a section
    else:
        cosines = None
    for first in range(0, len(ids), step):
        chunk, at = ids[first : first + step], which[first : first + step]
        a, b, c = (
            (cosines[at[:, i]] if cosines is not None else vectors[chunk[:, i]] @ vectors.T) for i in range(3)
        )
        for rule, score in enumerate((b - a + c, (b + 1) * (c + 1) / (a + 1 + 2 * EPSILON))):
            score[:, ~answers] = -torch.inf
            score.scatter_(1, chunk[:, :3], -torch.inf)
            right[rule] += int((score.argmax(1) == chunk[:, 3]).sum())
    return right


def _ids(loaded: Loaded, question: Sequence[str]) -> list[int] | None:
    found = [word_ids(loaded.tokenizer, word) for word in question]
    if any(len(ids) != 1 for ids in found):
        return None
    return [ids[0] for ids in found]


def _scores(questions: int, covered: int, correct: IntArray) -> dict[str, Any]:
    add, mul = (
        measured(int(right) / covered if covered else float("nan"), wilson(int(right), covered), covered)
        for right in correct
    )
    return {"questions": questions, "covered": covered, "cos_add": add, "cos_mul": mul}
