"""What stands in a text where tokens are to be predicted: [MASK], a random token, or what was there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.core.rng import Random
from polyseme.data.examples import SpecialTokens
from polyseme.data.packing import Rows

IntArray = npt.NDArray[np.int64]


class HiddenTokens:
    """Hides chosen tokens: 80 % become [MASK], 10 % a random token, 10 % stay, or other shares.

    Args:
        special: ids of the special tokens, and which ids are never predicted.
        seed: the run's seed.
        mask_share, random_share: of the chosen, replaced by [MASK], by a random ordinary token; the rest stays.
    Source:  Devlin et al. (2019), appendix A.1.
    """

    def __init__(self, special: SpecialTokens, seed: int, mask_share: float, random_share: float) -> None:
        self._mask, self._mask_share, self._random_share = special.mask, mask_share, random_share
        self._random = Random(seed, "replace")
        self._ordinary = np.flatnonzero(~special.special)

    def hide(
        self, rows: Rows, positions: IntArray, unit: IntArray | None = None
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Replace what stands at the positions; a pure function of the rows, the positions and the seed.

        Args:
            unit: number of each position's unit within its row; the tokens of a unit have one fate. None: each its own.
        Shapes:  rows of (B, T), positions, unit: (P,) -> ids: (B, T), positions: (P,), labels: (P,)
        """
        row, column = np.divmod(positions, rows.ids.shape[1])
        labels = rows.ids.ravel()[positions]
        u = self._random.uniform(rows.counters[row], 2 * (column if unit is None else unit))
        pick = self._random.integers(len(self._ordinary), rows.counters[row], 2 * column + 1)
        masked = u < self._mask_share
        replaced = ~masked & (u < self._mask_share + self._random_share)
        ids = rows.ids.copy()
        ids.ravel()[positions] = np.where(
            masked, self._mask, np.where(replaced, self._ordinary[pick], labels)
        )
        return ids, positions, labels
