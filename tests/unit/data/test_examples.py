"""Long sentences are cut so that every token can be seen."""

from __future__ import annotations

import numpy as np

from polyseme.data.examples import _cut_long


def test_long_sentences_become_several() -> None:
    sentences, documents = _cut_long(np.array([0, 3, 25, 26, 36]), np.array([0, 2, 4]), 10)
    assert sentences.tolist() == [0, 3, 13, 23, 25, 26, 36]
    assert documents.tolist() == [0, 4, 6]


def test_short_ones_stay() -> None:
    sentences, documents = _cut_long(np.array([0, 3, 9]), np.array([0, 1, 2]), 10)
    assert sentences.tolist() == [0, 3, 9]
    assert documents.tolist() == [0, 1, 2]
