"""Which stretches of a text a model reads to say how probable its tokens are, and what it predicts in each.

A text longer than the model reads: a decoder reads it in windows, each beginning with the second half of what came
before, as in generation (infer/contexts.py); a masked model sees as many neighbours on both sides as fit; a two-way
model counts half a window at a time, with a quarter on either side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from polyseme.infer.contexts import kept
from polyseme.infer.loaded import Loaded

__all__ = ["Part", "Window", "hidden_windows", "left_windows", "middle_windows"]


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
    """What is read in one go: `ids`; which of its positions predict; what; of which text."""

    ids: list[int]
    positions: list[int]
    labels: list[int]
    owner: int


def _room(loaded: Loaded) -> int:
    """Tokens that fit between [CLS] and [SEP]."""
    return int(loaded.encoder.max_length) - 2


def middle_windows(part: Part, loaded: Loaded, owner: int) -> Iterator[Window]:
    """Windows of a two-way model: [CLS] tokens [SEP], each token that counts in one of them."""
    special, room, tokens = loaded.special, _room(loaded), part.ids[1:]
    step = len(tokens) if len(tokens) <= room else max(1, room // 2)
    for start in range(0, len(tokens), step):
        begin = max(0, min(start - (room - step) // 2, len(tokens) - room))
        window = tokens[begin : begin + room]
        counted = range(max(start, part.first - 1), min(start + step, part.counted.stop - 1))
        if counted:
            yield Window(
                [special.cls, *window, special.sep],
                [i - begin + 1 for i in counted],
                [tokens[i] for i in counted],
                owner,
            )


def left_windows(part: Part, most: int, owner: int) -> Iterator[Window]:
    """Windows of a decoder that reads `most` tokens; position i predicts what follows it."""
    ids, last = part.ids, part.counted.stop - 1
    begin, target = 0, 1  # the window's first token, the first token that it predicts
    while target <= last:
        end = min(begin + most, last)  # it predicts target … end
        counted = range(max(target, part.first), end + 1)
        if counted:
            window = ids[begin:end]
            yield Window(window, [t - 1 - begin for t in counted], [ids[t] for t in counted], owner)
        target = end + 1
        begin = target - kept(most)


def hidden_windows(part: Part, loaded: Loaded, owner: int) -> Iterator[Window]:
    """Windows of a masked model: one for every token that counts, which is hidden in it."""
    special, room = loaded.special, _room(loaded)
    tokens = part.ids[1:]
    for i in (c - 1 for c in part.counted):
        begin = max(0, min(i - room // 2, len(tokens) - room))
        window = tokens[begin : begin + room]
        for hidden in range(i, min(_end_of_hidden(part, i), begin + len(window))):
            window[hidden - begin] = special.mask
        yield Window([special.cls, *window, special.sep], [i - begin + 1], [tokens[i]], owner)


def _end_of_hidden(part: Part, token: int) -> int:
    """The index after the last token that is hidden while a token, counted without [CLS], is predicted."""
    end = token + 1
    while part.starts is not None and end < len(part.starts) and not part.starts[end]:
        end += 1
    return end
