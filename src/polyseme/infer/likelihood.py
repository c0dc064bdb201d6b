"""The logarithm of a token's probability, by a decoder from its left side or by a masked model from both.

    causal     log p(s_i | s_<i)          s = [CLS] t₁ … tₙ [SEP], in one pass over the text
    masked     log p(t_i | all others)    t_i replaced by [MASK]: one pass over the text for each of its tokens
    two-way    log p(t_i | t_<i) + log p(t_i | t_>i)    s = [CLS] t₁ … tₙ [SEP], in one pass

A text longer than the model reads: a decoder reads it in windows, each beginning with the second half of what came
before, as in generation (infer/contexts.py); a masked model sees as many neighbours on both sides as fit; a two-way
model counts half a window at a time, with a quarter on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polyseme.core.types import Batch
from polyseme.infer.contexts import kept
from polyseme.infer.load import Loaded
from polyseme.layers.cross_entropy import CHUNK_BYTES

__all__ = ["Part", "causal", "causal_shared", "log_probabilities", "masked", "two_way"]

TOKENS_PER_BATCH = 8192


class Part(NamedTuple):
    """A text and which of its tokens count: those from `first` on, up to `stop`.

    Args:
        ids: [CLS], the tokens, and [SEP] where the end counts.
        first: index of the first token that counts, at least 1.
        stop: index after the last token that counts; None = all count.
    """

    ids: list[int]
    first: int
    stop: int | None = None

    @property
    def counted(self) -> range:
        """Indices of the tokens that count."""
        return range(self.first, len(self.ids) if self.stop is None else self.stop)


def log_probabilities(
    logits_of: Callable[[Tensor], Tensor], classes: int, hidden: Tensor, labels: Tensor
) -> Tensor:
    """Log-softmax of every row at its label; the logits of a large vocabulary never stand in memory at once.

    Args:
        logits_of: hidden states (N, d) -> logits (N, classes).
        classes: size of the vocabulary that is predicted.
    Shapes:  hidden: (P, d).  labels: (P,) -> (P,) float64
    """
    rows = max(1, CHUNK_BYTES // (4 * classes))
    found = []
    for start in range(0, len(labels), rows):
        gold = labels[start : start + rows]
        logits = logits_of(hidden[start : start + rows]).float()
        found.append(logits.gather(1, gold[:, None]).squeeze(1) - logits.logsumexp(1))
    return torch.cat(found).double() if found else hidden.new_zeros(0, dtype=torch.float64)


class _Window(NamedTuple):
    """What is read in one go: `ids`; which of its positions predict; what; of which text."""

    ids: list[int]
    positions: list[int]
    labels: list[int]
    owner: int


def causal(loaded: Loaded, head: Any, parts: Sequence[Part]) -> list[float]:
    """Sum of log p over the tokens that count, for every text."""
    most = int(loaded.encoder.max_length)
    windows = (w for i, part in enumerate(parts) for w in _left_windows(part, most, i))
    return _sums(loaded, head, windows, len(parts))


def masked(loaded: Loaded, head: Any, parts: Sequence[Part]) -> list[float]:
    """Sum of log p, each token that counts hidden in turn, for every text; the parts have no [SEP] yet.

    Source:  Salazar et al. (2020), equation 1, pseudo-log-likelihood.
    """
    windows = (w for i, part in enumerate(parts) for w in _hidden_windows(part, loaded, i))
    return _sums(loaded, head, windows, len(parts))


def two_way(loaded: Loaded, head: Any, parts: Sequence[Part]) -> list[float]:
    """Sum of log p from the left and log p from the right, for every text; the parts have no [SEP] yet.

    What the head has no class for counts as [UNK], as in training.

    Source:  Peters et al. (2018), section 3.1.
    """
    totals = torch.zeros(len(parts), dtype=torch.float64)
    classes, unknown = len(head.weight), loaded.tokenizer.unk_id
    for some in _by_length(w for i, part in enumerate(parts) for w in _middle_windows(part, loaded, i)):
        batch = _batch([w.ids for w in some], loaded.special.pad)
        hidden = loaded.encoder.encode(batch).last.flatten(0, 1)
        half, width = hidden.size(1) // 2, batch.ids.size(1)
        places = torch.tensor([row * width + p for row, w in enumerate(some) for p in w.positions])
        labels = torch.tensor([label if label < classes else unknown for w in some for label in w.labels])
        owner = torch.tensor([w.owner for w in some for _ in w.labels])
        for states in (hidden[places - 1, :half], hidden[places + 1, half:]):
            totals.index_add_(0, owner, log_probabilities(head, classes, states, labels))
    return totals.tolist()


def _room(loaded: Loaded) -> int:
    """Tokens that fit between [CLS] and [SEP]."""
    return int(loaded.encoder.max_length) - 2


def _middle_windows(part: Part, loaded: Loaded, owner: int) -> Iterator[_Window]:
    special, room, tokens = loaded.special, _room(loaded), part.ids[1:]
    step = len(tokens) if len(tokens) <= room else max(1, room // 2)
    for start in range(0, len(tokens), step):
        begin = max(0, min(start - (room - step) // 2, len(tokens) - room))
        window = tokens[begin : begin + room]
        counted = range(max(start, part.first - 1), min(start + step, part.counted.stop - 1))
        if counted:
            yield _Window(
                [special.cls, *window, special.sep],
                [i - begin + 1 for i in counted],
                [tokens[i] for i in counted],
                owner,
            )


def _left_windows(part: Part, most: int, owner: int) -> Iterator[_Window]:
    ids, last = part.ids, part.counted.stop - 1
    begin, target = 0, 1  # the window's first token, the first token that it predicts
    while target <= last:
        end = min(begin + most, last)  # it predicts target … end
        counted = range(max(target, part.first), end + 1)
        if counted:
            window = ids[begin:end]
            yield _Window(window, [t - 1 - begin for t in counted], [ids[t] for t in counted], owner)
        target = end + 1
        begin = target - kept(most)


def _hidden_windows(part: Part, loaded: Loaded, owner: int) -> Iterator[_Window]:
    special, room = loaded.special, _room(loaded)
    tokens = part.ids[1:]
    for i in (c - 1 for c in part.counted):
        begin = max(0, min(i - room // 2, len(tokens) - room))
        window = tokens[begin : begin + room]
        window[i - begin] = special.mask
        yield _Window([special.cls, *window, special.sep], [i - begin + 1], [tokens[i]], owner)


def _sums(loaded: Loaded, head: Any, windows: Iterable[_Window], texts: int) -> list[float]:
    totals = torch.zeros(texts, dtype=torch.float64)
    for some in _by_length(windows):
        batch = _batch([w.ids for w in some], loaded.special.pad)
        width = batch.ids.size(1)
        positions = torch.tensor([row * width + p for row, w in enumerate(some) for p in w.positions])
        labels = torch.tensor([label for w in some for label in w.labels])
        owner = torch.tensor([w.owner for w in some for _ in w.labels])
        hidden = loaded.encoder.encode(batch, at=positions).at(positions)
        totals.index_add_(0, owner, log_probabilities(head.logits, len(head.weight), hidden, labels))
    return totals.tolist()


def _by_length(windows: Iterable[_Window]) -> Iterator[list[_Window]]:
    """Batches of bounded size, of similar lengths as far as a bounded look ahead tells."""
    waiting: list[_Window] = []
    size = 0
    for window in windows:
        waiting.append(window)
        size += len(window.ids)
        if size >= 16 * TOKENS_PER_BATCH:
            yield from _groups(waiting)
            waiting, size = [], 0
    yield from _groups(waiting)


def _groups(windows: list[_Window]) -> Iterator[list[_Window]]:
    windows.sort(key=lambda window: len(window.ids))
    start = 0
    while start < len(windows):
        end = start + 1
        while end < len(windows) and len(windows[end].ids) * (end + 1 - start) <= TOKENS_PER_BATCH:
            end += 1
        yield windows[start:end]
        start = end


def _batch(texts: Sequence[Sequence[int]], pad: int) -> Batch:
    """Rows of one text each, padded on the right to the longest."""
    ids, real = _padded(texts, pad)
    position = torch.arange(ids.size(1)).expand_as(ids) * real
    first = torch.arange(len(texts)) * ids.size(1)
    return Batch(ids, real.long(), position, torch.zeros_like(ids), first, packed=not bool(real.all()))


def _padded(texts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """(B, T) ids, and where they are real."""
    width = max(map(len, texts))
    ids = torch.tensor([[*text, *[pad] * (width - len(text))] for text in texts])
    return ids, torch.arange(width) < torch.tensor([len(text) for text in texts])[:, None]


class _Group(NamedTuple):
    """Texts that begin alike.

    Args:
        number: which group it is.
        members: its texts, short ones first.
        shared: how many tokens all begin with, less the last of them, which each text reads itself.
        own: tokens that the longest of them reads itself.
    """

    number: int
    members: list[int]
    shared: int
    own: int


def causal_shared(loaded: Loaded, head: Any, groups: Sequence[Sequence[Part]]) -> list[list[float]]:
    """`causal` for groups of texts that begin alike: what a group shares is read once.

    The decoder's cache holds the common beginning of a group but for its last token; each text then costs its own end.
    Groups go side by side, padded on the left.
    """
    most = int(loaded.encoder.max_length)
    totals = [[0.0] * len(parts) for parts in groups]
    ready: list[_Group] = []
    alone: list[tuple[int, int]] = []  # (group, text) of those that share nothing or are read in windows
    for number, parts in enumerate(groups):
        short = [i for i, part in enumerate(parts) if len(part.ids) - 1 <= most]
        short.sort(key=lambda i: len(parts[i].ids))
        shared = _common([parts[i] for i in short]) - 1
        if shared < 1:
            short = []
        else:
            ready.append(_Group(number, short, shared, len(parts[short[-1]].ids) - 1 - shared))
        alone += [(number, i) for i in range(len(parts)) if i not in short]
    sums = causal(loaded, head, [groups[number][i] for number, i in alone])
    for (number, i), total in zip(alone, sums, strict=True):
        totals[number][i] = total
    for some in _side_by_side(ready, most):
        _read_groups(loaded, head, groups, some, totals)
    return totals


def _side_by_side(groups: list[_Group], most: int) -> Iterator[list[_Group]]:
    """Groups of similar length, as many as a batch and the model's positions hold with their padding."""
    groups.sort(key=lambda group: group.shared)
    some: list[_Group] = []
    rows = own = 0
    for group in groups:
        rows, own = rows + len(group.members), max(own, group.own)
        longest = group.shared + own
        if some and (longest > most or rows * longest > TOKENS_PER_BATCH):
            yield some
            some, rows, own = [], len(group.members), group.own
        some.append(group)
    if some:
        yield some


def _read_groups(
    loaded: Loaded, head: Any, groups: Sequence[Sequence[Part]], some: list[_Group], totals: list[list[float]]
) -> None:
    """Read the beginnings of some groups, then the end of every text, and write the sums into `totals`."""
    width = max(group.shared for group in some)
    longest = width + max(group.own for group in some)
    start = torch.tensor([width - group.shared for group in some])
    ids = torch.full((len(some), width), loaded.special.pad)
    for row, group in enumerate(some):
        beginning = groups[group.number][group.members[0]].ids[: group.shared]
        ids[row, width - group.shared :] = torch.tensor(beginning)
    cache = loaded.encoder.new_cache(len(some), longest, start if bool(start.any()) else None)
    loaded.encoder.decode(ids, cache)
    members = [(row, group, i) for row, group in enumerate(some) for i in group.members]
    # a group that fills a batch by itself is read in turns; several groups fit by construction
    rows_at_once = max(1, TOKENS_PER_BATCH // longest) if len(some) == 1 else len(members)
    for begin in range(0, len(members), rows_at_once):
        now = members[begin : begin + rows_at_once]
        cache.truncate(width)
        cache.reorder(torch.tensor([row for row, _, _ in now]))
        parts = [(groups[group.number][i], group.shared) for _, group, i in now]
        tails, _ = _padded([part.ids[shared:-1] for part, shared in parts], loaded.special.pad)
        hidden = loaded.encoder.decode(tails, cache)
        rows = torch.tensor([r for r, (part, _) in enumerate(parts) for _ in part.counted])
        columns = torch.tensor([c - 1 - shared for part, shared in parts for c in part.counted])
        labels = torch.tensor([part.ids[c] for part, _ in parts for c in part.counted])
        found = log_probabilities(head.logits, len(head.weight), hidden[rows, columns], labels)
        sums = torch.zeros(len(parts), dtype=torch.float64).index_add_(0, rows, found)
        for (_, group, i), total in zip(now, sums.tolist(), strict=True):
            totals[group.number][i] = total


def _common(parts: Sequence[Part]) -> int:
    """How many tokens all texts begin with, none of which counts."""
    if not parts:
        return 0
    n = min(part.first for part in parts)
    for column in range(n):
        if len({part.ids[column] for part in parts}) > 1:
            return column
    return n
