"""Every model with every objective: it can learn, every parameter takes part, and it can be saved and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from polyseme.core.rng import Random
from polyseme.core.types import Batch
from polyseme.data.examples import DocumentChunks, SpecialTokens
from polyseme.data.loader import Loader, Turns
from polyseme.data.packing import RowPlan
from polyseme.data.store import TokenStore
from small import make_encoder, make_learner, make_objectives, objectives_of


def make_loader(
    store: TokenStore, objectives: list[Any], special: SpecialTokens, length: int = 32
) -> Loader | Turns:
    if hasattr(objectives[0], "parts"):
        first, second = (make_loader(store, [part], special, length) for part in objectives[0].parts)
        assert isinstance(first, Loader)
        assert isinstance(second, Loader)
        return Turns(first, second, objectives[0].shares[1], rows=4)
    pairs = [o for o in objectives if o.draws]
    source = pairs[0].examples(store, length) if pairs else DocumentChunks(store, length, special)
    return Loader(source, RowPlan(source.lengths, length, Random(1, "order")), objectives, length, special)


@pytest.fixture
def eight(
    make_store: Callable[..., TokenStore], case: tuple[str, tuple[str, ...]], special: SpecialTokens
) -> tuple[str, list[Any], list[Batch]]:
    """Two batches that together hold eight examples."""
    store = make_store([[9, 8, 7]] * 8)
    objectives = make_objectives(case[1], special)
    loader = make_loader(store, objectives, special)
    return case[0], objectives, [loader.batch(0, 4), loader.batch(4, 4)]


def test_overfits_eight_examples(eight: tuple[str, list[Any], list[Batch]]) -> None:
    model_name, objectives, batches = eight
    learner = make_learner(make_encoder(model_name, initializer_range=0.02), objectives)
    first = learner.step(batches, 0.5)["loss"]
    for _ in range(150):
        last = learner.step(batches, 0.5)["loss"]
    assert last < 0.05 * first


def test_every_parameter_gets_a_gradient(
    gradient_model: str, special: SpecialTokens, make_store: Any
) -> None:
    objectives = make_objectives(objectives_of(gradient_model), special)
    batch = make_loader(make_store([[9, 8, 7]] * 8), objectives, special).batch(0, 8)
    encoder = make_encoder(gradient_model)
    heads = {o.name: o.build_head(encoder) for o in objectives}
    encoding = encoder.encode(batch)
    total = sum(o.loss(encoding, heads[o.name], batch)[0] for o in objectives)
    assert isinstance(total, torch.Tensor)
    total.backward()
    modules = {"encoder": encoder, **heads}
    silent = [
        f"{part}.{name}"
        for part, module in modules.items()
        for name, p in module.named_parameters()
        if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


def test_save_load_resume_is_identical(eight: tuple[str, list[Any], list[Batch]]) -> None:
    model_name, objectives, batches = eight
    straight = make_learner(make_encoder(model_name, hidden_dropout_prob=0.1), objectives, optimizer="muon")
    halfway: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None
    for step in range(6):
        if step == 3:
            tensors, extra = straight.state_dict()
            halfway = {k: v.clone() for k, v in tensors.items()}, extra
        straight.step(batches, step / 6)
    assert halfway is not None
    other = make_learner(make_encoder(model_name, hidden_dropout_prob=0.1), objectives, optimizer="muon")
    other.step(batches, 0.9)  # it has a state of its own that must vanish
    other.load_state_dict(*halfway)
    for step in range(3, 6):
        other.step(batches, step / 6)
    for name, weight in straight.weights().items():
        assert torch.equal(weight, other.weights()[name]), name


def test_accumulation_equals_one_batch(gradient_model: str, special: SpecialTokens, make_store: Any) -> None:
    objectives = make_objectives(objectives_of(gradient_model), special)
    loader = make_loader(make_store([[9, 8, 7, 6, 5]] * 8), objectives, special)
    results = []
    for rows in (8, 2):
        learner = make_learner(make_encoder(gradient_model), objectives, optimizer="adamw", clip_norm=0.0)
        batches = [loader.batch(c, rows) for c in range(0, 8, rows)]
        metrics = learner.step(batches, 0.5)
        results.append((metrics["loss"], metrics["grad_norm"]))
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def test_skipped_update_changes_nothing(eight: tuple[str, list[Any], list[Batch]]) -> None:
    model_name, objectives, batches = eight
    learner = make_learner(make_encoder(model_name), objectives)
    learner.step(batches, 0.5)
    before = learner.weights()
    poisoned = next(iter(learner.encoder.parameters()))
    hook = poisoned.register_hook(lambda grad: grad * float("nan"))
    metrics = learner.step(batches, 0.5)
    hook.remove()
    assert metrics["skipped"] == 1
    assert all(torch.equal(before[k], v) for k, v in learner.weights().items())
    assert learner.step(batches, 0.5)["skipped"] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler's own
def test_compiled_equals_plain(eight: tuple[str, list[Any], list[Batch]]) -> None:
    model_name, objectives, batches = eight
    if len(objectives) < len(objectives_of(model_name)):
        pytest.skip("compiling takes long; all objectives together are enough")
    plain = make_learner(make_encoder(model_name), objectives)
    compiled = make_learner(make_encoder(model_name), objectives, compile=True)
    for step in range(2):
        losses = [learner.step(batches, step / 2)["loss"] for learner in (plain, compiled)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
