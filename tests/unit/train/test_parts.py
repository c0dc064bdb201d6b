"""Budgets, schedules, optimisers and the guard."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from polyseme.errors import ConfigError, TrainingError
from polyseme.train.config import DataConfig, TrainConfig
from polyseme.train.guard import UpdateGuard
from polyseme.train.optim import Optimizers, orthogonalise
from polyseme.train.request import Budget
from polyseme.train.schedule import learning_rate_factor


@pytest.mark.parametrize(
    "bad", [{}, {"minutes": 0}, {"steps": -1}, {"minutes": 1.0, "steps": 3}, {"epochs": float("nan")}]
)
def test_a_budget_is_one_positive_number(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Budget(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(minutes=2), 0.5),
        (Budget(steps=400), 0.25),
        (Budget(tokens=1000), 0.9),
        (Budget(epochs=0.5), 0.5),
        (Budget(steps=50), 1.0),
    ],
)
def test_progress(budget: Budget, expected: float) -> None:
    assert budget.progress(step=100, tokens=900, seconds=60.0, steps_per_epoch=400.0) == expected


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "trapezoid"])
def test_schedules_warm_up_peak_and_end(schedule: str) -> None:
    config = TrainConfig(schedule=schedule, warmup=0.1, final=0.2)
    assert 0 < learning_rate_factor(config, 0.0) < 0.02
    assert learning_rate_factor(config, 0.05) == pytest.approx(0.5)
    assert learning_rate_factor(config, 0.1) == pytest.approx(1.0)
    assert learning_rate_factor(config, 1.0) == pytest.approx(1.0 if schedule == "constant" else 0.2)
    assert learning_rate_factor(TrainConfig(warmup=0.0), 0.0) == 1.0


def test_sections_refuse_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="whole section"):
        TrainConfig.of({"batch_size": 10, "micro_batch_size": 4}, "test")
    with pytest.raises(ConfigError):
        DataConfig.of({"sequence_length": 64, "row_length": 32}, "test")
    with pytest.raises(ConfigError) as caught:
        TrainConfig.of({"learning_rat": 1}, "test")
    assert "learning_rate" in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 12, 40), (2, 40, 12)])
def test_orthogonalise_brings_singular_values_near_one(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonalise(matrices, dtype)
    assert result.dtype == matrices.dtype
    values = torch.linalg.svdvals(result)
    large = torch.linalg.svdvals(matrices) > 0.05 * torch.linalg.svdvals(matrices).amax(-1, keepdim=True)
    assert ((values[large] > 0.6) & (values[large] < 1.3)).all()


def test_optimisers_share_out_the_parameters_and_restore() -> None:
    def build() -> tuple[dict[str, nn.Parameter], Optimizers]:
        torch.manual_seed(0)
        named = {
            "encoder.word_embeddings.weight": nn.Parameter(torch.randn(9, 4)),
            "encoder.blocks.0.query_key_value.weight": nn.Parameter(torch.randn(12, 4)),
            "encoder.blocks.0.output.weight": nn.Parameter(torch.randn(4, 8)),
            "heads.masked_lm.norm.weight": nn.Parameter(torch.randn(4)),
        }
        return named, Optimizers(named, TrainConfig(optimizer="muon"))

    def update(named: dict[str, nn.Parameter], optimizers: Optimizers, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for p in named.values():
            p.grad = torch.randn(p.shape, generator=generator)
        optimizers.step(1e-2)

    named, optimizers = build()
    before = {k: v.detach().clone() for k, v in named.items()}
    update(named, optimizers, 1)
    assert all(not torch.equal(before[k], v) for k, v in named.items())
    moments = {k: v.clone() for k, v in optimizers.state_dict().items()}
    assert "encoder.blocks.0.output.weight.momentum" in moments
    assert "encoder.word_embeddings.weight.exp_avg" in moments
    weights = {k: v.detach().clone() for k, v in named.items()}
    update(named, optimizers, 2)

    other, restored = build()
    with torch.no_grad():
        for k, p in other.items():
            p.copy_(weights[k])
    restored.load_state_dict(moments)
    update(other, restored, 2)
    assert all(torch.equal(named[k], other[k]) for k in named)


def test_guard_skips_spikes_without_recording_them_and_never_freezes() -> None:
    guard = UpdateGuard(factor=10.0)
    assert all(guard.admit(1.0) for _ in range(40))
    assert not guard.admit(50.0)
    assert not guard.admit(float("nan"))
    assert guard.skipped == 2
    assert guard.admit(1.1)
    assert not guard.admit(50.0), "a spike that was skipped must not have moved the median"
    assert guard.admit(1.0)
    verdicts = [guard.admit(100.0) for _ in range(60)]
    assert verdicts[:4] == [False] * 4
    assert all(verdicts[4:]), "a lasting change of scale must be accepted"


def test_guard_gives_up_when_nothing_is_finite_and_restores() -> None:
    guard = UpdateGuard(factor=10.0)
    for _ in range(99):
        guard.admit(float("inf"))
    again = UpdateGuard(factor=10.0)
    again.load_state_dict(guard.state_dict())
    with pytest.raises(TrainingError, match="not finite"):
        again.admit(float("nan"))
