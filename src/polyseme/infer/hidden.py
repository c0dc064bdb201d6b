"""Texts to hidden states: the vectors of every token, layer by layer.

    texts ──by_length──► batches with little padding ──encoder──► the layers asked for, a batch at a time

`hidden_states` is the one reader: `encode`, `embed` and the studies of senses, of probes and of CKA read through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, cast, overload
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import BoolArray, Float32Array, IntArray
from polyseme.core.pauses import pause
from polyseme.core.protocols import DecodingEncoder, Encoder
from polyseme.core.result import Result
from polyseme.core.types import Keep
from polyseme.errors import ConfigError
from polyseme.infer.inputs import Truncated, check_loaded, texts_of, warn_of_cut
from polyseme.infer.loaded import Loaded, words_of
from polyseme.kernels.packed import Precision, prepare
from polyseme.kernels.post_norm import drops_padding
from polyseme.kernels.team import side_by_side

__all__ = [
    "TOKENS_PER_BATCH",
    "EncodedText",
    "Layers",
    "by_length",
    "encode",
    "encode_cut",
    "hidden_states",
    "layer_numbers",
    "packed",
    "reader",
]

Layers = int | Sequence[int] | Literal["all"]

TOKENS_PER_BATCH = 2048
"""The states of this many tokens fit the caches of a CPU; matrix products are no faster with more."""

LEAST_TOKENS = 256
"""Tokens that are not shared out among threads."""

WASTE = 32
"""Tokens of padding that cost no more than another batch would."""

WASTED_SHARE = 0.01
"""Padding in a batch of many tokens, as a share of them."""

UNREAD = 128, 0.1
"""Both where padding is not read: rows of very unequal length still cost memory."""


@dataclass(frozen=True, eq=False, repr=False)
class EncodedText(Result):
    """A text, its tokens and their hidden states.

    Args:
        text: as it was given.
        tokens: as a person reads them, `Tokenizer.display`.
        ids: token ids.
        offsets: [start, end) of each token in characters of the text; (0, 0) and (n, n) for separators.
        word_starts: True where a token begins a word.
        layers: hidden states, one slice a layer that was asked for.
        layer_numbers: which layers these are; 0 is the embedding layer.
        cut: how many tokens of the text's end were not read.

    Shapes:  ids, word_starts: (T,).  offsets: (T, 2).  layers: (L, T, hidden_size) float32
    """

    kind = "encode"
    notes = ()

    text: str
    tokens: tuple[str, ...]
    ids: IntArray
    offsets: IntArray
    word_starts: BoolArray
    layers: Float32Array
    layer_numbers: tuple[int, ...]
    cut: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"EncodedText({self.headline()})"  # of one line: `encode` gives lists of them

    def document(self) -> dict[str, Any]:
        """The tokens, without their hidden states; JSON-able."""
        layers = list(self.layer_numbers)
        return {"text": self.text, "layers": layers, "tokens": self.rows(), "cut": self.cut}

    def headline(self) -> str:
        """The text, and how much was made of it."""
        n_layers, n_tokens, width = self.layers.shape
        return f"{self.text[:40]!r}: {n_tokens} tokens, {n_layers} layers of {width} values"

    def rows(self) -> list[dict[str, Any]]:
        """A row a token: what it is, where it stands, and how long its vector is in every layer."""
        norms = np.linalg.norm(self.layers, axis=2).T  # (T, L)
        return [
            {"token": token, "id": int(id), "start": int(start), "end": int(end), "word_start": bool(begins)}
            | {
                f"norm_{number}": float(norm)
                for number, norm in zip(self.layer_numbers, lengths, strict=True)
            }
            for token, id, (start, end), begins, lengths in zip(
                self.tokens, self.ids, self.offsets, self.word_starts, norms, strict=True
            )
        ]

    def layer(self, number: int) -> Float32Array:
        """The hidden states of one layer by its number; -1 is the last that was asked for.

        Shapes:  -> (T, hidden_size)
        Raises:  ConfigError: that layer was not asked for.
        """
        if number in self.layer_numbers:
            states: Float32Array = self.layers[self.layer_numbers.index(number)]
            return states
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
    several, single = texts_of(texts)
    encoded, _ = encode_cut(loaded, several, layers, separators)
    cut = Truncated.of((each.cut for each in encoded), 0)
    warn_of_cut(cut, len(several), loaded.max_content)
    return encoded[0] if single else encoded


@torch.inference_mode()
def encode_cut(
    loaded: Loaded, texts: Sequence[str], layers: Layers = "all", separators: bool = False
) -> tuple[list[EncodedText], int]:
    """As `encode`, without a warning; also how many texts were cut."""
    numbers = layer_numbers(loaded, layers)
    tokens = loaded.tokenizer.encode_batch(texts)
    ids = [t.ids[: loaded.max_content] for t in tokens]
    words = None
    if loaded.reads_letters:
        words = [words_of(text, t)[: loaded.max_content] for text, t in zip(texts, tokens, strict=True)]
    results: dict[int, EncodedText] = {}
    for batch, states in hidden_states(loaded, ids, words, numbers):
        stacked = torch.stack(states, 1).float().numpy()
        for row, i in enumerate(batch):
            n = len(ids[i])
            places = [*zip(ids[i], tokens[i].offsets, tokens[i].word_starts, strict=False)]
            inner = stacked[row, :, loaded.prefix_length : loaded.prefix_length + n]
            if separators:
                end = len(texts[i])
                places = [
                    *((token, (0, 0), True) for token in loaded.tokenizer.prefix_ids),
                    *places,
                    *((token, (end, end), True) for token in loaded.tokenizer.suffix_ids),
                ]
                inner = stacked[row, :, : len(places)]
            results[i] = EncodedText(
                texts[i],
                tuple(loaded.tokenizer.display(place[0]) for place in places),
                np.array([place[0] for place in places], np.int64),
                np.array([place[1] for place in places], np.int64).reshape(-1, 2),
                np.array([place[2] for place in places], np.bool_),
                inner.copy(),  # not a view that keeps the whole batch
                numbers,
                max(0, len(tokens[i]) - loaded.max_content),
            )
    return [results[i] for i in range(len(texts))], sum(len(t) > loaded.max_content for t in tokens)


@torch.inference_mode()
def hidden_states(
    loaded: Loaded,
    texts: Sequence[Sequence[int]],
    words: Sequence[Sequence[str]] | None,
    layers: tuple[int, ...],
    encoder: Encoder | None = None,
    at: Callable[[list[int], int], Tensor | None] | None = None,
) -> Iterator[tuple[list[int], list[Tensor]]]:
    """Read texts in batches of nearly equal length, short ones first.

    Args:
        loaded: how texts are put into batches, and the encoder.
        texts: ids of each text, without separators, none longer than the model reads.
        words: what each token is in its text; read where the encoder reads letters, else it may be None.
        layers: numbers of those that are wanted, from `layer_numbers`.
        encoder: another form of the run's, such as `packed` makes; None = the run's own.
        at: (indices of a batch's texts, its width) -> the flat positions at which the last layer is wanted; None =
            everywhere. Only if `layers` is the last layer alone.
    Yields, for every batch, which texts it holds, and each layer's hidden states with the separators that stand around
    a text: (B, T, hidden_size), or at P positions (P, hidden_size); in the memory of the CPU.
    """
    encoder = loaded.encoder if encoder is None else encoder
    keep: Keep = "last" if layers == (loaded.encoder.config.num_hidden_layers,) else "all"
    separators = sum(loaded.separator_counts)
    lengths = [max(1, len(ids) + separators) for ids in texts]

    @torch.inference_mode()
    def read(numbers: list[int]) -> tuple[list[int], list[Tensor]]:
        batch = loaded.batch([texts[i] for i in numbers], words and [words[i] for i in numbers])
        places = None if at is None else at(numbers, batch.ids.size(1))
        places = None if places is None else places.to(batch.ids.device)
        encoding = encoder.encode(batch, keep=keep, at=places)
        if places is not None:
            return numbers, [encoding.at(places).cpu()]
        return numbers, [encoding.layers[-1 if keep == "last" else n].cpu() for n in layers]

    threads = torch.get_num_threads()
    most = min(TOKENS_PER_BATCH, max(LEAST_TOKENS, -(-sum(lengths) // threads)))
    waste = UNREAD if drops_padding(encoder) else (WASTE, WASTED_SHARE)
    for found in side_by_side(read, [*by_length(lengths, most, waste)], threads):
        yield found
        pause()


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


def by_length(
    lengths: Sequence[int], most: int | None = None, waste: tuple[int, float] = (WASTE, WASTED_SHARE)
) -> Iterator[list[int]]:
    """Indices in batches of nearly equal length, short texts first.

    A batch ends if one more text would bring it above `most` tokens, padding included, or would add more padding than a
    new batch costs. Equal lists give equal batches.

    Args:
        lengths: tokens of every text, separators included.
        most: tokens of a batch; one text may be longer. None = TOKENS_PER_BATCH.
        waste: tokens of padding that a batch may have, and which share of its tokens.
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
            if tokens > most or (grows and tokens - real > max(waste[0], waste[1] * tokens)):
                break
            end += 1
        yield order[start:end]
        start = end


_State = tuple[tuple[Any, ...], ...]
_PACKED: WeakKeyDictionary[Encoder, dict[Precision, tuple[_State, Encoder]]] = WeakKeyDictionary()

SAMPLES = 8
"""Numbers of every packed weight that tell whether it has changed."""


def packed(encoder: Encoder, precision: Precision = "float32") -> Encoder:
    """The encoder with its linear layers packed, for much use without gradients; the run itself stays as it is.

    It is made once, and again when the weights have changed; it is in evaluation mode. An encoder without linear layers
    is given as it is.

    Args:
        encoder: any of the registry's; what is not a linear layer is shared with it.
        precision: of the linear layers: float32, bfloat16, or int8. On a GPU nothing is packed, and all is float32.
    Raises:  ConfigError: this build of torch has no kernels for that precision.
    """
    if any(weight.device.type != "cpu" for weight in islice(encoder.parameters(), 1)):
        return encoder
    state = _state(cast(nn.Module, encoder))
    entry = _PACKED.get(encoder, {}).get(precision)
    if entry is None or entry[0] != state:
        with torch.inference_mode(False):  # the packed encoder is kept for other callers
            twin = cast(Encoder, prepare(cast(nn.Module, encoder), precision))
        if twin is encoder:  # what is kept must not hold it, or it is never let go
            return encoder
        cast(nn.Module, twin).eval()
        entry = (state, twin)
        _PACKED.setdefault(encoder, {})[precision] = entry
    return entry[1]


def _state(module: nn.Module) -> _State:
    """What tells that weights have changed: also in place through `.data` or by a fused optimiser, which torch does not
    count, for nearly all numbers change then.
    """
    counted = ((0 if p.is_inference() else p._version, p.data_ptr()) for p in module.parameters())
    return *counted, *((_sample(m.weight),) for m in module.modules() if isinstance(m, nn.Linear))


def _sample(weight: Tensor) -> bytes:
    """A few numbers of a weight, spread over it; none where it is not on the CPU, where nothing is packed."""
    if weight.device.type != "cpu":
        return b""
    bits = weight.detach().view(torch.int16) if weight.dtype == torch.bfloat16 else weight.detach()
    numbers = bits.numpy().reshape(-1)
    return numbers[:: max(1, len(numbers) // SAMPLES)].tobytes()


PROMPTS = 4
"""Prompts after which packed layers pay: packing costs about what reading so many with unpacked ones loses."""
_PROMPTS_READ: WeakKeyDictionary[Encoder, int] = WeakKeyDictionary()


def reader(encoder: DecodingEncoder) -> DecodingEncoder:
    """The form of a decoder in which it reads the next prompt: packed, once it has read a few.

    A program that continues one text neither waits for packing nor holds the weights twice.
    """
    read = _PROMPTS_READ.get(encoder, 0)
    _PROMPTS_READ[encoder] = read + 1
    if read < PROMPTS and encoder not in _PACKED:
        return encoder
    return cast(DecodingEncoder, packed(encoder))
