"""Several ranks make the same updates as one, whichever way they share the work, and go on with each other's saves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from polyseme.train import checkpoint
from polyseme.train.parallel import cut
from ranked import CASES, STEPS, alone, learned, together, weights_of

WAYS = ("ddp", "fsdp")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[tuple[str, str, int], list[float]], Path]:
    """Losses by case, way and number of ranks: all cases by two ranks, some by one, four and three from half-way on."""
    folder, found = tmp_path_factory.mktemp("ranks"), {}
    jobs = [[case, way, 0, STEPS] for case in CASES for way in WAYS]
    jobs += [[case, "ddp", 0, STEPS // 2] for case in ("pieces", "muon")]
    for job, losses in zip(jobs, together(2, jobs, folder), strict=True):
        found[job[0], job[1], 2 if job[3] == STEPS else -2] = losses
    jobs = [["pieces", "fsdp", STEPS // 2, STEPS], ["muon", "ddp", STEPS // 2, STEPS]]
    found["pieces", "ddp", 1] = learned("pieces", "ddp", folder, STEPS // 2, STEPS)
    for ranks in (4, 3):
        for job, losses in zip(jobs, together(ranks, jobs, folder), strict=True):
            found[job[0], job[1], ranks] = losses
    return found, folder


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_equal_one(
    found: tuple[dict[tuple[str, str, int], list[float]], Path], case: str, way: str
) -> None:
    losses, folder = found
    of = 2 if case == "hollow" else 1
    assert losses[case, way, 2] == pytest.approx(alone(case, folder, of), rel=1e-5, abs=1e-5)
    one = load_file(folder / f"{case}-alone-{of}.safetensors")
    for name, weight in weights_of(case, way, folder, 2).items():
        assert torch.allclose(weight, one[name], atol=2e-5), name


@pytest.mark.parametrize(
    ("case", "way", "ranks"), [("pieces", "ddp", 1), ("pieces", "fsdp", 4), ("muon", "ddp", 4)]
)
def test_one_and_four_ranks_go_on_with_the_checkpoint_of_two(
    found: tuple[dict[tuple[str, str, int], list[float]], Path], case: str, way: str, ranks: int
) -> None:
    losses, folder = found
    assert losses[case, way, ranks] == pytest.approx(alone(case, folder)[STEPS // 2 :], rel=1e-5, abs=1e-5)
    one = load_file(folder / f"{case}-alone-1.safetensors")
    for name, weight in weights_of(case, way, folder, ranks, STEPS // 2, STEPS).items():
        assert torch.allclose(weight, one[name], atol=2e-5), name


@pytest.mark.parametrize(("case", "way"), [("pieces", "fsdp"), ("muon", "ddp")])
def test_three_ranks_go_on_with_the_checkpoint_of_two(
    found: tuple[dict[tuple[str, str, int], list[float]], Path], case: str, way: str
) -> None:
    losses, folder = found
    assert losses[case, way, 3] == pytest.approx(alone(case, folder)[STEPS // 2 :], rel=1e-5, abs=1e-5)
    three, _ = checkpoint.newest(folder / f"{case}-{STEPS}")  # of those that were learned last
    one, _ = checkpoint.newest(folder / f"{case}-alone-1")
    assert three is not None
    assert one is not None
    assert three.tensors.keys() == one.tensors.keys()
    for name, tensor in three.tensors.items():
        assert torch.allclose(tensor, one.tensors[name], atol=2e-5), name


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 6, 12])
def test_each_row_of_an_update_is_read_once(ranks: int, most: int) -> None:
    shares = [cut(12, most, rank, ranks) for rank in range(ranks)]
    rows = [row for share in shares for first, n in share for row in range(first, first + n)]
    assert rows == list(range(12))
    assert len({len(share) for share in shares}) == 1, "every rank makes as many passes"
    assert max(n for share in shares for _, n in share) <= max(2, most)
