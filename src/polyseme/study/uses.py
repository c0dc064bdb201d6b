"""Vectors of uses: one word in its text, as every layer represents it.

    word    v_l = mean over the tokens t that overlap [start, end) of h_l,t
    text    v_l = mean over all tokens t of the text of h_l,t
    both    v_l = word / |word| ⊕ text / |text|

One forward pass serves all layers. A text that is longer than the model reads is cut to a window around the use: for a
model that looks both ways the use stands in its middle, for one that looks to the left at its end.

A static representation has one vector for each written form of a word. 苹果 keeps its vector inside 苹果公司, though
the segmenter makes one word of that: the longer word's vector would contain context, which a static vector cannot know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar, cast

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

__all__ = [
    "Scope",
    "UseVectors",
    "distinct_vectors",
    "through",
    "unit",
    "use_vectors",
    "use_vectors_in_steps",
]

T = TypeVar("T")
Scope = Literal["word", "text", "both"]
"""The tokens whose vectors are averaged: those of the word, those of its text, or each of the two by itself."""


SAME = 1e-4
"""Two vectors count as equal if their distance is at most this share of their length: that is rounding, not context."""
_TEXTS = 256
"""Texts that are tokenized at a time."""


@dataclass(frozen=True, eq=False)
class UseVectors:
    """The vectors of some uses at some layers.

    Args:
        layers: their numbers; 0 is the embedding layer.
        vectors: in the order of the uses; zeros where no token overlaps a use.
        tokens: a number for each use; uses with the same tokens have the same number.
        untokenized: number of uses that no token overlaps.
        unknown: number of uses with a token that is [UNK], for an encoder that does not read letters.
        cut: number of uses whose text was cut to a window.
        within: for a static run, the longer words of its vocabulary in which uses stand, and how many uses each has;
            such a use has the vector of the word alone.

    Shapes:  vectors: (L, N, hidden_size) float32, of both (L, N, 2 · hidden_size).  tokens: (N,)
    """

    layers: tuple[int, ...]
    vectors: Float32Array
    tokens: IntArray
    untokenized: int
    unknown: int
    cut: int
    within: Counter[str] = field(default_factory=Counter)


class _Window(NamedTuple):
    """The tokens around a use that are read, which of them are the use, and whether the text was cut."""

    ids: list[int]
    words: list[str]
    first: int
    end: int
    cut: bool
    covered: str = ""
    """The part of the text that the use's tokens cover."""

    @property
    def spelling(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The use's tokens; of encoders that read letters, the words that they are, too."""
        inside = slice(self.first, self.end)
        return tuple(self.ids[inside]), tuple(self.words[inside])

    def span(self, scope: str) -> tuple[int, int]:
        """The tokens that count for the vector of the word or of the text."""
        return (self.first, self.end) if scope == "word" else (0, len(self.ids))


def use_vectors(
    loaded: Loaded,
    uses: Sequence[Use],
    layers: Layers = "all",
    reporter: Reporter | None = None,
    scope: Scope = "word",
) -> UseVectors:
    """The vector of every use at every layer of a run, by one forward pass.

    For an encoder with sparse vectors (1-of-N, word classes), columns that are zero in all uses are left out.

    Args:
        loaded: a run.
        uses: any number of them; memory is for their vectors and one batch.
        layers: a number, several, or "all".
        reporter: receives the progress.
        scope: average the word's tokens, the text's tokens, or both side by side, each mean of length one.
    Raises:  ConfigError: there is no such layer.
    """
    return through(use_vectors_in_steps(loaded, uses, layers, scope), reporter)


def through(steps: Generator[tuple[int, int], None, T], reporter: Reporter | None = None) -> T:
    """Take every step of a reading and tell the reporter of it; what the reading returns."""
    reporter = reporter or NullReporter()
    while True:
        try:
            done, of = next(steps)
        except StopIteration as end:
            read: T = end.value
            return read
        reporter.stage("reading uses", done, of)


Steps = Generator[tuple[int, int], None, Float32Array]


def use_vectors_in_steps(
    loaded: Loaded, uses: Sequence[Use], layers: Layers = "all", scope: Scope = "word"
) -> Generator[tuple[int, int], None, UseVectors]:
    """`use_vectors` with a step a batch: (uses that are read, of how many). Not to ask for the next is to stop."""
    numbers = layer_numbers(loaded, layers)
    windows = _windows(loaded, uses)
    alone_windows, within = (
        _windows_of_form_alone(loaded, uses, windows) if loaded.encoder.reach == "none" else (windows, None)
    )
    untokenized = sum(window.first == window.end for window in alone_windows)
    unknown = 0
    if not loaded.reads_letters:
        unknown = sum(loaded.tokenizer.unk_id in window.spelling[0] for window in alone_windows)
    cut = sum(window.cut for window in windows)
    kinds: dict[object, int] = {}
    tokens = np.array([kinds.setdefault(window.spelling, len(kinds)) for window in alone_windows], np.int64)
    if hasattr(loaded.encoder, "active"):
        parts = [
            _sparse(loaded, alone_windows if part == "word" else windows, part) for part in _parts(scope)
        ]
        vectors = _beside(parts)[None].repeat(len(numbers), 0)
    elif within is not None:
        by_part = []
        for part in _parts(scope):
            chosen = alone_windows if part == "word" else windows
            by_part.append((yield from _dense(loaded, chosen, numbers, (part,))))
        vectors = np.stack([_beside(layer) for layer in zip(*by_part, strict=True)])
    else:
        vectors = yield from _dense(loaded, windows, numbers, _parts(scope))
    return UseVectors(numbers, vectors, tokens, untokenized, unknown, cut, within or Counter())


def _dense(
    loaded: Loaded, windows: Sequence[_Window], numbers: tuple[int, ...], parts: tuple[str, ...]
) -> Steps:
    """The vectors of uses at some layers, their parts side by side.  Shapes: -> (L, N, parts · hidden_size)"""
    width = int(loaded.encoder.config.hidden_size) * len(parts)
    vectors = np.zeros((len(numbers), len(windows), width), np.float32)
    done = 0
    ids, words = [window.ids for window in windows], [window.words for window in windows]
    for batch, states in hidden_states(loaded, ids, words, numbers):
        chosen = [windows[i] for i in batch]
        with torch.inference_mode():
            for place, hidden in enumerate(states):
                vectors[place, batch] = _beside(
                    [_means(hidden, chosen, loaded.prefix_length, part) for part in parts]
                )
        done += len(batch)
        yield done, len(windows)
    return vectors


def _windows_of_form_alone(
    loaded: Loaded, uses: Sequence[Use], windows: Sequence[_Window]
) -> tuple[list[_Window], Counter[str]]:
    """The tokens of every use's form alone, whatever longer word it stands in, and these longer words.

    For each form, take the tokens that the run uses most often for exactly this form in these texts: a tokenizer that
    marks the space before a word then keeps its mark. If the form never stands alone, tokenize it as a text.
    """
    ids_of_form: dict[str, Counter[tuple[int, ...]]] = {}
    within: Counter[str] = Counter()
    for use, window in zip(uses, windows, strict=True):
        seen = ids_of_form.setdefault(use.form, Counter())
        covered = window.covered.strip()
        if covered == use.form.strip():
            seen[window.spelling[0]] += 1
        elif use.form.strip() in covered:
            within[covered] += 1
    entries = {
        form: min(seen, key=lambda ids: (-seen[ids], ids))
        if seen
        else tuple(loaded.tokenizer.encode(form).ids)
        for form, seen in ids_of_form.items()
    }
    alone_windows = []
    for use in uses:
        ids = list(entries[use.form])
        alone_windows.append(_Window(ids, [], 0, len(ids), False))
    return alone_windows, within


def _parts(scope: Scope) -> tuple[str, ...]:
    return ("word", "text") if scope == "both" else (scope,)


def _beside(parts: Sequence[Float32Array]) -> Float32Array:
    """A single part unchanged; several parts side by side, each of length one."""
    return parts[0] if len(parts) == 1 else np.concatenate([unit(part) for part in parts], 1)


def _means(hidden: Tensor, windows: Sequence[_Window], prefix_length: int, scope: str) -> Float32Array:
    """The mean of each use's tokens, or of its text's.  Shapes: hidden: (B, T, D) -> (B, D)"""
    spans = [window.span(scope) for window in windows]
    places = [(row, prefix_length + t) for row, span in enumerate(spans) for t in range(*span)]
    sums = torch.zeros(len(windows), hidden.size(-1))
    if places:
        rows, columns = torch.tensor(places).T
        sums.index_add_(0, rows, hidden[rows, columns].float())
    count = torch.tensor([max(1, end - first) for first, end in spans])
    means: Float32Array = (sums / count[:, None]).numpy()
    return means


def _sparse(loaded: Loaded, windows: Sequence[_Window], scope: str) -> Float32Array:
    """The means of sparse vectors, without the columns that are zero everywhere.  Shapes: -> (N, columns left)"""
    spans = [window.span(scope) for window in windows]
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
        chunk = uses[start : start + _TEXTS]
        for use, tokens in zip(chunk, loaded.tokenizer.encode_batch([u.text for u in chunk]), strict=True):
            windows.append(_window(loaded, use, tokens))
    return windows


def _window(loaded: Loaded, use: Use, tokens: Any) -> _Window:
    inside = [i for i, (a, b) in enumerate(tokens.offsets) if a < use.end and b > use.start]
    first, end = (inside[0], inside[-1] + 1) if inside else (0, 0)
    n, max_content = len(tokens.ids), loaded.max_content
    end = min(end, first + max_content)
    begin = 0
    if n > max_content:
        if loaded.encoder.reach == "left":
            begin = max(0, end - max_content)
        else:
            begin = min(max(0, (first + end - max_content) // 2), n - max_content)
    words = []
    if loaded.reads_letters:
        words = words_of(use.text, tokens)[begin : begin + max_content]
    covered = use.text[tokens.offsets[first][0] : tokens.offsets[end - 1][1]] if inside else ""
    return _Window(
        tokens.ids[begin : begin + max_content], words, first - begin, end - begin, n > max_content, covered
    )


def unit(vectors: npt.NDArray[np.floating]) -> Float32Array:
    """The vectors with length one; a vector of zeros stays.  Shapes: (N, D) -> (N, D)"""
    norm = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    scaled: Float32Array = (vectors / np.maximum(norm, 1e-30)[:, None]).astype(np.float32)
    return scaled


def distinct_vectors(vectors: Float32Array, tokens: IntArray) -> int | None:
    """The number of different vectors of some uses, if a vector depends on the use's own tokens alone.

    A static representation has one vector for each written form (bank, Bank), in any context. The answer is None if
    context changes the vectors, or if no two uses have the same tokens, so that nothing can be compared.

    Shapes:  vectors: (N, D).  tokens: (N,) equal for uses with the same tokens, 0 …
    """
    _, first, kind = np.unique(tokens, return_index=True, return_inverse=True)
    if not _same(vectors, vectors[first][kind]).all() or (len(first) == len(tokens) and len(tokens) > 1):
        return 1 if len(vectors) and _same(vectors, vectors[:1]).all() else None
    kinds: list[Float32Array] = []
    for vector in vectors[first]:
        if not any(_same(vector[None], known[None])[0] for known in kinds):
            kinds.append(vector)
    return len(kinds)


def _same(a: Float32Array, b: Float32Array) -> BoolArray:
    """Which rows are equal up to rounding."""
    apart = np.linalg.norm(a - b, axis=1)
    return np.asarray(apart <= SAME * np.linalg.norm(b, axis=1) + 1e-12)
