"""Learners of their own kind: saved, loaded and gone on with they end the same; what they write is what a run reads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as parse
from safetensors.torch import save as serialise

from polyseme.core import registry
from polyseme.data.store import TokenStore
from polyseme.text.config import TokenizerConfig
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer
from small import VOCABULARY, is_gradient, make_encoder

MODELS = [name for name in registry.models.names() if not is_gradient(name)]
STEPS = 60  # enough for all that end by themselves


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    text = " ".join(f"w{i}" for i in range(5, VOCABULARY))
    config = TokenizerConfig(kind="spaces", vocab_size=VOCABULARY, min_count=1)
    return train_tokenizer([text], config, len(text))


@pytest.fixture(params=MODELS)
def make(
    request: pytest.FixtureRequest, make_store: Callable[..., TokenStore], tokenizer: Tokenizer
) -> Callable[[], Any]:
    """A fresh learner for the same text and seed at every call."""
    name = request.param
    objective = registry.objectives.load(registry.models.load(name).objectives[0])
    train, valid = make_store([[9, 8, 7]] * 40, 1), make_store([[9, 8, 7]] * 4, 2)

    def learner() -> Any:
        return objective.learner(
            make_encoder(name, num_classes=8),
            objective.config(),
            train=train,
            valid=valid,
            tokenizer=tokenizer,
            seed=7,
            learning_rate=lambda progress: 0.05 * (1 - progress),
            heldout_tokens=64,
            threads=1,
        )

    return learner


def run(learner: Any, first: int, last: int) -> None:
    spans = learner.stream(first, lambda row: row / STEPS)
    for step, span in enumerate(islice(spans, last - first), first):
        if learner.finished:
            return
        learner.step([span], step / STEPS)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("stop", [1, 2, 4, 7])
def test_save_load_resume_is_identical(make: Callable[[], Any], stop: int) -> None:
    straight = make()
    run(straight, 0, STEPS)
    halfway = make()
    run(halfway, 0, stop)
    tensors, extra = halfway.state_dict()
    saved = parse(serialise(tensors))  # through the format of a checkpoint
    run(halfway, stop, STEPS)  # it must not change what was saved
    other = make()
    run(other, 0, 1)  # it has a state of its own that must vanish
    other.load_state_dict(saved, extra)
    assert same(other.weights(), {k: v for k, v in saved.items() if k in other.weights()})
    run(other, stop, STEPS)
    assert same(straight.weights(), other.weights())
    assert same(straight.weights(), halfway.weights())


def test_weights_have_the_names_of_a_run(make: Callable[[], Any]) -> None:
    learner = make()
    run(learner, 0, 3)
    weights = learner.weights()
    assert weights
    assert all(name.startswith(("encoder.", "heads.")) for name in weights)
    assert weights.keys() <= learner.state_dict()[0].keys()
    before = {k: v.clone() for k, v in weights.items()}
    for tensor in weights.values():
        tensor.zero_()  # they are copies
    assert same(learner.weights(), before)


def test_load_weights_puts_them_in_place(make: Callable[[], Any]) -> None:
    learner, other = make(), make()
    run(learner, 0, STEPS)
    other.load_weights(learner.weights())
    assert same(other.weights(), learner.weights())
    run(other, 0, 3)  # and goes on


def test_evaluate_changes_nothing(make: Callable[[], Any]) -> None:
    learner, quiet = make(), make()
    for step in (0, 2, 5):
        run(learner, max(0, step - 3), step) if step else None
        first, second = learner.evaluate([]), learner.evaluate([])
        assert first == second
        losses = [name for name in first if name.endswith("_loss")]
        assert losses
        assert all(f"{name.removesuffix('_loss')}_baseline" in first for name in losses)
    run(quiet, 0, 2)
    run(quiet, 2, 5)
    assert same(learner.weights(), quiet.weights())


def test_it_says_what_it_costs(make: Callable[[], Any]) -> None:
    learner = make()
    assert learner.n_parameters > 0
    assert learner.steps_per_epoch > 0
    spans = list(islice(learner.stream(0, lambda row: 0.0), max(1, round(learner.steps_per_epoch))))
    assert sum(span.n_tokens for span in spans) == pytest.approx(
        learner.tokens_per_step * learner.steps_per_epoch, rel=0.01
    )
    again = learner.stream(1, lambda row: 0.0)
    assert list(islice(again, len(spans) - 1)) == spans[1:]


def test_other_files_follow_from_the_weights(make: Callable[[], Any], tmp_path: Path) -> None:
    learner = make()
    if not hasattr(learner, "files"):
        pytest.skip("it writes no others")
    run(learner, 0, STEPS)
    weights = learner.weights()
    files = learner.files(weights)
    assert files == make().files(weights)
    assert all(isinstance(data, bytes) and data for data in files.values())
