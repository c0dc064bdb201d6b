"""Texts to hidden states: what a model makes of every token, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt
import torch

from polyseme.errors import ConfigError
from polyseme.infer.hidden import Layers, hidden_states, layer_numbers
from polyseme.infer.inputs import check_loaded, texts_of, warn_of_cut
from polyseme.infer.loaded import Loaded, words_of

__all__ = ["EncodedText", "Layers", "encode", "encode_cut"]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedText:
    """A text, its tokens and their hidden states.

    Args:
        text: as it was given.
        tokens: as a person reads them, `Tokenizer.display`.
        ids: token ids.
        offsets: [start, end) of each token in characters of the text; (0, 0) and (n, n) for separators.
        word_starts: True where a token begins a word.
        layers: hidden states, one slice a layer that was asked for.
        layer_numbers: which layers these are; 0 is the embedding layer.

    Shapes:  ids, word_starts: (T,).  offsets: (T, 2).  layers: (L, T, hidden_size) float32
    """

    text: str
    tokens: tuple[str, ...]
    ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    word_starts: npt.NDArray[np.bool_]
    layers: npt.NDArray[np.float32]
    layer_numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        n_layers, n_tokens, width = self.layers.shape
        return f"EncodedText({self.text[:40]!r}: {n_tokens} tokens, {n_layers} layers of {width} numbers)"

    def layer(self, number: int) -> npt.NDArray[np.float32]:
        """The hidden states of one layer by its number; -1 is the last that was asked for.

        Shapes:  -> (T, hidden_size)
        Raises:  ConfigError: that layer was not asked for.
        """
        if number in self.layer_numbers:
            found: npt.NDArray[np.float32] = self.layers[self.layer_numbers.index(number)]
            return found
        if number == -1:
            return self.layer(self.layer_numbers[-1])
        raise ConfigError(
            "that layer was not kept", got=number, expected=", ".join(map(str, self.layer_numbers))
        )


@overload
def encode(  # type: ignore[overload-overlap]  # a string is an iterable of strings, too
    loaded: Loaded, texts: str, layers: Layers = "all", separators: bool = False
) -> EncodedText: ...
@overload
def encode(
    loaded: Loaded, texts: Iterable[str], layers: Layers = "all", separators: bool = False
) -> list[EncodedText]: ...
def encode(
    loaded: Loaded, texts: str | Iterable[str], layers: Layers = "all", separators: bool = False
) -> EncodedText | list[EncodedText]:
    """Hidden states of every token of every text; what is longer than the model reads is cut, which a warning counts.

    Args:
        loaded: a run.
        texts: one or several, any strings; "[MASK]" in them is these letters, not the token.
        layers: a number, several, or "all": 0 is the embedding layer, -1 the last one.
        separators: keep [CLS] in front and [SEP] behind, or what else an imported model reads with every text.
    Returns an `EncodedText` for one text, a list for several, in their order.
    Raises:  InputError: not text.  ConfigError: there is no such layer.

    Example:
        encode(load("runs/demo"), "a class", layers=-1).layers.shape   # (1, 2, hidden_size)
    """
    check_loaded(loaded)
    some, single = texts_of(texts)
    found, cut = encode_cut(loaded, some, layers, separators)
    warn_of_cut(cut, len(some), loaded.room)
    return found[0] if single else found


@torch.inference_mode()
def encode_cut(
    loaded: Loaded, texts: Sequence[str], layers: Layers = "all", separators: bool = False
) -> tuple[list[EncodedText], int]:
    """As `encode`, without a warning; also how many texts were cut."""
    numbers = layer_numbers(loaded, layers)
    tokens = loaded.tokenizer.encode_batch(texts)
    ids = [t.ids[: loaded.room] for t in tokens]
    words = None
    if loaded.reads_letters:
        words = [words_of(text, t)[: loaded.room] for text, t in zip(texts, tokens, strict=True)]
    results: dict[int, EncodedText] = {}
    for batch, states in hidden_states(loaded, ids, words, numbers):
        kept = torch.stack(states, 1).float().numpy()
        for row, i in enumerate(batch):
            n = len(ids[i])
            places = [*zip(ids[i], tokens[i].offsets, tokens[i].word_starts, strict=False)]
            inner = kept[row, :, loaded.lead : loaded.lead + n]
            if separators:
                end = len(texts[i])
                places = [
                    *((token, (0, 0), True) for token in loaded.tokenizer.prefix_ids),
                    *places,
                    *((token, (end, end), True) for token in loaded.tokenizer.suffix_ids),
                ]
                inner = kept[row, :, : len(places)]
            results[i] = EncodedText(
                texts[i],
                tuple(loaded.tokenizer.display(place[0]) for place in places),
                np.array([place[0] for place in places], np.int64),
                np.array([place[1] for place in places], np.int64).reshape(-1, 2),
                np.array([place[2] for place in places], np.bool_),
                inner.copy(),  # not a view that keeps the whole batch
                numbers,
            )
    return [results[i] for i in range(len(texts))], sum(len(t) > loaded.room for t in tokens)
