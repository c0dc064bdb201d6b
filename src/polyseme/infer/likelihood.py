"""The logarithm of a token's probability, by a decoder from its left side or by a masked model from both.

    causal     log p(s_i | s_<i)          s = [CLS] t₁ … tₙ [SEP], in one pass over the text
    masked     log p(t_i | all others)    t_i replaced by [MASK]: one pass over the text for each of its tokens
               log p(t_i | all others but the later tokens of its word), these replaced by [MASK], too
    two-way    log p(t_i | t_<i) + log p(t_i | t_>i)    s = [CLS] t₁ … tₙ [SEP], in one pass

Masked models cost the most, so nothing is computed twice or without need. Texts of equal length form a batch without
padding. The last layer, the head and the softmax are computed at hidden tokens alone. Two texts may be equal when a
token is hidden, as the texts of a minimal pair are at the word that differs: they are read once, and both tokens are
looked up.

A text longer than the model reads: a decoder reads it in windows, each beginning with the second half of what came
before, as in generation (infer/contexts.py); a masked model sees as many neighbours on both sides as fit; a two-way
model counts half a window at a time, with a quarter on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor

from polyseme.core.pauses import pause
from polyseme.core.protocols import DecodingEncoder, TokenHead
from polyseme.core.types import Batch
from polyseme.infer import hidden as _hidden
from polyseme.infer.contexts import kept
from polyseme.infer.hidden import by_length, packed
from polyseme.infer.loaded import Loaded

__all__ = ["Part", "causal", "causal_shared", "log_probabilities", "masked", "two_way"]

TOKENS_PER_BATCH = 8192
"""Of texts that share their beginning; the others go in the batches of infer/hidden.py, which are no larger."""

CHUNK_BYTES = 32 * 2**20
"""Logits in memory at once. Smaller pieces spend their time on reading the vocabulary's matrix again."""

STRETCH = 2**18
"""Tokens among which windows that are alike, or equally long, are looked for."""

_HEAD_ROWS = 4096
"""The largest number of hidden states that wait for the head."""


class Part(NamedTuple):
    """A text and which of its tokens count: those from `first` on, up to `stop`.

    Args:
        ids: [CLS], the tokens, and [SEP] where the end counts.
        first: index of the first token that counts, at least 1.
        stop: index after the last token that counts; None = all count.
        starts: True where a token begins a word, for each after [CLS]: a masked model then does not see the rest of
            the word of which it predicts a token; None = it does.
    """

    ids: list[int]
    first: int
    stop: int | None = None
    starts: Sequence[bool] | None = None

    @property
    def counted(self) -> range:
        """Indices of the tokens that count."""
        return range(self.first, len(self.ids) if self.stop is None else self.stop)


class Window(NamedTuple):
    """Tokens that are read at once, and what they predict.

    Args:
        ids: the tokens.
        positions: those that predict.
        labels: the tokens that they predict, which follow each other in the text.
        slot: the number of the first of these among all tokens that count, of all texts.
    """

    ids: list[int]
    positions: list[int]
    labels: list[int]
    slot: int


Values = list[float]
"""log p of every token of a text that counts, in order."""


def log_probabilities(
    logits_of: Callable[[Tensor], Tensor], classes: int, hidden: Tensor, labels: Tensor, row: Tensor
) -> Tensor:
    """Log-softmax of hidden states at labels; the logits of a large vocabulary never stand in memory at once.

    Args:
        logits_of: hidden states (N, d) -> logits (N, classes).
        classes: size of the vocabulary that is predicted.
        row: which hidden state each label belongs to, ascending; one may have several labels.
    Shapes:  hidden: (P, d), on any device.  labels, row: (A,) -> (A,) float64, these on the CPU
    """
    at_once, device = max(1, CHUNK_BYTES // (4 * classes)), hidden.device
    cuts = torch.arange(0, len(hidden) + at_once, at_once)
    bounds = torch.searchsorted(row, cuts).tolist()
    parts = []
    for start, begin, end in zip(cuts.tolist(), bounds, bounds[1:], strict=False):
        logits = logits_of(hidden[start : start + at_once]).float()
        local_rows, local_labels = (row[begin:end] - start).to(device), labels[begin:end].to(device)
        parts.append(logits[local_rows, local_labels] - logits.logsumexp(1)[local_rows])
    return torch.cat(parts).double().cpu() if parts else torch.zeros(0, dtype=torch.float64)


def causal(loaded: Loaded, head: TokenHead, parts: Sequence[Part]) -> list[Values]:
    """Log p of the tokens that count, for every text."""
    most = int(loaded.encoder.max_length)
    windows = (w for part, slot in _slots(parts) for w in left_windows(part, most, slot))
    return _values(loaded, head, windows, parts, causal=True)


def masked(loaded: Loaded, head: TokenHead, parts: Sequence[Part]) -> list[Values]:
    """Log p of the tokens that count, each hidden in turn, for every text; the parts have no [SEP] yet.

    Source:  Salazar et al. (2020), equation 1, pseudo-log-likelihood; of parts that say where words begin Kauf and
             Ivanova (2023), section 3, PLL-word-l2r.
    """
    windows = (w for part, slot in _slots(parts) for w in hidden_windows(part, loaded, slot))
    return _values(loaded, head, windows, parts)


def two_way(loaded: Loaded, head: TokenHead, parts: Sequence[Part]) -> list[Values]:
    """Log p from the left plus log p from the right of the tokens that count; the parts have no [SEP] yet.

    What the head has no class for counts as [UNK], as in training.

    Source:  Peters et al. (2018), section 3.1.
    """
    classes, unknown = len(head.weight), loaded.tokenizer.unk_id
    windows = (w for part, slot in _slots(parts) for w in middle_windows(part, loaded, slot))
    values, encoder = _Values(head.logits, classes, parts), packed(loaded.encoder)
    for asked in _batches(windows, loaded.special.pad):
        hidden = encoder.encode(loaded.placed(asked.batch)).last.flatten(0, 1)
        places = asked.places.to(loaded.device)
        half = hidden.size(1) // 2
        labels = asked.labels.where(asked.labels < classes, unknown)
        for states in (hidden[places - 1, :half], hidden[places + 1, half:]):
            values.add(states, asked._replace(labels=labels))
    return values.of_texts()


def _slots(parts: Sequence[Part]) -> Iterator[tuple[Part, int]]:
    """Every text with the number of its first token that counts among those of all texts."""
    return zip(parts, accumulate((len(part.counted) for part in parts), initial=0), strict=False)


def _max_content(loaded: Loaded) -> int:
    """Tokens that fit between [CLS] and [SEP]."""
    return int(loaded.encoder.max_length) - 2


def middle_windows(part: Part, loaded: Loaded, slot: int) -> Iterator[Window]:
    """Windows of a two-way model: [CLS] tokens [SEP], each token that counts in one of them."""
    special, max_content, tokens = loaded.special, _max_content(loaded), part.ids[1:]
    step = len(tokens) if len(tokens) <= max_content else max(1, max_content // 2)
    for start in range(0, len(tokens), step):
        begin = max(0, min(start - (max_content - step) // 2, len(tokens) - max_content))
        window = tokens[begin : begin + max_content]
        counted = range(max(start, part.first - 1), min(start + step, part.counted.stop - 1))
        if counted:
            yield Window(
                [special.cls, *window, special.sep],
                [i - begin + 1 for i in counted],
                [tokens[i] for i in counted],
                slot + counted.start + 1 - part.first,
            )


def left_windows(part: Part, most: int, slot: int) -> Iterator[Window]:
    """Windows of a decoder that reads `most` tokens; position i predicts what follows it."""
    ids, last = part.ids, part.counted.stop - 1
    begin, target = 0, 1  # the window's first token, the first token that it predicts
    while target <= last:
        end = min(begin + most, last)  # it predicts target … end
        counted = range(max(target, part.first), end + 1)
        if counted:
            window = ids[begin:end]
            places, labels = [t - 1 - begin for t in counted], [ids[t] for t in counted]
            yield Window(window, places, labels, slot + counted.start - part.first)
        target = end + 1
        begin = target - kept(most)


def hidden_windows(part: Part, loaded: Loaded, slot: int) -> Iterator[Window]:
    """Windows of a masked model: one for every token that counts, which is hidden in it."""
    special, max_content = loaded.special, _max_content(loaded)
    tokens = part.ids[1:]
    for number, i in enumerate((c - 1 for c in part.counted), slot):
        begin = max(0, min(i - max_content // 2, len(tokens) - max_content))
        window = tokens[begin : begin + max_content]
        for hidden in range(i, min(_end_of_hidden(part, i), begin + len(window))):
            window[hidden - begin] = special.mask
        yield Window([special.cls, *window, special.sep], [i - begin + 1], [tokens[i]], number)


def _end_of_hidden(part: Part, token: int) -> int:
    """The index after the last token that is hidden while a token, counted without [CLS], is predicted."""
    end = token + 1
    while part.starts is not None and end < len(part.starts) and not part.starts[end]:
        end += 1
    return end


class _Asked(NamedTuple):
    """A batch, and the tokens whose probability is wanted.

    Args:
        batch: windows, one a row.
        places: flat positions that predict.
        row: for each label, the index of its place, ascending.
        labels: the tokens whose log p is wanted.
        slot: for each label, its number among the tokens that count.
    Shapes:  places: (P,).  row, labels, slot: (A,)
    """

    batch: Batch
    places: Tensor
    row: Tensor
    labels: Tensor
    slot: Tensor


class _Values:
    """log p of the tokens of texts; hidden states wait until there are enough for an efficient product with the
    vocabulary. What is added twice for a token, from its two sides, is summed.

    Args:
        logits_of, classes: as for `log_probabilities`.
        parts: the texts.
    """

    def __init__(self, logits_of: Callable[[Tensor], Tensor], classes: int, parts: Sequence[Part]) -> None:
        self._logits_of, self._classes = logits_of, classes
        self._counts = [len(part.counted) for part in parts]
        self._values = torch.zeros(sum(self._counts), dtype=torch.float64)
        self._waiting: list[tuple[Tensor, _Asked]] = []
        self._rows = 0

    def add(self, hidden: Tensor, asked: _Asked) -> None:
        """Take in the hidden states of a batch.  Shapes: hidden: (P, d)"""
        self._waiting.append((hidden, asked))
        self._rows += len(hidden)
        if self._rows >= _HEAD_ROWS:
            self._flush()

    def _flush(self) -> None:
        rows, before = [], 0
        for hidden, asked in self._waiting:
            rows.append(asked.row + before)
            before += len(hidden)
        if rows:
            hidden = torch.cat([hidden for hidden, _ in self._waiting])
            labels = torch.cat([asked.labels for _, asked in self._waiting])
            slot = torch.cat([asked.slot for _, asked in self._waiting])
            values = log_probabilities(self._logits_of, self._classes, hidden, labels, torch.cat(rows))
            self._values.index_add_(0, slot, values)
        self._waiting, self._rows = [], 0

    def of_texts(self) -> list[Values]:
        """The values of every text."""
        self._flush()
        return split(self._values.tolist(), self._counts)


def split(values: Values, counts: Iterable[int]) -> list[Values]:
    """Values of several texts, so many each."""
    ends = [*accumulate(counts, initial=0)]
    return [values[start:end] for start, end in pairwise(ends)]


def _values(
    loaded: Loaded, head: TokenHead, windows: Iterable[Window], parts: Sequence[Part], causal: bool = False
) -> list[Values]:
    values, encoder = _Values(head.logits, len(head.weight), parts), packed(loaded.encoder)
    for asked in _batches(windows, loaded.special.pad):
        batch, places = loaded.placed(replace(asked.batch, causal=causal)), asked.places.to(loaded.device)
        values.add(encoder.encode(batch, at=places).at(places), asked)
    return values.of_texts()


def _batches(windows: Iterable[Window], pad: int) -> Iterator[_Asked]:
    """Windows of equal length in batches; those that are alike are read once."""
    most = min(TOKENS_PER_BATCH, _hidden.TOKENS_PER_BATCH)
    for stretch in _stretches(windows):
        alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[Window]] = {}
        for window in stretch:
            alike.setdefault((tuple(window.ids), tuple(window.positions)), []).append(window)
        asked = list(alike.values())
        for batch in by_length([len(group[0].ids) for group in asked], most):
            yield _asked([asked[i] for i in batch], pad)
            pause()


def _asked(groups: Sequence[Sequence[Window]], pad: int) -> _Asked:
    """One batch of windows; those of a group are alike."""
    batch = _batch([group[0].ids for group in groups], pad)
    width = batch.ids.size(1)
    places = [number * width + p for number, group in enumerate(groups) for p in group[0].positions]
    answers = [
        (w.labels[n], w.slot + n) for group in groups for n in range(len(group[0].positions)) for w in group
    ]
    counts = list(chain.from_iterable([len(group)] * len(group[0].positions) for group in groups))
    row = torch.arange(len(places)).repeat_interleave(torch.tensor(counts))
    labels, slot = torch.tensor(answers).unbind(1)
    return _Asked(batch, torch.tensor(places), row, labels, slot)


def _stretches(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Windows that are in memory together."""
    waiting: list[Window] = []
    size = 0
    for window in windows:
        waiting.append(window)
        size += len(window.ids)
        if size >= STRETCH:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


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
        shared: the number of tokens that all begin with, minus one: each text reads the last one itself.
        tail: tokens of the longest text after `shared`.
    """

    number: int
    members: list[int]
    shared: int
    tail: int


def causal_shared(loaded: Loaded, head: TokenHead, groups: Sequence[Sequence[Part]]) -> list[list[Values]]:
    """`causal` for groups of texts that begin alike: what a group shares is read once.

    The decoder's cache holds the common beginning of a group, without its last token; then only the rest of each text
    is read. Groups stand side by side, padded on the left.
    """
    most = int(loaded.encoder.max_length)
    found: list[list[Values]] = [[[] for _ in parts] for parts in groups]
    ready: list[_Group] = []
    separate: list[tuple[int, int]] = []  # (group, text) of those that share nothing or are read in windows
    for number, parts in enumerate(groups):
        short = [i for i, part in enumerate(parts) if len(part.ids) - 1 <= most]
        short.sort(key=lambda i: len(parts[i].ids))
        shared = _common([parts[i] for i in short]) - 1
        if shared < 1:
            short = []
        else:
            ready.append(_Group(number, short, shared, len(parts[short[-1]].ids) - 1 - shared))
        separate += [(number, i) for i in range(len(parts)) if i not in short]
    alone = causal(loaded, head, [groups[number][i] for number, i in separate])
    for (number, i), values in zip(separate, alone, strict=True):
        found[number][i] = values
    for batch in _side_by_side(ready, most):
        _read_groups(loaded, head, groups, batch, found)
    return found


def _side_by_side(groups: list[_Group], most: int) -> Iterator[list[_Group]]:
    """Groups of similar length, as many as a batch and the model's positions hold with their padding."""
    groups.sort(key=lambda group: group.shared)
    batch: list[_Group] = []
    rows = tail = 0
    for group in groups:
        rows, tail = rows + len(group.members), max(tail, group.tail)
        longest = group.shared + tail
        if batch and (longest > most or rows * longest > TOKENS_PER_BATCH):
            yield batch
            batch, rows, tail = [], len(group.members), group.tail
        batch.append(group)
    if batch:
        yield batch


def _read_groups(
    loaded: Loaded,
    head: TokenHead,
    groups: Sequence[Sequence[Part]],
    batch: list[_Group],
    found: list[list[Values]],
) -> None:
    """Read the beginnings of some groups, then the end of every text, and write the values into `found`."""
    width = max(group.shared for group in batch)
    longest = width + max(group.tail for group in batch)
    device, start = loaded.device, torch.tensor([width - group.shared for group in batch])
    ids = torch.full((len(batch), width), loaded.special.pad)
    for row, group in enumerate(batch):
        beginning = groups[group.number][group.members[0]].ids[: group.shared]
        ids[row, width - group.shared :] = torch.tensor(beginning)
    encoder = cast(DecodingEncoder, loaded.encoder)
    cache = encoder.new_cache(len(batch), longest, start.to(device) if bool(start.any()) else None)
    encoder.decode(ids.to(device), cache)
    members = [(row, group, i) for row, group in enumerate(batch) for i in group.members]
    # a group that fills a batch by itself is read in turns; several groups fit by construction
    rows_at_once = max(1, TOKENS_PER_BATCH // longest) if len(batch) == 1 else len(members)
    for begin in range(0, len(members), rows_at_once):
        pause()
        chunk = members[begin : begin + rows_at_once]
        cache.truncate(width)
        cache.reorder(torch.tensor([row for row, _, _ in chunk], device=device))
        parts = [(groups[group.number][i], group.shared) for _, group, i in chunk]
        tails, _ = _padded([part.ids[shared:-1] for part, shared in parts], loaded.special.pad)
        hidden = encoder.decode(tails.to(device), cache)
        rows = torch.tensor([r for r, (part, _) in enumerate(parts) for _ in part.counted])
        columns = torch.tensor([c - 1 - shared for part, shared in parts for c in part.counted])
        labels = torch.tensor([part.ids[c] for part, _ in parts for c in part.counted])
        states, indices = hidden[rows.to(device), columns.to(device)], torch.arange(len(rows))
        values = log_probabilities(head.logits, len(head.weight), states, labels, indices)
        of_texts = split(values.tolist(), [len(part.counted) for part, _ in parts])
        for (_, group, i), of_text in zip(chunk, of_texts, strict=True):
            found[group.number][i] = of_text


def _common(parts: Sequence[Part]) -> int:
    """The length of the common beginning of all texts; no token in it counts."""
    if not parts:
        return 0
    n = min(part.first for part in parts)
    for column in range(n):
        if len({part.ids[column] for part in parts}) > 1:
            return column
    return n
