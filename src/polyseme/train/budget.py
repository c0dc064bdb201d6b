"""How long a run may take, in the unit the user thinks in."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from polyseme.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Budget:
    """Exactly one of minutes, epochs, tokens or steps.

    Args:
        minutes: wall-clock time of training, evaluations and saves included.
        epochs: passes over the training text.
        tokens: tokens seen in training, padding excluded.
        steps: updates.
    Raises:  ConfigError: none or several given, or a number that is not above zero.
    """

    minutes: float | None = None
    epochs: float | None = None
    tokens: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if len(given) != 1:
            raise ConfigError(
                "a run has exactly one budget",
                got=", ".join(given) or "none",
                expected="one of --minutes, --epochs, --tokens, --steps",
            )
        ((name, value),) = given.items()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"the budget --{name} must be a number", got=repr(value))
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"the budget --{name} must be above zero", got=value)

    @property
    def is_time(self) -> bool:
        """Whether the budget is in minutes, so that its progress depends on the machine."""
        return self.minutes is not None

    def progress(self, *, step: int, tokens: int, seconds: float, steps_per_epoch: float) -> float:
        """Share of the budget that is spent, 0 … 1."""
        if self.minutes is not None:
            spent = seconds / (60 * self.minutes)
        elif self.tokens is not None:
            spent = tokens / self.tokens
        elif self.steps is not None:
            spent = step / self.steps
        else:
            assert self.epochs is not None
            spent = step / max(1, math.ceil(self.epochs * steps_per_epoch))
        return min(1.0, spent)

    def __str__(self) -> str:
        ((name, value),) = ((f.name, v) for f in fields(self) if (v := getattr(self, f.name)) is not None)
        return f"{value:.15g} {name}"
