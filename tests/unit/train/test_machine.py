"""Who chooses the threads of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from polyseme.core.reporter import NullReporter
from polyseme.kernels.products import Rates
from polyseme.train import distributed, machine
from polyseme.train.config import TrainConfig
from polyseme.train.machine import pace_of, use_threads
from polyseme.train.request import Budget

CPU, MINUTES = torch.device("cpu"), Budget(minutes=1)


class Notes(NullReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_budget_in_minutes_may_use_fewer() -> None:
    reporter = Notes()
    pace = pace_of(None, MINUTES, CPU, reporter)
    assert pace is not None
    assert pace.most == 2
    pace._kept(2)
    assert reporter.notes == []
    pace._kept(1)
    pace._kept(1)
    assert len(reporter.notes) == 1
    assert "1 of 2 threads" in reporter.notes[0]


@pytest.mark.parametrize("budget", [Budget(steps=10), Budget(epochs=1), Budget(tokens=1000)], ids=str)
def test_other_budgets_give_the_same_bits_again(budget: Budget) -> None:
    assert pace_of(None, budget, CPU, NullReporter()) is None


def test_a_number_that_was_chosen_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace_of(2, MINUTES, CPU, NullReporter()) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert pace_of(None, MINUTES, CPU, NullReporter()) is None


def test_ranks_and_gpus_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace_of(None, MINUTES, torch.device("cuda"), NullReporter()) is None
    monkeypatch.setattr(distributed, "size", lambda: 2)
    assert pace_of(None, MINUTES, CPU, NullReporter()) is None


def test_a_torch_that_was_loaded_first_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def usable(cores: int) -> None:
        monkeypatch.setattr(machine, "default_threads", lambda: cores)

    usable(4)
    use_threads(None)
    assert torch.get_num_threads() == 2, "never more than torch has"
    usable(1)
    use_threads(None)
    assert torch.get_num_threads() == 1
    use_threads(2)
    assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    use_threads(None)
    assert torch.get_num_threads() == 2


def test_a_run_gives_its_threads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    pace: Any = pace_of(None, MINUTES, CPU, NullReporter())
    pace._change(1)
    assert torch.get_num_threads() == 1
    pace.close()
    assert torch.get_num_threads() == 2


def test_products_are_chosen_for_float32_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYSEME_PRODUCTS")
    monkeypatch.setattr(machine.products, "measured", lambda: Rates(1.0, 2.0, 1))
    numbers = machine.resolve_numbers(TrainConfig(precision="float32"), CPU)
    assert numbers == {"precision": "float32", "products": "onednn"}
    assert machine.resolve_numbers(TrainConfig(precision="bfloat16"), CPU)["products"] == "torch"
    named = TrainConfig(precision="bfloat16", products="onednn")
    assert machine.resolve_numbers(named, CPU)["products"] == "onednn"
    assert (
        machine.resolve_numbers(TrainConfig(precision="float32", products="torch"), CPU)["products"]
        == "torch"
    )
