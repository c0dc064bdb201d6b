"""Beam search with length normalisation, all prompts and beams side by side.

    score(y) = Σ log p(y_i | x, y_<i) / |y|^length_penalty          |y| counts the end-of-text token, too

For each prompt the `beams` best unfinished continuations go on. Every step considers the 2·beams best extensions by one
token, so that at least `beams` unfinished ones are left. An extension that ends is kept if it is one of the `beams`
best extensions, and if its score is among the `beams` best so far. A prompt is finished when `beams` continuations have
ended and the best unfinished one, at its present length, scores no better than the worst of them. This is the default
of transformers, `early_stopping=False`. A continuation that is unfinished after the last step counts as ended there.

Source: the length norm is Wu et al. (2016), section 7, with |y|^α for their ((5 + |y|) / 6)^α, as is usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from polyseme.infer.contexts import Contexts

__all__ = ["Beam", "beam_search"]

NEVER = -1e9
"""The score of tokens that may not be chosen; finite, so that sums stay ordered."""


class Beam(NamedTuple):
    """One continuation of a prompt.

    Args:
        ids: its tokens, end-of-text and stop string included where it has them.
        log_probabilities: the model's own, token by token.
        score: the score that ranks it.
    """

    ids: list[int]
    log_probabilities: list[float]
    score: float


def beam_search(
    contexts: Contexts,
    beams: int,
    steps: int,
    adjust: Callable[[Tensor, Tensor, Tensor], Tensor],
    ends: Callable[[Tensor, Tensor], Tensor],
    length_penalty: float,
) -> list[list[Beam]]:
    """The best continuations of every prompt, best first.

    Args:
        contexts: one row a prompt; it is changed.
        beams: how many continuations are followed, and returned.
        steps: longest continuation.
        adjust: (log-probabilities (R, V), tokens so far (R, n), prompt of each row (R,)) -> scores (R, V).
        ends: (tokens (B, C, n), prompt of each row (B,)) -> which candidates are complete (B, C).
        length_penalty: exponent of the length; above 0 favours long continuations.
    """
    prompts = len(contexts)
    device = contexts.logits().device
    owner = torch.arange(prompts, device=device)
    scores = torch.zeros(
        prompts, 1, device=device
    )  # (B, K) sums of log-probabilities; one beam to begin with
    ids = torch.zeros(prompts, 1, 0, dtype=torch.long, device=device)  # (B, K, n)
    values = torch.zeros(prompts, 1, 0, device=device)  # (B, K, n) the model's own log-probabilities
    best = _Best(prompts, beams, steps, device)
    open_ = torch.ones(prompts, dtype=torch.bool, device=device)
    for n in range(1, steps + 1):
        width = ids.size(1)
        log_p = torch.log_softmax(contexts.logits(), dim=1)  # (B·K, V)
        adjusted = adjust(log_p, ids.flatten(0, 1), owner.repeat_interleave(width))
        vocabulary = log_p.size(1)
        total = scores[:, :, None] + adjusted.view(prompts, width, vocabulary)
        top, flat = total.flatten(1).topk(min(2 * beams, width * vocabulary), dim=1)  # (B, 2K)
        parent, token = flat // vocabulary, flat % vocabulary
        token_log_p = log_p.view(prompts, width * vocabulary).gather(1, flat)
        extended = torch.cat([_of(ids, parent), token[:, :, None]], dim=2)  # (B, 2K, n)
        extended_values = torch.cat([_of(values, parent), token_log_p[:, :, None]], dim=2)
        complete = ends(extended, owner) if n < steps else torch.ones_like(token, dtype=torch.bool)
        ended = complete.clone()
        ended[:, beams:] = False
        ended &= open_[:, None] & (top > NEVER)
        best.offer(extended, extended_values, top / n**length_penalty, ended)
        if n == steps:
            break
        scores, chosen = top.masked_fill(complete, NEVER).topk(min(beams, top.size(1)), dim=1)
        ids, values = _of(extended, chosen), _of(extended_values, chosen)
        open_ &= (scores[:, 0] > NEVER) & ~best.beats(scores[:, 0] / n**length_penalty)
        if not bool(open_.any()):
            break
        rows = (owner[:, None] * width + parent.gather(1, chosen)).flatten()
        contexts.select(rows)
        contexts.push(ids[:, :, -1].flatten())
    return best.lists()


def _of(items: Tensor, index: Tensor) -> Tensor:
    """Rows of each prompt by index: (B, K, n), (B, C) -> (B, C, n)"""
    return items.gather(1, index[:, :, None].expand(-1, -1, items.size(2)))


class _Best:
    """The best complete continuations of every prompt.

    Shapes:  ids, values: (B, K, steps).  scores, lengths: (B, K)
    """

    def __init__(self, prompts: int, beams: int, steps: int, device: torch.device) -> None:
        self._beams = beams
        self._ids = torch.zeros(prompts, beams, steps, dtype=torch.long, device=device)
        self._values = torch.zeros(prompts, beams, steps, device=device)
        self._scores = torch.full((prompts, beams), NEVER, device=device)
        self._lengths = torch.zeros(prompts, beams, dtype=torch.long, device=device)

    def offer(self, ids: Tensor, values: Tensor, scores: Tensor, ended: Tensor) -> None:
        """Take in candidates that have ended.  Shapes: ids, values: (B, C, n).  scores, ended: (B, C)"""
        if not bool(ended.any()):
            return
        n, capacity = ids.size(2), self._ids.size(2)
        pad = (0, capacity - n)
        merged = torch.cat([self._scores, scores.masked_fill(~ended, NEVER)], dim=1)
        self._scores, index = merged.topk(self._beams, dim=1)
        self._ids = _of(torch.cat([self._ids, torch.nn.functional.pad(ids, pad)], dim=1), index)
        self._values = _of(torch.cat([self._values, torch.nn.functional.pad(values, pad)], dim=1), index)
        lengths = torch.cat([self._lengths, torch.full_like(ended, n, dtype=torch.long)], dim=1)
        self._lengths = lengths.gather(1, index)

    def beats(self, scores: Tensor) -> Tensor:
        """The prompts with `beams` complete continuations, none worse than this score.  Shapes: (B,) -> (B,)"""
        return (self._scores > NEVER).all(1) & (self._scores[:, -1] >= scores)

    def lists(self) -> list[list[Beam]]:
        """Best first; fewer than `beams` where the vocabulary was too small for more."""
        return [
            [
                Beam(ids[:length], values[:length], score)
                for ids, values, score, length in zip(*row, strict=True)
                if score > NEVER
            ]
            for row in zip(
                self._ids.tolist(),
                self._values.tolist(),
                self._scores.tolist(),
                self._lengths.tolist(),
                strict=True,
            )
        ]
