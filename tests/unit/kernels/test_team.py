"""Work side by side."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from polyseme.kernels.team import side_by_side


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_order_from_threads_that_compute_alone(threads: int) -> None:
    before, all_here = torch.get_num_threads(), threading.Barrier(threads, timeout=20)

    def work(item: int) -> tuple[int, int, str]:
        all_here.wait()
        return item, torch.get_num_threads(), threading.current_thread().name

    found = list(side_by_side(work, list(range(18)), threads))
    assert [item for item, *_ in found] == list(range(18))
    assert len({name for *_, name in found}) == threads
    if threads > 1:
        assert {alone for _, alone, _ in found} == {1}
    assert torch.get_num_threads() == before


def test_an_error_ends_it_and_torch_has_its_threads_again() -> None:
    before, done = torch.get_num_threads(), []

    def work(item: int) -> int:
        if item == 3:
            raise KeyError(item)
        done.append(item)
        return item

    with pytest.raises(KeyError):
        list(side_by_side(work, list(range(100)), 2))
    assert len(done) < 20
    assert torch.get_num_threads() == before


def test_a_reader_that_stops_early_leaves_nothing_running() -> None:
    running = []

    def work(item: int) -> int:
        running.append(item)
        return item

    results = side_by_side(work, list(range(100)), 2)
    assert next(results) == 0
    results.close()
    n = len(running)
    time.sleep(0.02)
    assert len(running) == n < 20
