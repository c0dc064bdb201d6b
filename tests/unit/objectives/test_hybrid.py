"""The hybrid objective: turns in a ratio, each part's batches as it would have them alone, one head for both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.core.types import Batch
from polyseme.data.examples import SpecialTokens
from polyseme.data.loader import Turns, heldout_batches, special_tokens
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import ConfigError
from polyseme.objectives.hybrid import Hybrid, HybridConfig
from polyseme.train.build import build_loader, check_objectives
from polyseme.train.heldout import heldout_recipe
from polyseme.train.recipe import Recipe, resolve
from small import VOCABULARY, make_encoder, make_learner

SPECIAL: SpecialTokens = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
SIZES = {"data.sequence_length": 16, "train.batch_size": 2}


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    random = np.random.default_rng(0)
    with StoreWriter(tmp_path / "train", VOCABULARY) as writer:
        for n in (40, 9, 31, 64, 5, 77):
            ids = random.integers(5, VOCABULARY, n)
            writer.add_documents(ids, np.ones(n, np.uint8), np.array([n]), np.array([1]))
    return TokenStore.open(tmp_path / "train")


def recipe(**settings: object) -> Recipe:
    return resolve("modernbert", "hybrid", {**SIZES, **settings})


def alone(objective: str, **settings: object) -> Recipe:
    model = "gpt" if objective == "causal_lm" else "modernbert"
    return resolve(model, None, {**SIZES, "objectives": objective, **settings})


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a.ids, b.ids) and all(
        torch.equal(x, y) for name in a.targets for x, y in zip(a.targets[name], b.targets[name], strict=True)
    )


@pytest.mark.parametrize(
    ("share", "turns"),
    [(0.5, "mcmcmcmc"), (0.25, "mmmcmmmc"), (0.75, "mcccmccc"), (0.0, "mmmmmmmm"), (1.0, "cccccccc")],
)
def test_batches_take_turns(store: TokenStore, share: float, turns: str) -> None:
    loader = build_loader(store, recipe(**{"hybrid.causal": share}), SPECIAL, 1)
    batches = [loader.batch(c, 2) for c in range(0, 16, 2)]
    assert "".join("mc"[batch.causal] for batch in batches) == turns
    assert all(set(b.targets) == {"causal_lm" if b.causal else "masked_lm"} for b in batches)


def test_each_part_has_the_batches_that_it_would_have_alone(store: TokenStore) -> None:
    loader = build_loader(store, recipe(), SPECIAL, 1)
    masks = build_loader(store, alone("masked_lm", **{"masked_lm.rate": 0.4}), SPECIAL, 1)
    lefts = build_loader(store, alone("causal_lm"), SPECIAL, 1)
    for turn in range(6):
        batch = loader.batch(2 * turn, 2)
        assert same(batch, (lefts if batch.causal else masks).batch(2 * (turn // 2), 2))


def test_both_are_judged_on_what_each_alone_would_be(store: TokenStore) -> None:
    judged = [
        heldout_batches(build_loader(store, heldout_recipe(one), SPECIAL, 0), 2, 100, 16)
        for one in (recipe(), alone("masked_lm"), alone("causal_lm"))
    ]
    both, masks, lefts = judged
    assert len(both) == len(masks) + len(lefts)
    assert all(same(a, b) for a, b in zip(both, [*masks, *lefts], strict=True))


def test_an_epoch_is_the_text_once(store: TokenStore) -> None:
    loader = build_loader(store, recipe(**{"hybrid.causal": 0.25}), SPECIAL, 1)
    assert isinstance(loader, Turns)
    first, second = (each.n_rows for each in loader.loaders)
    assert loader.n_rows == pytest.approx(0.75 * first + 0.25 * second)


def test_losses_are_the_plain_formulas_of_one_head(store: TokenStore) -> None:
    objective = Hybrid(HybridConfig(), SPECIAL, 1)
    learner = make_learner(make_encoder("modernbert"), [objective])
    (head,) = learner.heads.values()
    loader = build_loader(store, recipe(), SPECIAL, 1)
    batches = [loader.batch(0, 2), loader.batch(2, 2)]
    expected = {}
    for name, batch in zip(("masked_lm", "causal_lm"), batches, strict=True):
        positions, labels = batch.targets[name]
        with torch.no_grad():
            states = learner.encoder.eval().encode(batch).last.flatten(0, 1)[positions]
            hidden = head.norm(head.act(head.dense(states)))  # type: ignore[operator]
            logits = hidden @ learner.encoder.token_embedding().weight.t() + head.bias
            expected[name] = float(torch.nn.functional.cross_entropy(logits, labels))
    scores = learner.evaluate(batches)
    metrics = learner.step(batches, 0.5)
    for name, loss in expected.items():
        assert scores[f"{name}_loss"] == pytest.approx(loss, rel=1e-5)
        assert scores[f"{name}_baseline"] > 0
        assert metrics[f"{name}_loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics["loss"] == pytest.approx(sum(expected.values()), rel=1e-5)


def test_the_mask_makes_the_difference(store: TokenStore) -> None:
    encoder = make_encoder("modernbert").eval()
    batch = build_loader(store, recipe(**{"hybrid.causal": 1.0}), SPECIAL, 1).batch(0, 2)
    with torch.no_grad():
        both = encoder.encode(replace(batch, causal=False)).last
        assert not torch.allclose(encoder.encode(batch).last, both)


@pytest.mark.parametrize("model", ["gpt", "qwen3", "elmo", "word2vec"])
def test_models_that_read_one_way_are_refused(model: str) -> None:
    with pytest.raises(ConfigError, match="both sides") as error:
        check_objectives(resolve(model, None, {"objectives": "hybrid"}))
    assert "--recipe hybrid" in str(error.value.fix)


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="bad value for causal"):
        recipe(**{"hybrid.causal": 1.5})


@pytest.mark.parametrize("other", ["masked_lm", "causal_lm", "next_sentence"])
def test_what_draws_or_hides_itself_does_not_go_with_it(other: str) -> None:
    with pytest.raises(ConfigError, match=r"two objectives|left side"):
        check_objectives(resolve("modernbert", None, {"objectives": f"hybrid,{other}"}))


def test_a_short_text_has_counts_with_ends(store: TokenStore) -> None:
    counts: Callable[[TokenStore], np.ndarray] = Hybrid(HybridConfig(), SPECIAL, 1).counts
    assert counts(store)[3] == 6
