"""Which updates to skip: those that are not finite, and sudden spikes.

Only applied updates enter the statistics. When several updates in a row look like spikes, the scale itself has
changed: the statistics are forgotten and training goes on, so a run can never freeze.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

from polyseme.errors import TrainingError

_WINDOW, _ENOUGH, _PATIENCE, _HOPELESS = 128, 32, 5, 100


class UpdateGuard:
    """Judges an update by the norm of its gradient.

    Args:
        factor: times the median of recent norms that is a spike; 0 = only non-finite norms are refused.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._norms: deque[float] = deque(maxlen=_WINDOW)
        self._spikes = 0
        self._broken = 0
        self.skipped = 0

    def admit(self, norm: float) -> bool:
        """Whether to apply the update.

        Raises:  TrainingError: a hundred updates in a row were not finite.
        """
        if not math.isfinite(norm):
            self.skipped += 1
            self._broken += 1
            if self._broken >= _HOPELESS:
                raise TrainingError(
                    f"the gradients of {_HOPELESS} updates in a row are not finite",
                    fix="a lower train.learning_rate, or --set train.precision=float32",
                )
            return False
        self._broken = 0
        if self._factor and len(self._norms) >= _ENOUGH and norm > self._factor * median(self._norms):
            self._spikes += 1
            if self._spikes < _PATIENCE:
                self.skipped += 1
                return False
            self._norms.clear()
        self._spikes = 0
        self._norms.append(norm)
        return True

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state."""
        return {
            "norms": list(self._norms),
            "spikes": self._spikes,
            "broken": self._broken,
            "skipped": self.skipped,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._norms = deque(state["norms"], maxlen=_WINDOW)
        self._spikes, self._broken, self.skipped = state["spikes"], state["broken"], state["skipped"]
