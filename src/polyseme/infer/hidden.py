"""The one reader of hidden states: many texts, and what every layer makes of their tokens.

    texts ──by_length──► batches with little padding ──encoder──► the layers asked for, a batch at a time

`embed`, `encode` and the studies of senses, of probes and of CKA read through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.errors import ConfigError
from polyseme.infer.loaded import Loaded
from polyseme.kernels.packed import Precision, prepare

__all__ = ["TOKENS_PER_BATCH", "Layers", "by_length", "hidden_states", "layer_numbers", "packed"]

Layers = int | Sequence[int] | Literal["all"]

TOKENS_PER_BATCH = 2048
"""What a layer makes of so many tokens stays in the caches of a CPU, and matrix products are no faster with more."""

WASTE = 32
"""Tokens of padding that cost no more than another batch would."""

WASTED_SHARE = 0.01
"""Padding in a batch of many tokens, as a share of them."""


@torch.inference_mode()
def hidden_states(
    loaded: Loaded,
    texts: Sequence[Sequence[int]],
    words: Sequence[Sequence[str]] | None,
    layers: tuple[int, ...],
    encoder: Any = None,
    at: Callable[[list[int], int], Tensor | None] | None = None,
) -> Iterator[tuple[list[int], list[Tensor]]]:
    """Read texts in batches of nearly equal length, short ones first.

    Args:
        loaded: how texts are put into batches, and the encoder.
        texts: ids of each text, without separators, none longer than the model reads.
        words: what each token is in its text; read where the encoder reads letters, else it may be None.
        layers: numbers of those that are wanted, from `layer_numbers`.
        encoder: another form of the run's, such as `packed` makes; None = the run's own.
        at: asked with the numbers of a batch's texts and its width: at which flat positions alone the last layer is
            wanted; None = everywhere. Only where `layers` is the last one.
    Yields, for every batch, which texts it holds, and each layer's hidden states with the separators that stand around
    a text: (B, T, hidden_size), or at P positions (P, hidden_size).
    """
    encoder = loaded.encoder if encoder is None else encoder
    keep = "last" if layers == (loaded.encoder.config.num_hidden_layers,) else "all"
    separators = sum(loaded.edges)
    for numbers in by_length([max(1, len(ids) + separators) for ids in texts]):
        batch = loaded.batch([texts[i] for i in numbers], words and [words[i] for i in numbers])
        places = None if at is None else at(numbers, batch.ids.size(1))
        encoding = encoder.encode(batch, keep=keep, at=places)
        if places is not None:
            yield numbers, [encoding.at(places)]
        else:
            yield numbers, [encoding.layers[-1 if keep == "last" else n] for n in layers]


def layer_numbers(loaded: Loaded, layers: Any) -> tuple[int, ...]:
    """Layers by number from 0, in the order that was asked for.

    Raises:  ConfigError: there is no such layer.
    """
    n = int(loaded.encoder.config.num_hidden_layers) + 1
    if isinstance(layers, str) and layers == "all":
        return tuple(range(n))
    asked = [layers] if isinstance(layers, int | np.integer) else layers
    several = isinstance(asked, Sequence | np.ndarray) and not isinstance(asked, str) and len(asked) > 0
    if not several or not all(
        isinstance(i, int | np.integer) and not isinstance(i, bool) and -n <= i < n for i in asked
    ):
        raise ConfigError(
            "no such layer",
            got=repr(layers),
            expected=f"0 … {n - 1}, -{n} … -1 from the end, several, or 'all'",
        )
    return tuple(int(i) % n for i in asked)


def by_length(lengths: Sequence[int], most: int | None = None) -> Iterator[list[int]]:
    """Indices in batches of nearly equal length, short texts first.

    A batch ends where it would hold more than `most` tokens, padding included, or where a longer text would bring more
    padding than a batch of its own costs. Equal lists give equal batches.

    Args:
        lengths: tokens of every text, separators included.
        most: tokens of a batch; one text may be longer. None = TOKENS_PER_BATCH.
    """
    most = TOKENS_PER_BATCH if most is None else most
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    start = 0
    while start < len(order):
        end, real = start + 1, lengths[order[start]]
        while end < len(order):
            longest = lengths[order[end]]
            real += longest
            tokens = longest * (end + 1 - start)
            grows = longest > lengths[order[end - 1]]
            if tokens > most or (grows and tokens - real > max(WASTE, WASTED_SHARE * tokens)):
                break
            end += 1
        yield order[start:end]
        start = end


_State = tuple[tuple[int, int], ...]
_PACKED: WeakKeyDictionary[nn.Module, dict[Precision, tuple[_State, Any]]] = WeakKeyDictionary()


def packed(encoder: Any, precision: Precision = "float32") -> Any:
    """The encoder with its linear layers packed, for much use without gradients; the run itself stays as it is.

    It is made once, and again when the weights have changed.

    Args:
        encoder: any of the registry's, in evaluation mode; what is not a linear layer is shared with it.
        precision: of the linear layers: float32, bfloat16, or int8.
    Raises:  ConfigError: this build of torch has no kernels for that precision.
    """
    state = tuple((p._version, p.data_ptr()) for p in encoder.parameters())
    made = _PACKED.setdefault(encoder, {})
    entry = made.get(precision)
    if entry is None or entry[0] != state:
        with torch.inference_mode(False):  # what is kept serves other callers, too
            entry = made[precision] = (state, prepare(encoder, precision))
    return entry[1]
