"""Texts of similar length side by side, so that little is computed for padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["TOKENS_PER_BATCH", "by_length"]

TOKENS_PER_BATCH = 2048
"""What a layer makes of so many tokens stays in the caches of a CPU, and matrix products are no faster with more."""

WASTE = 32
"""Tokens of padding that cost no more than another batch would."""

WASTED_SHARE = 0.01
"""Padding in a batch of many tokens, as a share of them."""


def by_length(lengths: Sequence[int], most: int | None = None) -> Iterator[list[int]]:
    """Indices in batches of nearly equal length, short texts first.

    A batch ends where it would hold more than `most` tokens, padding included, or where a longer text would bring more
    padding than a batch of its own costs. Equal lists give equal batches.

    Args:
        lengths: tokens of every text, separators included.
        most: tokens of a batch; one text may be longer. None = TOKENS_PER_BATCH.
    """
    most = TOKENS_PER_BATCH if most is None else most
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    start = 0
    while start < len(order):
        end, real = start + 1, lengths[order[start]]
        while end < len(order):
            longest = lengths[order[end]]
            real += longest
            tokens = longest * (end + 1 - start)
            grows = longest > lengths[order[end - 1]]
            if tokens > most or (grows and tokens - real > max(WASTE, WASTED_SHARE * tokens)):
                break
            end += 1
        yield order[start:end]
        start = end
