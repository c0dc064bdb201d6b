"""Windows for next-token prediction: every token but [CLS] is predicted exactly once, from what stands before it."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.core.rng import Random
from polyseme.data.examples import NextTokenWindows
from polyseme.data.loader import Loader, special_tokens
from polyseme.data.packing import RowPlan
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.objectives.causal_lm import CausalLM, CausalLMConfig

VOCABULARY = 64
SPECIAL = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def store_of(sizes: list[int], folder: str) -> tuple[TokenStore, list[list[int]]]:
    """Documents of the given numbers of tokens, and each as [CLS] tokens [SEP]."""
    random = np.random.default_rng(sum(sizes))
    texts = []
    with StoreWriter(Path(folder) / "train", VOCABULARY) as writer:
        for n in sizes:
            ids = random.integers(5, VOCABULARY, n)
            writer.add_documents(ids, np.ones(n, np.uint8), np.array([n]), np.array([1]))
            texts.append([2, *ids.tolist(), 3])
    return TokenStore.open(Path(folder) / "train"), texts


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, length=st.integers(2, 17))
def test_every_token_is_predicted_exactly_once(sizes: list[int], length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, texts = store_of(sizes, folder)
        windows = NextTokenWindows(store, length, SPECIAL)
        drawn = [windows.draw(i, 0) for i in range(len(windows.lengths))]
        assert [len(e.ids) for e in drawn] == windows.lengths.tolist()
        assert max(len(e.ids) for e in drawn) <= length
        predicted: list[list[int]] = []
        for example in drawn:
            if example.ids[0] == 2:
                predicted.append([2])
            assert (
                predicted[-1][-1] == example.ids[0]
            )  # a window begins with the token that was predicted last
            predicted[-1] += [*example.ids[1:].tolist(), example.label]
        assert predicted == texts
        for example in drawn:  # all but a document's last window are full
            assert len(example.ids) == length or example.label == 3


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES, length=st.integers(8, 20), rows=st.integers(1, 5))
def test_packed_rows_predict_right_neighbours(sizes: list[int], length: int, rows: int) -> None:
    """Over an epoch of packed rows, pairs of (token, next token) are those of the documents."""
    with tempfile.TemporaryDirectory() as folder:
        store, texts = store_of(sizes, folder)
        objective = CausalLM(CausalLMConfig(), SPECIAL, 0)
        source = objective.examples(store, length)
        plan = RowPlan(source.lengths, length, Random(1, "order"))
        loader = Loader(source, plan, [objective], length, SPECIAL)
        pairs: list[tuple[int, int]] = []
        for counter in range(0, plan.n_rows, rows):
            batch = loader.batch(counter, min(rows, plan.n_rows - counter))
            positions, labels = batch.targets["causal_lm"]
            assert len(positions) == batch.n_tokens
            assert batch.packed or len(positions) == batch.ids.numel()
            pairs += zip(batch.ids.ravel()[positions].tolist(), labels.tolist(), strict=True)
        expected = [pair for text in texts for pair in pairwise(text)]
        assert sorted(pairs) == sorted(expected)
