"""Several ranks under torchrun: sums of numbers, work of rank 0 alone, and what happens when one is lost.

With one rank everything here costs nothing. Ranks wait for each other in two ways:

    collectives     sums in an update; a rank that does not come within `patience` seconds is lost
    on_rank_0, wait_for_all
                    around work of any length, by keys in the store that torchrun keeps: each rank beats there every few
                    seconds, and one that stopped beating for `patience` seconds is lost

Every error is shown once: by the rank where it happened, or by the first of the ranks that are left.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from polyseme.core.ranks import declared, is_spoken_for
from polyseme.errors import ConfigError, PolysemeError, TrainingError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store  # torch.distributed's own name for it is not typed

T = TypeVar("T")

PATIENCE_S = 120.0
"""Seconds after which a silent rank counts as lost; POLYSEME_RANK_TIMEOUT sets another number."""
_START_S = (
    1800.0  # until a rank is heard of for the first time: its machine may have to load torch over a network
)
_BEAT_S = 2.0
_FIRST_S = 5.0  # for rank 0 to say that it shows an error
_OF_THE_NETWORK = re.compile(r"gloo|nccl|connect|socket|peer|time[d ]*.?out|store|broken pipe", re.IGNORECASE)
"""In what torch says when another rank does not answer, and not when a rank's own computation fails."""


def patience() -> float:
    """Seconds after which a silent rank is lost.

    Raises:  ConfigError: POLYSEME_RANK_TIMEOUT is not a number of seconds.
    """
    text = os.environ.get("POLYSEME_RANK_TIMEOUT", "")
    try:
        seconds = float(text) if text else PATIENCE_S
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise ConfigError(
            "POLYSEME_RANK_TIMEOUT is not a number of seconds", got=text, expected="such as 120"
        )
    return seconds


class _Unheard(RuntimeError):
    """The store does not answer: the machine that holds it cannot be reached."""


class _Patient:
    """The store's answers, waited for in a thread of its own: where a link is cut, a call to the store never returns.

    Args:
        store: keys that all ranks see.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._questions: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[Any]]] = SimpleQueue()
        self._silent = False
        threading.Thread(target=self._work, name="store", daemon=True).start()

    def _work(self) -> None:
        while True:
            question, answer = self._questions.get()
            try:
                answer.put(question())
            except Exception as error:
                answer.put(error)

    def _ask(self, question: Callable[[], T], seconds: float) -> T:
        answer: SimpleQueue[Any] = SimpleQueue()
        self._questions.put((question, answer))
        try:
            result = answer.get(timeout=0.0 if self._silent else seconds)
        except Empty:
            self._silent = True
            raise _Unheard(f"{os.environ.get('MASTER_ADDR', 'its machine')} does not answer") from None
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]

    def get(self, key: str, seconds: float) -> str | None:
        """The value under a key, if there is one.  Raises:  RuntimeError: no answer in time."""
        return self._ask(lambda: self._store.get(key).decode() if self._store.check([key]) else None, seconds)

    def set(self, key: str, value: str, seconds: float) -> None:
        """Put a value under a key.  Raises:  RuntimeError: no answer in time."""
        self._ask(lambda: self._store.set(key, value), seconds)


class _Group:
    """What this process knows about the other ranks.

    Args:
        store: keys that all ranks see.
        rank, size: this one, and how many.
    """

    def __init__(self, store: Store, rank: int, size: int) -> None:
        self._store, self.rank, self.size, self.patience = store, rank, size, patience()
        self._patient, self._answered_within = _Patient(store), self.patience
        self._calls = {"on_rank_0": count(), "wait_for_all": count()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        for number in count():
            with suppress(RuntimeError):  # the store is gone: whoever waits sees that for itself
                self._store.set(f"beat/{self.rank}", str(number))
            if self._over.wait(_BEAT_S):
                return

    def close(self) -> None:
        """Stop beating."""
        self._over.set()
        self._thread.join(1.0)  # it may be waiting for a machine that is gone

    def key(self, kind: str) -> str:
        """A name for the next call of this kind. It is the same on all ranks, since they make the same calls."""
        return f"{kind}/{next(self._calls[kind])}"

    def get(self, key: str) -> str | None:
        """The value that a rank wrote under a key, if it has.  Raises:  RuntimeError: the store cannot be reached."""
        return self._patient.get(key, self._answered_within)

    def set(self, key: str, value: str) -> None:
        """Write a value under a key.  Raises:  RuntimeError: the store cannot be reached."""
        self._patient.set(key, value, self._answered_within)

    def say(self, key: str, value: str) -> None:
        """Write a value for which others wait.

        Raises:  as `cut_off`.
        """
        try:
            self.set(key, value)
        except RuntimeError as error:
            raise self.cut_off(str(error)) from None

    def be_brief(self) -> None:
        """Something is wrong: from now on the store has seconds to answer."""
        self._answered_within = min(self.patience, 3 * _BEAT_S)

    def wait(self, key: str, rank: int) -> str:
        """Wait for the value that a rank writes under a key, however long it works before.

        Raises:  TrainingError: it is lost.   SystemExit: it has ended with an error, which it has shown.
        """
        pause, looked = 0.005, 0.0
        try:
            watch = _Watch(self, [rank])
            while (value := self.get(key)) is None:
                if (now := time.monotonic()) - looked > 1.0:
                    looked = now
                    if self.get(f"left/{rank}") is not None and self.get(key) is None:
                        raise SystemExit(self.code(rank))
                    if watch.silent():
                        raise self.lost([rank], "it says nothing any more")
                time.sleep(pause)
                pause = min(0.25, 1.5 * pause)
        except _Unheard as error:
            raise self.cut_off(str(error)) from None
        except RuntimeError as error:  # the store ended with the process that held it
            raise self.lost([rank], str(error)) from None
        return value

    def code(self, rank: int) -> int:
        """The exit code of a rank that left."""
        return int(json.loads(self.get(f"left/{rank}") or "{}").get("code", 1))

    def gone(self) -> tuple[list[int], list[int]]:
        """Ranks that ended with an error that they show, and ranks that are lost; takes a few seconds.

        Raises:  as `cut_off`.
        """
        self.be_brief()
        other_ranks = [r for r in range(self.size) if r != self.rank]
        left: list[int] = []
        try:
            watch = _Watch(self, other_ranks)
            end = time.monotonic() + 3 * _BEAT_S
            while time.monotonic() < end and not left:
                watch.silent()
                time.sleep(0.1)
                left = [r for r in other_ranks if json.loads(self.get(f"left/{r}") or "{}").get("shown")]
        except _Unheard as error:
            raise self.cut_off(str(error)) from None
        except RuntimeError:  # the store ended with the process that held it, which is rank 0 or started it
            return left, [0] if self.rank else []
        return left, [r for r in watch.never_moved() if r not in left]

    def lost(self, ranks: Sequence[int], got: str) -> BaseException:
        """The error that the first remaining rank raises; the others end silently."""
        if _here.ours:
            _here.cut_short = 1
        first_alive = min(r for r in range(self.size) if r not in ranks)
        return self._lost(ranks, got) if self.rank == first_alive else SystemExit(1)

    def cut_off(self, got: str) -> BaseException:
        """The error of a machine from which rank 0 cannot be reached: nobody there knows of the others."""
        if _here.ours:
            _here.cut_short = 1
        return SystemExit(1) if is_spoken_for() else self._lost([0] if self.rank else [], got)

    def _lost(self, ranks: Sequence[int], got: str) -> TrainingError:
        names = " and ".join(map(str, ranks)) or "?"
        return TrainingError(
            f"rank {names} of {self.size} is lost",
            got=_plain(got),
            expected=f"an answer within {self.patience:g} seconds (POLYSEME_RANK_TIMEOUT)",
            fix="the same command with --resume goes on; torchrun --max-restarts 3 does so by itself",
        )


def _plain(message: str) -> str:
    """The first sentence of what gloo or NCCL says, without the place in its sources.

    Example:
        >>> _plain("[/pytorch/gloo/tcp/pair.cc:553] Connection closed by peer [::1]:80. This is typically …")
        'Connection closed by peer [::1]:80'
    """
    return re.sub(r"^\[[^\]]*\]\s*", "", message.partition("\n")[0]).partition(". ")[0]


class _Watch:
    """Watches which ranks still beat."""

    def __init__(self, group: _Group, ranks: Sequence[int]) -> None:
        self._group, self._begun = group, time.monotonic()
        self._seen: dict[int, tuple[str | None, float]] = dict.fromkeys(ranks, (None, self._begun))
        self._first: dict[int, str | None] = {r: group.get(f"beat/{r}") for r in ranks}
        self._moved: set[int] = set()

    def silent(self) -> list[int]:
        """Look again; returns the ranks that have been silent for too long."""
        now = time.monotonic()
        for rank, (beat, _) in self._seen.items():
            heard = self._group.get(f"beat/{rank}")
            if heard != self._first[rank]:
                self._moved.add(rank)
            if heard != beat:
                self._seen[rank] = heard, now
        return [
            rank
            for rank, (beat, since) in self._seen.items()
            if now - since > (_START_S if beat is None else self._group.patience)
        ]

    def never_moved(self) -> list[int]:
        """The ranks that have not beaten since the watch began."""
        return [rank for rank in self._seen if rank not in self._moved]


class _Here:
    """The group that this process is in."""

    group: _Group | None = None
    ours = False  # whether the process group is ours to end, or the caller's
    cut_short: int | None = None  # the exit code where a rank was lost


_here = _Here()


@atexit.register
def _end() -> None:
    """Where a rank was lost, end without putting torch's objects away: each sum under way is waited for to its end."""
    if _here.cut_short is not None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(_here.cut_short)


def _part(name: str, store: Store) -> Store:
    """The keys of a store that begin with a name."""
    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]  # torch's stubs do not name it


def start(device: torch.device, refusal: PolysemeError | None = None) -> torch.device:
    """Join the group that torchrun describes in the environment, if any. Returns this rank's device.

    Args:
        device: what this rank computes on.
        refusal: why this rank cannot take part; raised as soon as the other ranks can be informed.
    Raises:  TrainingError: the other ranks cannot be reached. SystemExit: another rank refused, and shows why.
    """
    if dist.is_initialized():
        if _here.group is None and dist.get_world_size() > 1:
            store, rank, size = (
                dist.distributed_c10d._get_default_store(),
                dist.get_rank(),
                dist.get_world_size(),
            )
            name, _here.ours = _agreed_name(store, rank, size), False
            _here.group = _Group(_part(f"polyseme/{name}", store), rank, size)
    elif declared()[1] > 1:
        limit = timedelta(seconds=patience())
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        try:
            store, rank, size = next(iter(rendezvous("env://")))
            name, _here.ours = _agreed_name(store, rank, size), True
            _here.group = _Group(_part(f"polyseme/{name}", store), rank, size)
            if refusal is not None:
                raise refusal
            wait_for_all()  # a rank that refuses would let the others wait in the next line
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=_part(f"group/{name}", store),
                rank=rank,
                world_size=size,
                timeout=limit,
            )
        except (RuntimeError, ValueError, OSError) as error:
            _close()
            if refusal is not None:
                raise refusal from None
            raise TrainingError(
                "the ranks cannot reach each other",
                got=str(error).partition("\n")[0],
                where=f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}",
                fix="see whether the network lets the machines of --nnodes talk, and that all were started",
            ) from None
    if refusal is not None:
        raise refusal
    return device


def _agreed_name(store: Store, rank: int, size: int) -> str:
    """A name that all ranks share for this start alone: torchrun keeps its store and its contents over restarts.

    Rank 0 offers a new name; the others answer with their own, and each waits until rank 0 repeats it.

    Raises:  RuntimeError: not all ranks came.
    """
    mine, end, key = uuid4().hex, time.monotonic() + _START_S, "polyseme/offer"

    def read(name: str) -> str | None:
        return store.get(name).decode() if store.check([name]) else None

    answers: dict[str, str | None] = {str(r): None for r in range(1, size)}
    if rank == 0:
        store.set(key, mine)
    while time.monotonic() < end:
        offer = mine if rank == 0 else read(key)
        if rank == 0:
            answers = {r: read(f"polyseme/{mine}/{r}") for r in answers}
            if None not in answers.values():
                store.set(f"polyseme/{mine}/go", json.dumps(answers))
                return mine
        elif offer is not None:
            store.set(f"polyseme/{offer}/{rank}", mine)
            if json.loads(read(f"polyseme/{offer}/go") or "{}").get(str(rank)) == mine:
                return offer
        time.sleep(0.02)
    raise RuntimeError(f"not all {size} ranks came within {_START_S:g} seconds")


def stop() -> None:
    """Leave the group, once all ranks have arrived here."""
    if dist.is_initialized():
        barrier()
    _close()


def _close() -> None:
    if _here.ours and dist.is_initialized() and _here.cut_short is None:
        dist.destroy_process_group()
    _here.ours = False
    if _here.group is not None:
        _here.group.close()
        _here.group = None


@contextmanager
def joined(choose: Callable[[], torch.device]) -> Iterator[torch.device]:
    """Be in the group inside a `with`. An error that rank 0 also meets is raised there, and ends the other ranks
    silently.

    Args:
        choose: returns the device; where it fails, the ranks join all the same, so that the error is shown once.
    Raises:  as `start` and `choose`.   SystemExit: the error is shown by another rank.
    """
    if not dist.is_initialized() and declared()[1] == 1:  # alone
        yield choose()
        return
    refusal: PolysemeError | None = None
    try:
        device = choose()
    except PolysemeError as error:
        device, refusal = torch.device("cpu"), error
    try:
        device = start(device, refusal)
        yield device
        stop()
    except BaseException as error:
        if _here.group is None:
            raise
        raise _once(_here.group, error) from error.__cause__
    finally:
        _close()


def _once(group: _Group, error: BaseException) -> BaseException:
    """Inform the other ranks of an error. Returns that error, or a silent exit where rank 0 shows one.

    Both may show the same error, or one follows from the other: a rank may miss a file that rank 0, which met an error,
    has removed.
    """
    shown = not isinstance(error, SystemExit)
    with suppress(RuntimeError):
        group.be_brief()
        group.set(f"left/{group.rank}", json.dumps({"code": _code(error), "shown": shown}))
        if group.rank == 0 or not shown:
            return error
        end = time.monotonic() + _FIRST_S
        while (leaving := group.get("left/0")) is None and time.monotonic() < end:
            time.sleep(0.05)
        if leaving is not None and json.loads(leaving)["shown"]:
            return SystemExit(group.code(0))
    if not isinstance(error, PolysemeError):
        return error
    where = f"rank {group.rank} of {group.size}" + (f", {error.where}" if error.where is not None else "")
    return TrainingError(error.what, got=error.got, expected=error.expected, where=where, fix=error.fix)


def _code(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def on_rank_0(work: Callable[[], T]) -> T:
    """Run `work` on rank 0, however long it takes, and return its result, which must be JSON, on all ranks.

    Raises:  as `work`, on rank 0 alone. SystemExit: on the other ranks then.   TrainingError: rank 0 is lost.
    """
    if _here.group is None:
        return work()
    key = _here.group.key("on_rank_0")
    if _here.group.rank == 0:
        try:
            result = work()
        except BaseException as error:
            with suppress(RuntimeError):
                _here.group.set(key, json.dumps({"failed": _code(error)}))
            raise
        _here.group.say(key, json.dumps({"result": result}))
        return result
    answer: dict[str, Any] = json.loads(_here.group.wait(key, 0))
    if "failed" in answer:
        raise SystemExit(answer["failed"])
    return answer["result"]  # type: ignore[no-any-return]


def wait_for_all() -> None:
    """Wait for all ranks, however long they take.

    Raises:  TrainingError: one is lost.
    """
    if _here.group is None:
        return
    key = _here.group.key("wait_for_all")
    _here.group.say(f"{key}/{_here.group.rank}", "here")
    for other in range(_here.group.size):
        if other != _here.group.rank:
            _here.group.wait(f"{key}/{other}", other)


@contextmanager
def collective() -> Iterator[None]:
    """Around what waits for the other ranks, be it a sum or a backward pass.

    Raises:  TrainingError: a rank is lost.   SystemExit: one ended with an error, which it has shown.
    """
    try:
        yield
    except RuntimeError as error:
        if _here.group is None or not _OF_THE_NETWORK.search(str(error)):
            raise
        left, lost = _here.group.gone()
        if left:
            raise SystemExit(_here.group.code(left[0])) from None
        raise _here.group.lost(lost, str(error)) from None


def barrier() -> None:
    """Wait for all ranks, where they arrive at about the same time."""
    if dist.is_initialized():
        with collective():
            dist.barrier()


def _device() -> torch.device:
    return (
        torch.device("cuda", torch.cuda.current_device())
        if dist.get_backend() == "nccl"
        else torch.device("cpu")
    )


def sum_numbers(values: Sequence[float]) -> list[float]:
    """Sum each number over the ranks."""
    if size() == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=_device())
    with collective():
        dist.all_reduce(total)
        return [float(v) for v in total]


def from_rank_0(value: float) -> float:
    """Rank 0's number, so that decisions about time are the same everywhere."""
    if size() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=_device())
    with collective():
        dist.broadcast(shared, 0)
        return float(shared)
