"""Word similarity: do a run's word vectors rank pairs of words as people do?

    cosine of the two static vectors  ~  people's score,  compared by Spearman's rank correlation

Sets: SimLex-999 (Hill et al. 2015), SimVerb-3500 (Gerz et al. 2016), MTurk-771 (Halawi et al. 2012), RW (Luong et al.
2013), wordsim-240 for Chinese and the like. Pairs with a word that the run does not know are left out and counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from polyseme.errors import InputError
from polyseme.infer.loaded import Loaded, word_ids
from polyseme.study.stats import interval_of_pairs
from polyseme.tasks.metrics.intervals import measured
from polyseme.tasks.metrics.regression import spearman
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.sources import read_lines

LEAST_PAIRS = 3


class Pair(NamedTuple):
    """Two words and how similar people find them."""

    first: str
    second: str
    score: float


def read_pairs(file: Path, encoding: str = "auto", separator: str = "auto") -> list[Pair]:
    """Pairs of a file: two words and a score a line, a head line perhaps above them.

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


def similarity(
    loaded: Loaded, file: Path, *, encoding: str = "auto", separator: str = "auto"
) -> dict[str, Any]:
    """Spearman's correlation of a run's cosines with people's scores.

    Args:
        encoding, separator: see `read_pairs`.
    Returns {"file", "spearman": {"value", "low", "high", "n"}, "pairs", "covered", "unknown": words}; the interval is a
    bootstrap over the pairs that are covered, None where there are fewer than three.
    Raises:  CorpusError, InputError: see `read_pairs`.
    """
    pairs = read_pairs(file, encoding, separator)
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
    """A word's static vector, of length one; of several tokens their mean; None where one is unknown.

    Shapes:  -> (hidden_size,)
    """
    ids = word_ids(loaded.tokenizer, word)
    if not ids:
        return None
    return nn.functional.normalize(loaded.word_vectors[ids].mean(0), dim=0)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
