"""A linear-chain conditional random field over a sequence's tags.

    s(x, y) = start[y_1] + Σ_t scores[t, y_t] + Σ_t transition[y_{t-1}, y_t] + end[y_T]
    -log p(y | x) = log Σ_y' exp s(x, y') - s(x, y)

The sum over all sequences is the forward recursion, the best sequence Viterbi's; how probable a tag is at a place, all
sequences that have it there taken together, is the forward and the backward recursion.

Source:  Lafferty, McCallum and Pereira (2001), section 3; Lample et al. (2016), section 2.2, equations 1 and 2.
Departures: start and end are vectors of their own rather than two more tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from polyseme.core.arrays import BoolArray, Float64Array, IntArray
from polyseme.errors import ConfigError

__all__ = ["LinearChainCRF", "marginals", "viterbi"]

_FLOOR = -1e4
"""Scores below count as this: e^-10000 is 0 in every precision, and no difference of infinities arises."""
_CELLS = 2**21

Limits = BoolArray | Float64Array
"""True where allowed; or scores to add, -inf where forbidden."""


class LinearChainCRF(nn.Module):
    """Learned scores of beginnings, neighbours and ends of tag sequences.

    Constraints hold for `decode` alone: a gold sequence that breaks them still has a finite loss.

    Args:
        num_labels: number of tags, K.
        allowed: bool arrays (start (K,), transition (K, K): [before, after], end (K,)); None: everything may follow.

    Shapes:  scores: (B, T, K).  tags: (B, T).  mask: (B, T), true for the first tokens of each row, then false
    """

    def __init__(
        self,
        num_labels: int,
        allowed: tuple[BoolArray, BoolArray, BoolArray] | None = None,
    ) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(num_labels))
        self.transition = nn.Parameter(torch.zeros(num_labels, num_labels))
        self.end = nn.Parameter(torch.zeros(num_labels))
        shapes = [(num_labels,), (num_labels, num_labels), (num_labels,)]
        if allowed is not None and [part.shape for part in allowed] != shapes:
            raise ConfigError(
                "constraints do not fit the tags", got=[part.shape for part in allowed], expected=shapes
            )
        self._allowed = allowed

    def forward(self, scores: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Sum over rows of -log p(tags | scores), nats, in float32 at least; rows without a token add 0.

        Raises:  ConfigError: a mask that does not begin at the first token or has holes.
        """
        mask = self._checked(mask)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        scores = scores.clamp_min(_FLOOR)
        filled = mask[:, 0]
        return torch.where(filled, self._log_z(scores, mask) - self._score(scores, tags, mask), 0.0).sum()

    def _score(self, scores: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """s(x, y) of every row: (B,)"""
        tags = tags.masked_fill(~mask, 0)
        emissions = scores.gather(2, tags[..., None]).squeeze(2)  # (B, T)
        emissions = emissions.masked_fill(~mask, 0.0).sum(1)
        steps = self.transition[tags[:, :-1], tags[:, 1:]].masked_fill(~mask[:, 1:], 0.0).sum(1)
        last = tags.gather(1, (mask.sum(1, keepdim=True) - 1).clamp_min(0)).squeeze(1)
        return self.start[tags[:, 0]] + emissions + steps + self.end[last]

    def _log_z(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Log Σ_y exp s(x, y) of every row: (B,)"""
        alpha = self.start + scores[:, 0]  # (B, K): log of the sum over all beginnings that end in tag k
        for t in range(1, scores.size(1)):
            onward = torch.logsumexp(alpha[:, :, None] + self.transition, dim=1) + scores[:, t]
            alpha = torch.where(mask[:, t, None], onward, alpha)
        return torch.logsumexp(alpha + self.end, dim=1)

    @torch.no_grad()
    def decode(self, scores: Tensor, mask: Tensor) -> Tensor:
        """The best sequence of every row that the constraints allow, 0 after its end.

        Shapes:  scores: (B, T, K).  mask: (B, T) -> (B, T)
        """
        lengths = self._checked(mask).sum(1).tolist()
        plain = scores.detach().double().clamp_min(_FLOOR).cpu().numpy()
        parts = [part.detach().double().cpu().numpy() for part in (self.start, self.transition, self.end)]
        if self._allowed is not None:
            parts = [np.where(may, part, -np.inf) for part, may in zip(parts, self._allowed, strict=True)]
        best = viterbi([row[:n] for row, n in zip(plain, lengths, strict=True)], *parts)
        out = np.zeros(scores.shape[:2], np.int64)
        for row, path in zip(out, best, strict=True):
            row[: len(path)] = path
        return torch.from_numpy(out).to(scores.device)

    @staticmethod
    def _checked(mask: Tensor) -> Tensor:
        mask = mask.bool()
        if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
            raise ConfigError(
                "a mask with holes", expected="true for the first tokens of each row, then false"
            )
        return mask


class _Together(NamedTuple):
    """Sequences that are gone through together, the longest first, so that those still going are the first rows.

    Args:
        numbers: which they are.
        lengths: tokens of each.
        offsets: the row of `flat` with each one's first token.
        flat: scores of all tokens.
    Shapes:  numbers, lengths, offsets: (N,).  flat: (Σ lengths, K)
    """

    numbers: list[int]
    lengths: IntArray
    offsets: IntArray
    flat: Float64Array

    def going(self, t: int) -> int:
        """How many have a token t."""
        return int(np.searchsorted(-self.lengths, -t, side="left"))


def _together(scores: Sequence[npt.NDArray[np.floating]], k: int) -> Iterator[_Together]:
    """Sequences that have a token, as many at once as fit in memory."""
    order = sorted((number for number, row in enumerate(scores) if len(row)), key=lambda i: -len(scores[i]))
    size = max(1, _CELLS // (k * k))
    for begin in range(0, len(order), size):
        numbers = order[begin : begin + size]
        lengths = np.array([len(scores[number]) for number in numbers])
        flat = np.concatenate([scores[number] for number in numbers]).astype(np.float64)
        yield _Together(numbers, lengths, np.cumsum(lengths) - lengths, flat)


def _as_scores(start: Limits, transition: Limits, end: Limits) -> tuple[Float64Array, ...]:
    parts = (start, transition, end)
    return tuple(
        np.where(p, 0.0, -np.inf) if p.dtype == np.bool_ else np.asarray(p, np.float64) for p in parts
    )


def viterbi(
    scores: Sequence[npt.NDArray[np.floating]], start: Limits, transition: Limits, end: Limits
) -> list[IntArray]:
    """The best tag sequence of every sequence of scores: constrained decoding without learned parameters.

        best[t, k] = scores[t, k] + max_j (best[t-1, j] + transition[j, k])

    Of equal sequences the one with the lower tags at the end is taken.

    Args:
        scores: logits or log-probabilities, one array a sequence; lengths may differ and be 0.
        start, transition, end: true where allowed; or scores to add, -inf where forbidden.
    Shapes:  scores: each (T_i, K).  start, end: (K,).  transition: (K, K): [before, after] -> each (T_i,)

    Source:  Viterbi (1967). Departures: where the constraints allow no sequence at all, any one is returned.
    """
    first, step, last = _as_scores(start, transition, end)
    k = len(first)
    paths = [np.zeros(0, np.int64) for _ in scores]
    for group in _together(scores, k):
        total, rows = int(group.lengths[0]), len(group.numbers)
        best = first + group.flat[group.offsets]
        came = np.zeros((total, rows, k), np.int64)
        for t in range(1, total):
            going = group.going(t)
            ways = best[:going, None, :] + step.T  # (rows, after, before)
            came[t, :going] = ways.argmax(2)
            best[:going] = (
                np.take_along_axis(ways, came[t, :going, :, None], 2)[..., 0]
                + group.flat[group.offsets[:going] + t]
            )
        tag = (best + last).argmax(1)
        path = np.zeros((rows, total), np.int64)
        for t in range(total - 1, -1, -1):
            going = group.going(t)
            path[:going, t] = tag[:going]
            tag[:going] = came[t, np.arange(going), tag[:going]]
        for number, row, length in zip(group.numbers, path, group.lengths, strict=True):
            paths[number] = row[:length].copy()
    return paths


def marginals(
    scores: Sequence[npt.NDArray[np.floating]], start: Limits, transition: Limits, end: Limits
) -> list[Float64Array]:
    """How probable every tag is at every place of every sequence.

        α[t, k] = scores[t, k] + log Σ_j exp(α[t-1, j] + transition[j, k]),     α[0] = start + scores[0]
        β[t, j] = log Σ_k exp(transition[j, k] + scores[t+1, k] + β[t+1, k]),   β[T-1] = end
        p(y_t = k | x) = exp(α[t, k] + β[t, k] - log Σ_y exp s(x, y))

    Args:
        scores, start, transition, end: as for `viterbi`.
    Shapes:  as for `viterbi` -> each (T_i, K), rows sum to 1, or to 0 where the constraints allow no sequence at all

    Source:  Lafferty, McCallum and Pereira (2001), section 3.
    """
    first, step, last = _as_scores(start, transition, end)
    k = len(first)
    result = [np.zeros((0, k)) for _ in scores]
    for group in _together(scores, k):
        flat, offsets = group.flat, group.offsets
        alpha, beta = np.empty(flat.shape), np.empty(flat.shape)
        alpha[offsets], beta[offsets + group.lengths - 1] = first + flat[offsets], last
        for t in range(1, int(group.lengths[0])):
            at = offsets[: group.going(t)] + t
            alpha[at] = np.logaddexp.reduce(alpha[at - 1, :, None] + step, axis=1) + flat[at]
        for t in range(int(group.lengths[0]) - 2, -1, -1):
            at = offsets[: group.going(t + 1)] + t
            beta[at] = np.logaddexp.reduce(step + (flat[at + 1] + beta[at + 1])[:, None, :], axis=2)
        both = alpha + beta
        most = both.max(1, keepdims=True)
        p = np.exp(both - np.where(np.isfinite(most), most, 0.0))
        p /= np.maximum(p.sum(1, keepdims=True), np.finfo(np.float64).tiny)
        for number, offset, length in zip(group.numbers, offsets, group.lengths, strict=True):
            result[number] = p[offset : offset + length]
    return result
