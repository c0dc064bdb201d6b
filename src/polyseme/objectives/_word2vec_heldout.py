"""How well word2vec predicts held-out words, read as one normalised distribution.

    negative sampling     p(w | c) ∝ q(w) exp(u_w · v_c) / keep(w)
    hierarchical softmax  p(w | c) ∝ Π_{n on the path of w} σ(± u_n · v_c) / keep(w)

With k negatives from q, training by negative sampling moves u_w · v_c towards log p(w | c) - log k q(w) (Levy and
Goldberg 2014; noise contrastive estimation, Gutmann and Hyvärinen 2010), so that q(w) exp(u_w · v_c) is p up to a
factor.
Both are the distribution of subsampled text, in which word w stays with probability keep(w); dividing by that gives the
distribution of the text as it is. Every word is then predicted as often as it occurs, and the loss can be held
against word frequency alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from polyseme.core.rng import Random
from polyseme.data.store import TokenStore
from polyseme.objectives._huffman import Paths

_CHUNK = 1 << 22
"""Logits that stand in memory at once."""


class HeldoutWindows(NamedTuple):
    """Some words of the held-out text and the words around them.

    Shapes:  words: (N,).  contexts: (ΣC,).  start: (N + 1,) offsets into the contexts; C ≥ 1
    """

    words: npt.NDArray[np.int64]
    contexts: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]


def heldout_windows(
    store: TokenStore,
    bounds: npt.NDArray[np.int64],
    keep: npt.NDArray[np.float32],
    window: int,
    dynamic: bool,
    most: int,
    seed: int,
) -> HeldoutWindows:
    """A fixed sample of windows, drawn as in training, around words that were not subsampled.

    Args:
        bounds: offsets of what windows must not leave.
        keep: probability of each word to stay in a context; words with 0 are neither predicted nor contexts.
        most: words to predict at most.
    """
    random = Random(seed, "heldout")
    words: list[int] = []
    contexts: list[npt.NDArray[np.int64]] = []
    for s in random.permutation(len(bounds) - 1).tolist():
        if len(words) >= most:
            break
        start = int(bounds[s])
        place = np.arange(start, min(int(bounds[s + 1]), start + most))
        tokens = np.asarray(store.tokens[place], np.int64)
        stays = random.uniform(0, place) < keep[tokens]
        around, kept = place[stays], tokens[stays]
        reach = 1 + random.integers(window, 1, place) if dynamic else np.full(len(place), window)
        left, right = np.searchsorted(around, place), np.searchsorted(around, place, side="right")
        for i in np.flatnonzero(keep[tokens] > 0).tolist():
            context = np.concatenate(
                [kept[max(0, left[i] - reach[i]) : left[i]], kept[right[i] : right[i] + reach[i]]]
            )
            if len(context):
                words.append(int(tokens[i]))
                contexts.append(context)
    words, contexts = words[:most], contexts[:most]
    start_of = np.concatenate([[0], np.cumsum([len(c) for c in contexts], dtype=np.int64)])
    flat = np.concatenate(contexts) if contexts else np.zeros(0, np.int64)
    return HeldoutWindows(np.asarray(words, np.int64), flat, start_of.astype(np.int64))


def pair_losses(
    sample: HeldoutWindows, inputs: Tensor, log_probabilities: Callable[[Tensor], Tensor]
) -> npt.NDArray[np.float64]:
    """Skip-gram: -log p(word | context) of every pair.

    Args:
        inputs: the input vectors.
        log_probabilities: vectors (N, hidden_size) -> normalised (N, V).
    Shapes:  inputs: (V, hidden_size) -> (ΣC,)
    """
    words = np.repeat(sample.words, np.diff(sample.start))
    unique, which = np.unique(sample.contexts, return_inverse=True)  # p(· | c) is the same wherever c stands
    order = np.argsort(which, kind="stable")
    edges = np.searchsorted(which[order], np.arange(len(unique) + 1))
    losses = np.empty(len(words), np.float64)
    step = max(1, _CHUNK // len(inputs))
    for first in range(0, len(unique), step):
        last = min(len(unique), first + step)
        log_p = log_probabilities(inputs[torch.from_numpy(unique[first:last])])
        chosen = order[edges[first] : edges[last]]
        rows, columns = torch.from_numpy(which[chosen] - first), torch.from_numpy(words[chosen])
        losses[chosen] = -log_p[rows, columns].double().numpy()
    return losses


def mean_losses(
    sample: HeldoutWindows, inputs: Tensor, log_probabilities: Callable[[Tensor], Tensor]
) -> npt.NDArray[np.float64]:
    """CBOW: -log p(word | mean of its context vectors) of every word.  Shapes: inputs: (V, hidden_size) -> (N,)"""
    losses = np.empty(len(sample.words), np.float64)
    step = max(1, _CHUNK // len(inputs))
    for first in range(0, len(losses), step):
        last = min(len(losses), first + step)
        start = torch.from_numpy(sample.start[first:last] - sample.start[first])
        contexts = torch.from_numpy(sample.contexts[sample.start[first] : sample.start[last]])
        hidden = nn.functional.embedding_bag(contexts, inputs, start, mode="mean")
        log_p = log_probabilities(hidden)
        losses[first:last] = (
            -log_p.gather(1, torch.from_numpy(sample.words[first:last, None])).squeeze(1).double()
        )
    return losses


def negative_reading(outputs: Tensor, log_q: Tensor, log_keep: Tensor) -> Callable[[Tensor], Tensor]:
    """Log p(· | h) = log_softmax(log q + U h - log keep).

    Shapes:  outputs: (V, hidden_size), log_q, log_keep: (V,); -inf in log_q for words that are never predicted
    """
    return lambda hidden: torch.log_softmax(hidden @ outputs.T + (log_q - log_keep), 1)


def tree_reading(outputs: Tensor, paths: Paths, log_keep: Tensor) -> Callable[[Tensor], Tensor]:
    """Log p(· | h) = Σ over the path of log σ(±u_n · h), - log keep, normalised again.

    Computed once a node, from the root down.
    Shapes:  outputs: (at least nodes, hidden_size), log_keep: (V,)
    """
    start, node, branch = (torch.from_numpy(part).long() for part in paths)
    lengths = start.diff()
    words, last = lengths.nonzero().squeeze(1), start[1:][lengths > 0] - 1
    depth_of = torch.arange(len(node)) - torch.repeat_interleave(start[:-1], lengths)
    inner = torch.ones(len(node), dtype=torch.bool)
    inner[last] = False
    above = inner.nonzero().squeeze(1)  # each entry whose successor is the node below it
    n = int(node.max()) + 1 if len(node) else 0
    parent, side, depth = (torch.zeros(n, dtype=torch.long) for _ in range(3))
    parent[node[above + 1]], side[node[above + 1]] = node[above], branch[above]
    depth[node] = depth_of
    levels = [(depth == level).nonzero().squeeze(1) for level in range(1, int(depth.max()) + 1 if n else 1)]

    def log_probabilities(hidden: Tensor) -> Tensor:
        logits = outputs[:n] @ hidden.T  # (nodes, N)
        steps = nn.functional.logsigmoid(torch.cat([-logits, logits]))  # branch 0, then branch 1
        reached = torch.zeros_like(logits)
        for level in levels:
            reached[level] = reached[parent[level]] + steps[side[level] * n + parent[level]]
        total = torch.full((len(lengths), len(hidden)), -torch.inf)
        total[words] = reached[node[last]] + steps[branch[last] * n + node[last]] - log_keep[words, None]
        return torch.log_softmax(total.T, 1)

    return log_probabilities
