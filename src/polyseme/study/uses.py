"""Vectors of uses: what every layer makes of one word in its text.

    word    v_l = mean over the tokens t that overlap [start, end) of h_l,t
    text    v_l = mean over all tokens t of the text of h_l,t
    both    v_l = word / |word| ⊕ text / |text|

One forward pass serves all layers. A text that is longer than the model reads is cut to a window around the use: for a
model that looks both ways the use stands in its middle, for one that looks to the left at its end.

A static representation has one vector for a word as it is written, its own: 苹果 has it in 苹果公司, too, though the
segmenter makes one word of that. The longer word's vector would tell of the context what a static vector cannot know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from polyseme.core.arrays import BoolArray, Float32Array, IntArray
from polyseme.core.protocols import SparseEncoder
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.infer.hidden import Layers, hidden_states, layer_numbers
from polyseme.infer.loaded import Loaded, words_of
from polyseme.text.labelled.senses import Use

__all__ = ["Of", "UseVectors", "dots", "unit", "use_vectors"]

Of = Literal["word", "text", "both"]


SAME = 1e-4
"""Two vectors are the same dot if they are no further apart than this share of their length: rounding, not context."""
_TEXTS = 256
"""Texts that are tokenized at a time."""


@dataclass(frozen=True, eq=False)
class UseVectors:
    """The vectors of some uses at some layers.

    Args:
        layers: their numbers; 0 is the embedding layer.
        vectors: in the order of the uses; zeros where no token overlaps a use.
        tokens: which uses have the same tokens, as numbers.
        without: uses that no token overlaps.
        unknown: uses with a token that is [UNK], of an encoder that does not read letters.
        cut: uses whose text was cut to a window.
        within: longer words of the run that hold a use, and how many uses; of a static run alone, which takes the use's
            own vector there.

    Shapes:  vectors: (L, N, hidden_size) float32, of both (L, N, 2 · hidden_size).  tokens: (N,)
    """

    layers: tuple[int, ...]
    vectors: Float32Array
    tokens: IntArray
    without: int
    unknown: int
    cut: int
    within: Counter[str] = field(default_factory=Counter)


class _Window(NamedTuple):
    """The tokens around a use that are read, which of them are the use, and whether others were left out."""

    ids: list[int]
    words: list[str]
    first: int
    end: int
    cut: bool
    held: str = ""
    """What the use's tokens cover of the text."""

    @property
    def spelling(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The use's tokens; of encoders that read letters, the words that they are, too."""
        inside = slice(self.first, self.end)
        return tuple(self.ids[inside]), tuple(self.words[inside])

    def span(self, of: str) -> tuple[int, int]:
        """The tokens that count for the vector of the word or of the text."""
        return (self.first, self.end) if of == "word" else (0, len(self.ids))


@torch.inference_mode()
def use_vectors(
    loaded: Loaded,
    uses: Sequence[Use],
    layers: Layers = "all",
    reporter: Reporter | None = None,
    of: Of = "word",
) -> UseVectors:
    """What every layer of a run makes of every use, by one forward pass.

    Of an encoder with sparse vectors (1-of-N, word classes) only the columns that are not zero everywhere are kept.

    Args:
        loaded: a run.
        uses: any number of them; memory is for their vectors and one batch.
        layers: a number, several, or "all".
        reporter: told how far it is.
        of: what the vectors are of: the word, its text, or both side by side, each of length one.
    Raises:  ConfigError: there is no such layer.
    """
    reporter = reporter or NullReporter()
    numbers = layer_numbers(loaded, layers)
    windows = _windows(loaded, uses)
    own, within = _own_entries(loaded, uses, windows) if loaded.encoder.reach == "none" else (windows, None)
    without = sum(window.first == window.end for window in own)
    unknown = 0
    if not loaded.reads_letters:
        unknown = sum(loaded.tokenizer.unk_id in window.spelling[0] for window in own)
    cut = sum(window.cut for window in windows)
    kinds: dict[object, int] = {}
    tokens = np.array([kinds.setdefault(window.spelling, len(kinds)) for window in own], np.int64)
    if hasattr(loaded.encoder, "active"):
        parts = [_sparse(loaded, own if part == "word" else windows, part) for part in _parts(of)]
        vectors = _beside(parts)[None].repeat(len(numbers), 0)
    elif within is not None:
        each = [
            _dense(loaded, own if part == "word" else windows, numbers, (part,), reporter)
            for part in _parts(of)
        ]
        vectors = np.stack([_beside(layer) for layer in zip(*each, strict=True)])
    else:
        vectors = _dense(loaded, windows, numbers, _parts(of), reporter)
    return UseVectors(numbers, vectors, tokens, without, unknown, cut, within or Counter())


def _dense(
    loaded: Loaded,
    windows: Sequence[_Window],
    numbers: tuple[int, ...],
    parts: tuple[str, ...],
    reporter: Reporter,
) -> Float32Array:
    """The vectors of uses at some layers, their parts side by side.  Shapes: -> (L, N, parts · hidden_size)"""
    width = int(loaded.encoder.config.hidden_size) * len(parts)
    vectors = np.zeros((len(numbers), len(windows), width), np.float32)
    done = 0
    ids, words = [window.ids for window in windows], [window.words for window in windows]
    for batch, states in hidden_states(loaded, ids, words, numbers):
        chosen = [windows[i] for i in batch]
        for place, hidden in enumerate(states):
            vectors[place, batch] = _beside(
                [_means(hidden, chosen, loaded.prefix_length, part) for part in parts]
            )
        done += len(batch)
        reporter.stage("reading uses", done, len(windows))
    return vectors


def _own_entries(
    loaded: Loaded, uses: Sequence[Use], windows: Sequence[_Window]
) -> tuple[list[_Window], Counter[str]]:
    """The tokens of every use by itself, whatever longer word it stands in, and these longer words.

    They are those that the run most often makes of exactly this form in these texts, so that a tokenizer that marks
    the space before a word keeps its mark; of a form that stands nowhere alone, those of the form as a text.
    """
    alone: dict[str, Counter[tuple[int, ...]]] = {}
    within: Counter[str] = Counter()
    for use, window in zip(uses, windows, strict=True):
        seen = alone.setdefault(use.form, Counter())
        held = window.held.strip()
        if held == use.form.strip():
            seen[window.spelling[0]] += 1
        elif use.form.strip() in held:
            within[held] += 1
    entries = {
        form: min(seen, key=lambda ids: (-seen[ids], ids))
        if seen
        else tuple(loaded.tokenizer.encode(form).ids)
        for form, seen in alone.items()
    }
    own = []
    for use in uses:
        ids = list(entries[use.form])
        own.append(_Window(ids, [], 0, len(ids), False))
    return own, within


def _parts(of: Of) -> tuple[str, ...]:
    return ("word", "text") if of == "both" else (of,)


def _beside(parts: Sequence[Float32Array]) -> Float32Array:
    """One part as it is; several side by side, each of length one."""
    return parts[0] if len(parts) == 1 else np.concatenate([unit(part) for part in parts], 1)


def _means(hidden: Tensor, windows: Sequence[_Window], lead: int, of: str) -> Float32Array:
    """The mean of each use's tokens, or of its text's.  Shapes: hidden: (B, T, D) -> (B, D)"""
    spans = [window.span(of) for window in windows]
    places = [(row, lead + t) for row, span in enumerate(spans) for t in range(*span)]
    sums = torch.zeros(len(windows), hidden.size(-1))
    if places:
        rows, columns = torch.tensor(places).T
        sums.index_add_(0, rows, hidden[rows, columns].float())
    count = torch.tensor([max(1, end - first) for first, end in spans])
    means: Float32Array = (sums / count[:, None]).numpy()
    return means


def _sparse(loaded: Loaded, windows: Sequence[_Window], of: str) -> Float32Array:
    """The means of sparse vectors, without the columns that are zero everywhere.  Shapes: -> (N, some columns)"""
    spans = [window.span(of) for window in windows]
    lengths = [end - first for first, end in spans]
    ids = [i for window, span in zip(windows, spans, strict=True) for i in window.ids[slice(*span)]]
    use = np.repeat(np.arange(len(windows)), lengths)
    encoder = cast(SparseEncoder, loaded.encoder)
    token, column = (part.numpy() for part in encoder.active(torch.tensor(ids, dtype=torch.long)))
    _, place = np.unique(column, return_inverse=True)
    vectors = np.zeros((len(windows), max(1, int(place.max(initial=-1)) + 1)), np.float32)
    np.add.at(vectors, (use[token], place), 1.0)
    vectors /= np.maximum(1, lengths)[:, None].astype(np.float32)
    return vectors


def _windows(loaded: Loaded, uses: Sequence[Use]) -> list[_Window]:
    windows = []
    for start in range(0, len(uses), _TEXTS):
        some = uses[start : start + _TEXTS]
        for use, tokens in zip(some, loaded.tokenizer.encode_batch([u.text for u in some]), strict=True):
            windows.append(_window(loaded, use, tokens))
    return windows


def _window(loaded: Loaded, use: Use, tokens: Any) -> _Window:
    inside = [i for i, (a, b) in enumerate(tokens.offsets) if a < use.end and b > use.start]
    first, end = (inside[0], inside[-1] + 1) if inside else (0, 0)
    n, room = len(tokens.ids), loaded.max_content
    end = min(end, first + room)
    low = 0
    if n > room:
        if loaded.encoder.reach == "left":
            low = max(0, end - room)
        else:
            low = min(max(0, (first + end - room) // 2), n - room)
    words = []
    if loaded.reads_letters:
        words = words_of(use.text, tokens)[low : low + room]
    held = use.text[tokens.offsets[first][0] : tokens.offsets[end - 1][1]] if inside else ""
    return _Window(tokens.ids[low : low + room], words, first - low, end - low, n > room, held)


def unit(vectors: npt.NDArray[np.floating]) -> Float32Array:
    """The vectors with length one; a vector of zeros stays.  Shapes: (N, D) -> (N, D)"""
    norm = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    scaled: Float32Array = (vectors / np.maximum(norm, 1e-30)[:, None]).astype(np.float32)
    return scaled


def dots(vectors: Float32Array, tokens: IntArray) -> int | None:
    """How many different vectors some uses have, if the vector depends on nothing but the use's own tokens.

    A static representation has one dot for each way a word is written (bank, Bank), whatever stands around it. None:
    context moves the vectors, or no two uses have the same tokens, so that nothing can be told.

    Shapes:  vectors: (N, D).  tokens: (N,) which uses have the same, 0 …
    """
    _, first, kind = np.unique(tokens, return_index=True, return_inverse=True)
    if not _same(vectors, vectors[first][kind]).all() or (len(first) == len(tokens) and len(tokens) > 1):
        return 1 if len(vectors) and _same(vectors, vectors[:1]).all() else None
    kinds: list[Float32Array] = []
    for vector in vectors[first]:
        if not any(_same(vector[None], one[None])[0] for one in kinds):
            kinds.append(vector)
    return len(kinds)


def _same(a: Float32Array, b: Float32Array) -> BoolArray:
    """Which rows are the same dot."""
    apart = np.linalg.norm(a - b, axis=1)
    return np.asarray(apart <= SAME * np.linalg.norm(b, axis=1) + 1e-12)
