"""Signals as requests, sent by a clock of their own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from polyseme.errors import Interrupted
from polyseme.train import signals as module
from polyseme.train.signals import SignalRequests, goes_on_by


def test_a_signal_after_one_that_was_swallowed_ends_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    requests = SignalRequests(at_once=True)
    with pytest.raises(KeyboardInterrupt):
        requests._on_stop(signal.SIGTERM, None)
    for later in (0.0, 0.4, 0.5):  # schedulers send it twice
        now[0] += later
        requests._on_stop(signal.SIGTERM, None)
    now[0] += 0.1
    for number in (signal.SIGTERM, signal.SIGHUP):
        with pytest.raises(KeyboardInterrupt):
            requests._on_stop(number, None)
        now[0] += 1.0


def test_while_training_saves_sigterm_stays_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    requests = SignalRequests()
    for _ in range(3):
        requests._on_stop(signal.SIGTERM, None)
        now[0] += 5.0
    assert requests.stop


def test_what_becomes_of_interrupted_work_is_said_by_whoever_knows(tmp_path: Path) -> None:
    with (
        pytest.raises(Interrupted, match="interrupted; it stays for now"),
        goes_on_by("the same command begins again", tmp_path, kept="it stays for now"),
    ):
        raise Interrupted("stopped")
