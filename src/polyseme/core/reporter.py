"""What long work tells the person who waits for it, whatever shows it to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

Record = Mapping[str, float | int | str]


@runtime_checkable
class Reporter(Protocol):
    """Told by long work how far it is; a terminal, a plain log or nobody listens.

    Calls must be cheap: a stage may report a hundred times a second, and the reporter decides what to show.
    """

    def stage(self, name: str, done: float, total: float | None, detail: str = "") -> None:
        """Say how far a stage is; a new name ends the stage before it.

        Args:
            name: what is being done, a present participle: "reading", "tokenizing", "training".
            done: how much is done, in any unit.
            total: how much there is in the same unit, None while unknown.
            detail: a few words beside the bar: "12.3 MB/s".
        """
        ...

    def log(self, record: Record) -> None:
        """Show one line of metrics.jsonl.

        Args:
            record: some of step, tokens, seconds, progress (0 … 1), loss, heldout_loss, unigram_loss (nats),
                lr, grad_norm, tokens_per_second, eta_seconds.
        """
        ...

    def note(self, text: str) -> None:
        """Keep a one-line fact or warning in sight: "3 documents were skipped: empty"."""
        ...

    def close(self) -> None:
        """Leave the terminal tidy; safe to call twice."""
        ...


class NullReporter:
    """A reporter that says nothing."""

    def stage(self, name: str, done: float, total: float | None, detail: str = "") -> None:
        """Ignore a stage."""

    def log(self, record: Record) -> None:
        """Ignore a record."""

    def note(self, text: str) -> None:
        """Ignore a note."""

    def close(self) -> None:
        """Do nothing."""
