"""From texts to attention: what an encoder reads, where each token of it looks, and what may be seen at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from polyseme.core import registry
from polyseme.core.protocols import Encoder
from polyseme.data.examples import Example
from polyseme.data.loader import to_batch
from polyseme.data.packing import collate
from polyseme.data.wrapping import Wrapper, shares
from polyseme.errors import CheckpointError, ConfigError, RunError
from polyseme.infer.batching import by_length
from polyseme.infer.load import Loaded
from polyseme.study.head_measures import BoolArray, IntArray, Places
from polyseme.study.word_units import spans_of_words, touched
from polyseme.train.run import RunDirectory

__all__ = [
    "MAX_LENGTH",
    "AttendedText",
    "Text",
    "attend",
    "check_attention",
    "checked",
    "sees",
    "visible_pairs",
]

Text = str | tuple[str, str]
"""A text, or a pair of them."""

MAX_LENGTH = 512
"""Tokens of an example that are read when nobody says otherwise."""

CELLS_AT_ONCE = 2**25
"""Shares in memory at once while many texts are read (128 MB)."""

MOST_CELLS = 2**28
"""Shares of one example at most (1 GB)."""

_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class AttendedText:
    """A text or a pair, its tokens, and where they look.

    Args:
        texts: one or two, as they were given.
        tokens: as a person reads them.
        offsets: [start, end) of each token in characters of its text; (0, 0) for separators.
        places: which text and word each token belongs to.
        probabilities: shares of attention; [l, h, i, j] is what token i gives to token j.
        visible: which tokens each may attend to.
        cut: tokens of the texts that were not read.
    Shapes:  n tokens.  offsets: (n, 2).  probabilities: (L, H, n, n).  visible: (L, n, n)
    """

    texts: tuple[str, ...]
    tokens: tuple[str, ...]
    offsets: IntArray
    places: Places
    probabilities: npt.NDArray[np.float32]
    visible: BoolArray
    cut: int


@torch.inference_mode()
def attend(
    loaded: Loaded, texts: Sequence[Text], max_length: int = MAX_LENGTH
) -> Iterator[tuple[int, AttendedText]]:
    """Attention of every text, short ones first, each with its number.

    Args:
        loaded: a run of a model with attention.
        texts: texts or pairs; what is longer is cut, of a pair the longer text first.
        max_length: tokens of an example, separators among them.
    Raises:  ConfigError: too much attention to hold in memory.
    """
    encoder, tokenizer = loaded.encoder, loaded.tokenizer
    wrapper = Wrapper.of(tokenizer)
    heads = encoder.config.num_hidden_layers * encoder.config.num_attention_heads
    longest = min(max_length, encoder.max_length)
    made = [_example(loaded, wrapper, text, longest) for text in texts]
    lengths = [len(example.ids) for example, _ in made]
    _check_room(max(lengths, default=0), heads)
    for some in by_length(lengths):
        at_once = max(1, CELLS_AT_ONCE // (heads * lengths[some[-1]] ** 2))
        for start in range(0, len(some), at_once):
            numbers = some[start : start + at_once]
            rows = [[made[i][0]] for i in numbers]
            batch = to_batch(collate(rows, max(lengths[i] for i in numbers), loaded.special), [])
            found = encoder.encode(batch, keep="last", attentions=True).attentions
            if not found:
                raise _none(loaded)
            for row, i in enumerate(numbers):
                n = lengths[i]
                probabilities = torch.stack([layer[row, :, :n, :n] for layer in found]).float().numpy()
                yield i, made[i][1](probabilities, visible_pairs(encoder, n))


def _example(
    loaded: Loaded, wrapper: Wrapper, text: Text, longest: int
) -> tuple[Example, Callable[[npt.NDArray[np.float32], BoolArray], AttendedText]]:
    """One example, and what makes an `AttendedText` of its probabilities."""
    texts = (text,) if isinstance(text, str) else text
    pair = len(texts) == 2
    found = [loaded.tokenizer.encode(one) for one in texts]
    room = longest - wrapper.added(pair)
    if room < len(texts):
        raise ConfigError("no such length", got=longest, expected=f"at least {longest - room + len(texts)}")
    keep = shares(len(found[0]), len(found[1]), room) if pair else (min(len(found[0]), room),)
    ids = [tokens.ids[:n] for tokens, n in zip(found, keep, strict=True)]
    wrapped = wrapper.wrap(ids[0], ids[1] if pair else None)
    n = len(wrapped.ids)
    offsets, word, form = np.zeros((n, 2), np.int64), np.full(n, -1), np.full(n, -1)
    counted, forms = 0, dict[str, int]()
    for number, (one, tokens, kept) in enumerate(zip(texts, found, keep, strict=True)):
        inside = wrapped.text == number
        offsets[inside] = np.asarray(tokens.offsets[:kept], np.int64).reshape(-1, 2)
        words = spans_of_words(one)
        first, end = touched(words, offsets[inside])
        word[inside] = np.where(first < end, first + counted, -1)
        spelled = [forms.setdefault(one[a:b].casefold(), len(forms)) for a, b in words.tolist()]
        form[inside] = [spelled[w] if w < e else -1 for w, e in zip(first, end, strict=True)]
        counted += len(words)
    shown = tuple(loaded.tokenizer.display(i) for i in wrapped.ids.tolist())
    places = Places(wrapped.text, word, form)
    cut = sum(len(tokens) - n for tokens, n in zip(found, keep, strict=True))

    def made(probabilities: npt.NDArray[np.float32], visible: BoolArray) -> AttendedText:
        return AttendedText(texts, shown, offsets, places, probabilities, visible, cut)

    return Example(wrapped.ids, wrapped.type, np.ones(n, np.bool_)), made


def visible_pairs(encoder: Encoder, n: int) -> BoolArray:
    """Which of n tokens each may attend to in every layer, by what the encoder says of itself.

    Shapes:  -> (num_hidden_layers, n, n), [l, i, j]: token i may attend to token j
    """
    distance = np.arange(n)[:, None] - np.arange(n)  # i - j
    every = distance >= 0 if encoder.reach == "left" else np.ones((n, n), np.bool_)
    window = _window(encoder)
    layers = []
    for layer in range(encoder.config.num_hidden_layers):
        wide = window is None or encoder.config.is_global(layer)
        layers.append(every if wide else every & (np.abs(distance) <= window))
    return np.stack(layers)


def _window(encoder: Encoder) -> int | None:
    """How many positions to either side the local layers see; None where all layers see everything."""
    config = encoder.config
    return config.local_attention // 2 if hasattr(config, "is_global") else None


def sees(loaded: Loaded) -> dict[str, Any]:
    """What a token may attend to: {"reach", "window": positions to either side or None, "local_layers": from 1}."""
    encoder, window = loaded.encoder, _window(loaded.encoder)
    n = encoder.config.num_hidden_layers
    local = [] if window is None else [i + 1 for i in range(n) if not encoder.config.is_global(i)]
    return {"reach": encoder.reach, "window": window if local else None, "local_layers": local}


def checked(one: AttendedText, loaded: Loaded) -> tuple[float, float]:
    """How far a row's sum is from one at most, and the largest share of what is hidden.

    Raises:  CheckpointError: either is no rounding.
    """
    error = float(np.abs(one.probabilities.sum(-1, dtype=np.float64) - 1.0).max())
    hidden = float(np.where(one.visible[:, None], 0.0, one.probabilities).max())
    if not error <= _TOLERANCE or hidden > 0.0:
        raise CheckpointError(
            "shares of attention that are none",
            got=f"a row's sum is off by {error:.3g}, a hidden token gets {hidden:.3g}",
            expected="rows that add up to 1, and 0 for what is hidden",
            where=loaded.run.path,
            fix="train again, or import the model again: the weights are damaged",
        )
    return error, hidden


def _check_room(longest: int, heads: int) -> None:
    if longest**2 * heads > MOST_CELLS:
        raise ConfigError(
            "the attention of so long a text does not fit in memory",
            got=f"{longest:,} tokens, {heads} heads: {4 * heads * longest**2 / 1e9:.1f} GB",
            fix=f"--max-length {int((MOST_CELLS / heads) ** 0.5)}",
        )


def check_attention(loaded: Loaded) -> None:
    """Raises:  ConfigError: the model has none."""
    if not hasattr(loaded.encoder.config, "num_attention_heads"):
        raise _none(loaded)


def _none(loaded: Loaded) -> ConfigError:
    """What to say of a model without attention: which models have it, and what shows more of this one."""
    model = str(loaded.recipe.architecture)
    instead_of_it = registry.models.load(model).why_no_attention
    why = f"{model} has no attention" + (f": {instead_of_it}" if instead_of_it else "")
    having = [name for name in registry.models.names() if _attends(name)]
    run = _beside(loaded.run.path, having)
    use = "polyseme senses RUN FILE, polyseme probe RUN FILE" if loaded.encoder.reach != "none" else ""
    instead = (
        f"; what this run knows is shown by {use}" if use else "; polyseme neighbours shows what it knows"
    )
    return ConfigError(
        why,
        expected=f"a run of {', '.join(having)}{instead}",
        where=loaded.run.path,
        fix=f"polyseme attention {run or 'RUN'} TEXT"
        + ("" if run else ", after polyseme pretrain modernbert CORPUS -o RUN"),
    )


def _attends(name: str) -> bool:
    return "num_attention_heads" in registry.models.load(name).config.model_fields


def _beside(path: Path, having: Sequence[str]) -> Path | None:
    """A run of such a model in the same folder, if there is one."""
    for folder in sorted(path.resolve().parent.glob("*/run.json"))[:100]:
        try:
            meta = RunDirectory.open(folder.parent).meta
        except (RunError, CheckpointError):
            continue
        if meta.get("model") in having and (folder.parent / "model.safetensors").is_file():
            return path.parent / folder.parent.name
    return None
