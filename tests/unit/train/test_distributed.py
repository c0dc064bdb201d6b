"""What several ranks say to each other when something goes wrong, in threads that share a store."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist

from polyseme.core import ranks
from polyseme.errors import ConfigError, InputError, RunError, TrainingError
from polyseme.train import distributed
from polyseme.train.config import TrainConfig
from polyseme.train.parallel import pieces


def new_store() -> Any:
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def in_threads(size: int, work: Callable[[Any, int], Any]) -> list[Any]:
    """What each rank's work returned, or the exception that it raised."""
    store, answers = new_store(), [None] * size

    def one(rank: int) -> None:
        try:
            answers[rank] = work(store, rank)
        except BaseException as error:
            answers[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_ranks_agree_on_a_new_name_though_the_store_remembers_an_old_start() -> None:
    together = threading.Barrier(3)  # between two starts there is a training, which all end together

    def work(store: Any, rank: int) -> list[str]:
        names = []
        for _ in range(3):
            names.append(distributed._agreed_name(store, rank, 3))
            together.wait(30)
        return names

    first, *others = in_threads(3, work)
    assert len(set(first)) == 3
    assert others == [first, first]


def test_a_silent_rank_is_lost_and_the_first_of_the_others_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYSEME_RANK_TIMEOUT", "1")
    monkeypatch.setattr(distributed, "_BEAT_S", 0.1)

    def work(store: Any, rank: int) -> None:
        group = distributed._Group(store, rank, 3)
        try:
            if rank == 0:
                time.sleep(0.3)  # then it dies
            else:
                group.wait("on_rank_0/0", 0)
        finally:
            group.close()

    _, first_alive, other = in_threads(3, work)
    assert isinstance(first_alive, TrainingError)
    assert "rank 0 of 3 is lost" in str(first_alive)
    assert "--resume" in str(first_alive)
    assert isinstance(other, SystemExit)


def test_work_of_any_length_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYSEME_RANK_TIMEOUT", "1")
    monkeypatch.setattr(distributed, "_BEAT_S", 0.1)

    def work(store: Any, rank: int) -> str | None:
        group = distributed._Group(store, rank, 2)
        try:
            if rank == 1:
                return group.wait("on_rank_0/0", 0)
            time.sleep(2.5)  # more than a silent rank may
            store.set("on_rank_0/0", "done")
            time.sleep(1)
            return None
        finally:
            group.close()

    assert in_threads(2, work)[1] == "done"


def test_an_error_that_rank_0_meets_too_ends_the_others_silently() -> None:
    """Also where theirs is another one: it may follow from that of rank 0, which removes the files of its run."""

    def work(store: Any, rank: int) -> BaseException:
        group = distributed._Group(store, rank, 4)
        errors = [InputError("the same"), InputError("the same"), RunError("not a run"), FileNotFoundError()]
        try:
            if rank == 0:
                time.sleep(0.3)  # it removes them first
            return distributed._once(group, errors[rank])
        finally:
            group.close()

    first, *others = in_threads(4, work)
    assert isinstance(first, InputError)
    assert [type(other) for other in others] == [SystemExit] * 3
    assert [other.code for other in others] == [2, 2, 2]


def test_an_error_that_rank_0_does_not_meet_is_raised_where_it_is_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "_FIRST_S", 0.5)

    def work(store: Any, rank: int) -> BaseException | None:
        group = distributed._Group(store, rank, 2)
        try:
            return distributed._once(group, InputError("another", where="line 3")) if rank == 1 else None
        finally:
            group.close()

    _, error = in_threads(2, work)
    assert isinstance(error, TrainingError)
    assert (error.what, error.where) == ("another", "rank 1 of 2, line 3")


def refuse() -> torch.device:
    raise ConfigError(
        "no GPU that torch can use", got="--device cuda", fix="--device cpu, or polyseme doctor"
    )


def test_a_device_that_one_rank_lacks_is_said_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else is there: no address to meet at."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigError, match="no GPU"), distributed.joined(refuse):
        pass
    monkeypatch.delenv("RANK")
    with pytest.raises(ConfigError, match="no GPU"), distributed.joined(refuse):
        pass


def test_the_others_end_at_once_when_a_rank_has_left() -> None:
    """It says its error as soon as rank 0 has left for it, and waits no longer for the same error there."""

    def work(store: Any, rank: int) -> Any:
        group = distributed._Group(store, rank, 2)
        try:
            if rank == 1:
                began = time.monotonic()
                found = distributed._once(group, ConfigError("no GPU that torch can use"))
                return found, time.monotonic() - began
            try:
                group.wait("wait_for_all/0/1", 1)
            except SystemExit as error:
                return distributed._once(group, error)
        finally:
            group.close()

    ended, (said, seconds) = in_threads(2, work)
    assert isinstance(ended, SystemExit)
    assert ended.code == 2
    assert isinstance(said, TrainingError)
    assert (said.what, said.where) == ("no GPU that torch can use", "rank 1 of 2")
    assert seconds < distributed._FIRST_S


def test_whoever_waits_for_a_rank_that_failed_ends_with_its_code() -> None:
    store = new_store()
    group = distributed._Group(store, 1, 2)
    store.set("left/0", json.dumps({"code": 130, "shown": True}))
    with pytest.raises(SystemExit) as ended:
        group.wait("on_rank_0/0", 0)
    group.close()
    assert ended.value.code == 130


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan"])
def test_a_time_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("POLYSEME_RANK_TIMEOUT", text)
    with pytest.raises(ConfigError):
        distributed.patience()


def test_what_the_environment_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    assert (ranks.declared(), ranks.restarted(), ranks.job()) == ((0, 1), False, None)
    monkeypatch.setenv("WORLD_SIZE", "4")  # alone it says nothing: some schedulers set it
    assert ranks.declared() == (0, 1)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "10")
    assert (ranks.declared(), ranks.restarted(), ranks.job()) == ((3, 4), True, None)


class Unplugged:
    """A store whose machine is not there any more: calls do not come back."""

    def check(self, keys: list[str]) -> bool:
        threading.Event().wait(60)
        return False

    def set(self, key: str, value: str) -> None:
        threading.Event().wait(60)


@pytest.mark.parametrize("what", ["wait", "gone", "say"])
def test_a_store_that_does_not_answer_is_an_error_of_each_machine(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("POLYSEME_RANK_TIMEOUT", "0.3")
    monkeypatch.setenv("MASTER_ADDR", "host-a")
    group = distributed._Group(Unplugged(), 3, 4)
    ask = {"wait": lambda: group.wait("x", 1), "gone": group.gone, "say": lambda: group.say("x", "y")}
    began = time.monotonic()
    with pytest.raises(TrainingError, match="rank 0 of 4 is lost") as lost:
        ask[what]()
    assert lost.value.got == "host-a does not answer"
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit):  # another rank of that machine says so
        ask[what]()
    group.close()
    assert time.monotonic() - began < 3


def test_more_ranks_than_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 9)
    with pytest.raises(ConfigError, match="more ranks than rows"):
        pieces(TrainConfig(batch_size=8))


def test_an_error_of_the_computation_is_no_lost_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    group = distributed._Group(new_store(), 0, 2)
    monkeypatch.setattr(distributed._here, "group", group)
    with pytest.raises(RuntimeError, match="shapes"), distributed.collective():
        raise RuntimeError("shapes cannot be multiplied")
    group.close()
