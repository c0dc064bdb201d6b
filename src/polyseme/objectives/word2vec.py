"""word2vec: one update as the papers have it, what it draws from, and how it is scored on held-out words.

Training runs compiled (kernels/word2vec.py), which is tested against `update`.

How well word2vec predicts held-out words, read as one normalised distribution.

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

from polyseme.core.arrays import Float32Array, Float64Array, Int32Array, IntArray
from polyseme.core.rng import Random
from polyseme.data.store import TokenStore

_CHUNK = 1 << 22
"""Logits that stand in memory at once."""


def update(
    inputs: npt.NDArray[np.floating],
    outputs: npt.NDArray[np.floating],
    contexts: npt.NDArray[np.integer],
    targets: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
    rate: float,
    *,
    mean: bool = False,
    divide: bool = False,
) -> float:
    """Learn from one example, in place; returns its loss in nats.

        h = V[contexts], or their mean
        loss = -Σ log σ(±U h);   G = labels - σ(U h)
        U[targets] += rate Gᵀ h;  V[contexts] += rate G U   (mean: to each context, divided by C if `divide`)

    Args:
        inputs, outputs: the tables V and U.
        contexts: rows of `inputs`; the same word may stand there twice, and learns twice.
        targets, labels: rows of `outputs` and whether they are to be predicted.
        mean: CBOW; else skip-gram.
    Shapes:  inputs: (V, d), outputs: (V, d), contexts: (C,), targets, labels: (J,)
    """
    v, u = inputs[contexts], outputs[targets]  # (C, d), (J, d)
    h = v.mean(0, keepdims=True) if mean else v
    logits = h @ u.T  # (C or 1, J)
    gradient = labels - 1.0 / (1.0 + np.exp(-logits))
    change = gradient @ u  # (C or 1, d)
    if mean:
        change = np.broadcast_to(change / len(contexts) if divide else change, v.shape)
    np.add.at(outputs, targets, (rate * gradient.T @ h).astype(outputs.dtype))
    np.add.at(inputs, contexts, (rate * change).astype(inputs.dtype))
    return float(np.logaddexp(0.0, np.where(labels > 0, -logits, logits)).sum())


class Paths(NamedTuple):
    """The way from the root to every word: inner nodes passed, and the branch taken at each (1 or 0).

    Shapes:  start: (V + 1,) offsets.  node: (Σ lengths,) 0 = root.  branch: (Σ lengths,)
    """

    start: IntArray
    node: Int32Array
    branch: npt.NDArray[np.int8]


def huffman(counts: IntArray) -> Paths:
    """Paths of all words that occur; the others have none.

    Frequent words have short paths: Σ_w count(w) · length(w) is the smallest of all binary trees. Two queues, one of
    words and one of nodes made so far, are both in ascending order of their counts, so that the two smallest are at
    their heads. Ties go to words, and among words to the larger id.

    Args:
        counts: how often each word occurs.
    Shapes:  counts: (V,)
    Source:  Huffman (1952); Mikolov et al. (2013b), section 2.1.
    """
    words = np.flatnonzero(counts > 0)
    n = len(words)
    if n < 2:  # nothing to decide
        return Paths(np.zeros(len(counts) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int8))
    words = words[np.lexsort((-words, counts[words]))]
    weight = np.concatenate([counts[words], np.zeros(n - 1, np.int64)]).tolist()
    parent, branch = np.zeros(2 * n - 1, np.int64), np.zeros(2 * n - 1, np.int8)
    leaf, made = 0, n
    for new in range(n, 2 * n - 1):
        for side in (1, 0):  # the rarer one takes branch 1
            if leaf < n and (made >= new or weight[leaf] <= weight[made]):
                smallest, leaf = leaf, leaf + 1
            else:
                smallest, made = made, made + 1
            weight[new] += weight[smallest]
            parent[smallest], branch[smallest] = new, side
    # From the root, which was made last, down: children come after their parents in this order.
    length = np.zeros(2 * n - 1, np.int64)
    for node in range(2 * n - 3, -1, -1):
        length[node] = length[parent[node]] + 1
    lengths = np.zeros(len(counts), np.int64)
    lengths[words] = length[:n]
    start = np.concatenate([[0], np.cumsum(lengths)])
    nodes, branches = np.zeros(start[-1], np.int32), np.zeros(start[-1], np.int8)
    at, end = np.arange(n), start[words + 1]
    for step in range(1, int(length[:n].max()) + 1):  # all words climb together
        climbing = length[:n] >= step
        place, current = end[climbing] - step, at[climbing]
        nodes[place] = 2 * n - 2 - parent[current]
        branches[place] = branch[current]
        at[climbing] = parent[current]
    return Paths(start, nodes, branches)


def keep_probability(counts: IntArray, sample: float) -> Float32Array:
    """The probability that a word stays: min(1, √(t / f) + t / f); 0 for words that do not occur.

    Source:  the authors' program; Mikolov et al. (2013b), section 2.3, has √(t / f) alone.
    Shapes:  counts: (V,) -> (V,)
    """
    occurs = counts > 0
    if sample == 0:
        return occurs.astype(np.float32)
    ratio = sample * counts.sum() / np.maximum(counts, 1)
    keep: Float32Array = (np.minimum(1.0, np.sqrt(ratio) + ratio) * occurs).astype(np.float32)
    return keep


def alias_table(q: Float64Array) -> tuple[Float32Array, Int32Array]:
    """Draw from a distribution in two look-ups: i uniform; with probability chance[i] it is i, else alias[i].

    Source:  Walker (1977); Vose (1991).
    Shapes:  q: (V,), summing to 1 -> chance, alias: (V,)
    """
    scaled = (q * len(q)).tolist()
    alias = np.arange(len(q), dtype=np.int32)
    small = [i for i, share in enumerate(scaled) if share < 1]
    large = [i for i, share in enumerate(scaled) if share >= 1]
    chance = np.ones(len(q), np.float32)
    while small and large:
        i, j = small.pop(), large[-1]
        chance[i], alias[i] = scaled[i], j
        scaled[j] -= 1.0 - scaled[i]
        if scaled[j] < 1:
            small.append(large.pop())
    for i in small:  # rounding left these a hair below 1; a word that is never drawn must stay so
        if q[i] == 0:
            chance[i], alias[i] = 0.0, int(np.argmax(q))
    return chance, alias


class HeldoutWindows(NamedTuple):
    """Some words of the held-out text and the words around them.

    Shapes:  words: (N,).  contexts: (ΣC,).  start: (N + 1,) offsets into the contexts; C ≥ 1
    """

    words: IntArray
    contexts: IntArray
    start: IntArray


def heldout_windows(
    store: TokenStore,
    bounds: IntArray,
    keep: Float32Array,
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
    contexts: list[IntArray] = []
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
) -> Float64Array:
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
) -> Float64Array:
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
