"""Static word vectors against human judgement: similar words, and a is to b as c is to …?

similarity   Spearman's rank correlation of the cosine of two static vectors with people's scores

    Sets: SimLex-999 (Hill et al. 2015), SimVerb-3500 (Gerz et al. 2016), MTurk-771 (Halawi et al. 2012), RW (Luong et
    al. 2013), wordsim-240 for Chinese and the like. Pairs with a word that the run does not know are left out and
    counted.

analogy      3CosAdd   argmax_d  cos(d, b - a + c)                          (Mikolov, Yih and Zweig 2013)
             3CosMul   argmax_d  cos'(d, b) · cos'(d, c) / (cos'(d, a) + ε)     (Levy and Goldberg 2014),
                       cos' = (cos + 1) / 2

    The three given words cannot be the answer. A question is left out, and counted, if one of its words is not a single
    entry of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import BoolArray, Float32Array, IntArray
from polyseme.core.paths import PathLike, Paths, names_of, path_of
from polyseme.core.protocols import SparseEncoder
from polyseme.core.result import Result
from polyseme.errors import InputError
from polyseme.infer.loaded import Loaded, word_ids
from polyseme.infer.neighbours import vector_by_letters
from polyseme.study import Run, opened, reading
from polyseme.study.stats import interval_of_pairs
from polyseme.tasks.metrics.intervals import measured, wilson
from polyseme.tasks.metrics.regression import spearman
from polyseme.text.clean import CleaningReport, replace_surrogates
from polyseme.text.config import TextConfig
from polyseme.text.sources import read_lines

__all__ = [
    "Analogies",
    "Similarity",
    "analogy",
    "read_pairs",
    "read_questions",
    "similarity",
    "word_matrix",
    "word_vector",
]

LEAST_PAIRS = 3


class Pair(NamedTuple):
    """Two words and how similar people find them."""

    first: str
    second: str
    score: float


def read_pairs(file: Path, encoding: str = "auto", separator: str = "auto") -> list[Pair]:
    """Read pairs of words: two words and a score a line; the first line may be a header.

    Args:
        encoding: of the file; "auto" to detect it.
        separator: what stands between words; "auto" = the first of tab ; , | and space that a line has.

    Raises:  CorpusError: the file is missing or binary.  InputError: a line is not of that form.
    """
    pairs: list[Pair] = []
    reading = TextConfig.of({"encoding": encoding}, "similarity")
    for number, line in enumerate(read_lines(file, reading, CleaningReport()), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        fields = [
            f.strip().strip('"')
            for f in line.split(
                separator if separator != "auto" else next((mark for mark in "\t;,|" if mark in line), None)
            )
        ]
        score = next((value for field in fields[2:] if (value := _number(field)) is not None), None)
        if score is not None and fields[0] and fields[1]:
            pairs.append(Pair(fields[0], fields[1], score))
        elif pairs or number > 1:
            raise InputError(
                "not a pair of words with a score",
                got=line[:80],
                expected="two words and a number, between tabs, commas, semicolons or spaces",
                where=f"{file}:{number}",
            )
    if len(pairs) < LEAST_PAIRS:
        raise InputError("too few pairs", got=len(pairs), expected=f"at least {LEAST_PAIRS}", where=file)
    return pairs


@dataclass(frozen=True, eq=False, repr=False)
class Similarity(Result):
    """What `similarity` found.

    Args:
        run: whose vectors.
        files: one each: {"file", "spearman": {"value", "low", "high", "n"}, "pairs", "covered", "unknown": words}; the
            interval is a bootstrap over the pairs that are covered, None where there are fewer than three.
    """

    kind = "similarity"
    notes = ()

    run: str
    files: list[dict[str, Any]]

    def document(self) -> list[dict[str, Any]]:
        """The figures of every file, JSON-able."""
        return self.files

    def headline(self) -> str:
        """The run."""
        return f"{Path(self.run).name}, Spearman's correlation with people's scores"

    def rows(self) -> list[dict[str, Any]]:
        """A row a file."""
        return [
            {
                "file": Path(file_result["file"]).name,
                "spearman": file_result["spearman"]["value"],
                "low": file_result["spearman"]["low"],
                "high": file_result["spearman"]["high"],
                "covered": file_result["covered"],
                "pairs": file_result["pairs"],
            }
            for file_result in self.files
        ]


def similarity(run: Run, files: Paths, *, separator: str = "auto", encoding: str = "auto") -> Similarity:
    """Spearman's correlation of a run's cosines with people's scores.

    Args:
        files: one or several, see `read_pairs`.
        separator, encoding: see `read_pairs`.
    Raises:  CorpusError, InputError: see `read_pairs`, or no file.
    """
    names = [path_of(name) for name in names_of(files)]
    if not names:
        raise InputError("no file of word pairs given", fix="polyseme similarity RUN FILE")
    asked = reading(None, separator, encoding)
    loaded = opened(run)
    results = [
        _correlation(loaded, read_pairs(file, asked.encoding, asked.separator), file) for file in names
    ]
    return Similarity(replace_surrogates(str(loaded.run.path)), results)


def _correlation(loaded: Loaded, pairs: Sequence[Pair], file: Path) -> dict[str, Any]:
    vectors: dict[str, torch.Tensor | None] = {}
    for word in (word for pair in pairs for word in pair[:2]):
        if word not in vectors:
            vectors[word] = word_vector(loaded, word)
    scores, cosines = [], []
    for pair in pairs:
        a, b = vectors[pair.first], vectors[pair.second]
        if a is not None and b is not None:
            scores.append(pair.score)
            cosines.append(float(a @ b))
    x, y = np.asarray(scores), np.asarray(cosines)
    enough = len(x) >= LEAST_PAIRS
    value = float(spearman(x[None], y[None])[0]) if enough else float("nan")
    interval = interval_of_pairs(spearman, x, y) if enough else (float("nan"), float("nan"))
    return {
        "file": str(file),
        "spearman": measured(value, interval, len(x)),
        "pairs": len(pairs),
        "covered": len(x),
        "unknown": sorted(word for word, vector in vectors.items() if vector is None),
    }


def word_vector(loaded: Loaded, word: str) -> torch.Tensor | None:
    """A word's static vector, of length one. It is the mean over the word's tokens; None if one of them is unknown.

    Shapes:  -> (hidden_size,)
    """
    ids = word_ids(loaded.tokenizer, word)
    if not ids:
        return None
    return nn.functional.normalize(loaded.word_vectors[ids].mean(0), dim=0)


@torch.no_grad()
def word_matrix(loaded: Loaded, words: Sequence[str]) -> tuple[Float32Array, BoolArray]:
    """The static vectors of words in any model, and which words have one; see study/cosines.py.

    Sparse ones (1-of-N, word classes) have only the columns that are not zero for all words.

    Shapes:  N words -> (N, D) float32, zeros for a word without a vector; (N,)
    """
    ids = [word_ids(loaded.tokenizer, word) for word in words]
    if hasattr(loaded.encoder, "active"):
        of = np.repeat(np.arange(len(words)), [len(row) for row in ids])
        flat = torch.tensor([i for row in ids for i in row], dtype=torch.long)
        token, column = (part.numpy() for part in cast(SparseEncoder, loaded.encoder).active(flat))
        _, place = np.unique(column, return_inverse=True)
        matrix = np.zeros((len(words), max(1, int(place.max(initial=-1)) + 1)), np.float32)
        np.add.at(matrix, (of[token], place), 1.0)
        return matrix, np.asarray(matrix.any(1))
    rows = [word_vector(loaded, word) for word in words]
    if loaded.reads_letters:
        rows = [
            vector_by_letters(loaded, word) if row is None and word.strip() else row
            for word, row in zip(words, rows, strict=True)
        ]
    known = np.array([row is not None for row in rows], np.bool_)
    width = loaded.word_vectors.size(1)
    return np.stack([np.zeros(width, np.float32) if row is None else row.numpy() for row in rows]), known


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


RULES = ("cos_add", "cos_mul")
_ENDS = (("", "value"), ("_low", "low"), ("_high", "high"))
EPSILON = 1e-3
_CHUNK = 1 << 23
"""Cosines in memory at once."""

Question = tuple[str, str, str, str]


def read_questions(file: Path, encoding: str = "auto", separator: str = "auto") -> dict[str, list[Question]]:
    """Read analogy questions by section: four words a line; a section begins with ": NAME".

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
    non_empty = {name: questions for name, questions in sections.items() if questions}
    if not non_empty:
        raise InputError("no analogies there", expected="lines of four words", where=file)
    return non_empty


@dataclass(frozen=True, eq=False, repr=False)
class Analogies(Result):
    """What `analogy` found.

    Args:
        run: whose vectors.
        file: the questions.
        sections: {name: scores}, where scores are {"questions", "covered", "cos_add", "cos_mul"}, the accuracies with
            Wilson intervals over the covered questions.
        total: the scores of all of them.
    """

    kind = "analogy"
    notes = ()

    run: str
    file: str
    sections: dict[str, dict[str, Any]]
    total: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        return {"file": self.file, "sections": self.sections, "total": self.total}

    def headline(self) -> str:
        """The run and the questions."""
        covered = f"{self.total['covered']:,} of {self.total['questions']:,} questions"
        return f"{Path(self.run).name}, {covered} of {Path(self.file).name}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a section, the total last."""
        return [
            {
                "section": name,
                **{f"{rule}{end}": scores[rule][key] for rule in RULES for end, key in _ENDS},
                "covered": scores["covered"],
                "questions": scores["questions"],
            }
            for name, scores in {**self.sections, "total": self.total}.items()
        ]


@torch.no_grad()
def analogy(run: Run, file: PathLike, *, separator: str = "auto", encoding: str = "auto") -> Analogies:
    """Accuracy of a run's static vectors on analogies.

    Args:
        file, separator, encoding: see `read_questions`.
    Raises:  CorpusError, InputError: see `read_questions`.
    """
    asked, path = reading(None, separator, encoding), path_of(file)
    loaded = opened(run)
    hidden = loaded.special.special | loaded.tokenizer.continues
    answers = torch.from_numpy(~hidden)
    sections, correct, totals = {}, np.zeros(2, np.int64), np.zeros(2, np.int64)
    for name, questions in read_questions(path, asked.encoding, asked.separator).items():
        ids = [question_ids for q in questions if (question_ids := _ids(loaded, q)) is not None]
        right = _count(loaded.word_vectors, answers, torch.tensor(ids, dtype=torch.long).reshape(-1, 4))
        sections[name] = _scores(len(questions), len(ids), right)
        correct += right
        totals += [len(questions), len(ids)]
    total = _scores(int(totals[0]), int(totals[1]), correct)
    return Analogies(replace_surrogates(str(loaded.run.path)), str(file), sections, total)


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
        # 3CosMul: each cos' is doubled here, and with it ε; a constant factor does not change the argmax
        for rule, score in enumerate((b - a + c, (b + 1) * (c + 1) / (a + 1 + 2 * EPSILON))):
            score[:, ~answers] = -torch.inf
            score.scatter_(1, chunk[:, :3], -torch.inf)
            right[rule] += int((score.argmax(1) == chunk[:, 3]).sum())
    return right


def _ids(loaded: Loaded, question: Sequence[str]) -> list[int] | None:
    ids_of_words = [word_ids(loaded.tokenizer, word) for word in question]
    if any(len(ids) != 1 for ids in ids_of_words):
        return None
    return [ids[0] for ids in ids_of_words]


def _scores(questions: int, covered: int, correct: IntArray) -> dict[str, Any]:
    add, mul = (
        measured(int(right) / covered if covered else float("nan"), wilson(int(right), covered), covered)
        for right in correct
    )
    return {"questions": questions, "covered": covered, "cos_add": add, "cos_mul": mul}
