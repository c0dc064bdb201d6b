"""Held-out losses as sums of blocks of text, of learners that compute them token by token."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCKS = 40
"""Enough that a loss's interval is hardly wider than with more, few enough that each holds tokens of several texts."""


def block_sums(losses: npt.ArrayLike) -> list[tuple[float, float]]:
    """Sum and number of each block.

    Args:
        losses: of the held-out tokens in the order of the text.
    Shapes:  losses: (N,)
    """
    values = np.asarray(losses, np.float64)
    return [(float(part.sum()), len(part)) for part in np.array_split(values, BLOCKS) if len(part)]
