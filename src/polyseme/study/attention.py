"""Where the tokens of a text look: attention probabilities of every layer and head, and what each head does.

    text, or pair ─► [CLS] A [SEP] B [SEP] ─► encoder ─► a_ij of every layer and head ─► measures, strongest edges

a_ij says from which tokens j the new vector of token i is mixed, not why the model answers as it does: attention is no
explanation by itself (Jain and Wallace 2019, "Attention is not Explanation"). Layers are counted from 1, so that layer
n here makes the hidden states that `embed --layer n` gives, and heads from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polyseme.core import registry
from polyseme.core.arrays import BoolArray, Float32Array, Float64Array, IntArray
from polyseme.core.paths import PathLike, path_of
from polyseme.core.pauses import pause
from polyseme.core.protocols import Encoder
from polyseme.core.result import Result
from polyseme.core.shell import typed
from polyseme.data.examples import Example
from polyseme.data.loader import collate, to_batch
from polyseme.data.wrapping import Wrapper, shares
from polyseme.errors import CheckpointError, ConfigError, InputError, RunError
from polyseme.infer.hidden import by_length
from polyseme.infer.inputs import at_least_one, one_text
from polyseme.infer.loaded import Loaded
from polyseme.study import Run, opened, reading
from polyseme.study.head_measures import MEASURES, PAIR_MEASURES, Places, figures_of_heads, head_sums
from polyseme.study.word_units import spans_of_words, touched
from polyseme.text.clean import CleaningReport, replace_surrogates
from polyseme.text.config import TextConfig
from polyseme.text.labelled.opening import ReadOptions
from polyseme.text.labelled.tables import read_texts
from polyseme.text.sources import read_lines
from polyseme.train.run import RunDirectory

__all__ = [
    "MAX_LENGTH",
    "AttendedText",
    "Attention",
    "Text",
    "attend",
    "attention",
    "check_attention",
    "checked",
    "sees",
    "strongest",
    "visible_pairs",
]

Text = str | tuple[str, str]
"""A text, or a pair of them."""

TEXTS = 1000
"""Texts of a file that are read by default."""

ABOVE = 0.005
"""Share below which an edge is left out by default."""

MAX_LENGTH = 512
"""Tokens of an example that are read by default."""

CELLS_AT_ONCE = 2**25
"""Shares in memory at once while many texts are read (128 MB)."""

MOST_CELLS = 2**28
"""Shares of one example at most (1 GB)."""

_TOLERANCE = 1e-3

FULL_CELLS = 2**22
"""Shares that are written out one by one at most."""

EDGES = 60_000
"""Edges in a document by default."""


@dataclass(frozen=True, eq=False, repr=False)
class Attention(Result):
    """What the heads of a run do with a text, a pair, or many texts.

    Args:
        run, model: whose heads.
        n_layers, n_heads: how many.
        sees: what a token may attend to: {"reach", "window", "local_layers"}.
        view: the one text that is shown; None where only a file was measured.
        file: which file was measured; None: the text that is shown.
        n_texts, n_tokens: how much was measured.
        figures: measures of every head, see `figures_of_heads`.
        chosen: layer and head that are shown first.
        row_error, hidden: the largest error of a row's sum, and the largest share of a hidden token.
        notes: what a person should know.
        top, above, full: what the document lists of the shares, see `attention`.
    """

    kind = "attention"

    run: str
    model: str
    n_layers: int
    n_heads: int
    sees: dict[str, Any]
    view: AttendedText | None
    file: str | None
    n_texts: int
    n_tokens: int
    figures: list[dict[str, Any]]
    chosen: tuple[int, int]
    row_error: float
    hidden: float
    notes: tuple[str, ...] = ()
    top: int | None = None
    above: float = ABOVE
    full: bool = False

    def document(self) -> dict[str, Any]:
        """Everything as one JSON-able dict.

        Raises:  ConfigError: too much to write out.
        """
        return self._document

    @cached_property
    def _document(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "model": self.model,
            "layers": self.n_layers,
            "heads": self.n_heads,
            "sees": self.sees,
            "measured": {"file": self.file, "texts": self.n_texts, "tokens": self.n_tokens},
            "figures": self.figures,
            "checks": {"largest_row_error": self.row_error, "largest_hidden_share": self.hidden},
            "chosen": {"layer": self.chosen[0], "head": self.chosen[1]},
            "view": None if self.view is None else _view(self.view, self.top, self.above, self.full),
            "notes": list(self.notes),
        }

    def headline(self) -> str:
        """The run and what was measured."""
        measured = self.file or (" | ".join(self.view.texts) if self.view else f"{self.n_texts:,} texts")
        heads = f"{self.n_layers} layers of {self.n_heads} heads"
        return f"{Path(self.run).name}, {heads}, {self.n_tokens:,} tokens of {measured}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a head: its measures."""
        return [
            {name: value["value"] if isinstance(value, dict) else value for name, value in head.items()}
            for head in self.figures
        ]


def attention(
    run: Run,
    text: Text | None = None,
    text_b: str | None = None,
    *,
    layer: int | None = None,
    head: int | None = None,
    file: PathLike | Iterable[Text] | None = None,
    pairs: bool = False,
    limit: int = TEXTS,
    top: int | None = None,
    above: float = ABOVE,
    full: bool = False,
    max_length: int = MAX_LENGTH,
    separator: str = "auto",
    encoding: str = "auto",
    resamples: int = 1000,
    seed: int = 0,
) -> Attention:
    """Where the tokens of a text look, and what each head does in it or in many texts.

    Args:
        run: of a model with attention.
        text, text_b: the text that is shown; two for a pair.
        layer, head: what is shown first, from 1; None = the head that looks most sharply at other words.
        file: texts that the heads are measured over in place of it: a file, or themselves; intervals are bootstraps
            over them. Empty ones are left out.
        pairs: the file has pairs of texts.
        limit: the largest number of texts to read from the file.
        top: edges of every token and head, the strongest ones; None = as many as make a document of moderate size,
            which is all of them for a short text.
        above: smaller shares are left out.
        full: the document has every share, too, under view.probabilities.
        max_length: tokens of an example that are read, separators among them.
        separator, encoding: of the file.
        resamples, seed: of the bootstrap.
    Raises:  ConfigError: the model has no attention, or no such layer, head, top or share; the text is too long to be
             shown.  InputError: no text, or nothing to measure.  CheckpointError: the weights are damaged.

    Example:
        attention("runs/bert", "The bank of the river.").document()
    """
    if top is not None:
        at_least_one("top", top)
    for name, count in (("limit", limit), ("max_length", max_length), ("resamples", resamples)):
        at_least_one(name, count)
    share: Any = above
    if not (isinstance(share, int | float | np.number) and 0 <= share < 1):
        raise ConfigError("no such share", got=above, expected="0 … 1", where="above")
    if text_b is not None:
        text = (one_text(text), one_text(text_b, "text_b"))
    if text is not None:
        text = _text_or_pair(text, "text")
    if pairs and file is None:
        raise ConfigError("pairs are read from a file", got="no file", fix="text and text_b for one pair")
    path: Path | None = None
    if isinstance(file, str | Path) or not isinstance(file, Iterable | None):
        path = path_of(file, "file")
        file = _texts(path, pairs, limit, reading(None, separator, encoding))
    many = [_text_or_pair(item, f"item {place} of file") for place, item in enumerate(file or ())]
    loaded = opened(run)
    check_attention(loaded)
    n_layers, n_heads = loaded.encoder.config.num_hidden_layers, loaded.encoder.config.num_attention_heads
    _check_number("layer", layer, n_layers)
    _check_number("head", head, n_heads)
    if text is None and not many:
        raise InputError("no text to look at", where=path, fix="polyseme attention RUN TEXT")
    shown = None
    errors: list[tuple[float, float]] = []
    if text is not None:
        if not _has_text(text):
            raise InputError("no text to look at", got=repr(text), fix="polyseme attention RUN TEXT")
        shown = next(attended for _, attended in attend(loaded, [text], max_length))
        errors.append(checked(shown, loaded))
    measured = [item for item in many if _has_text(item)]
    pair = any(isinstance(item, tuple) for item in (*measured, *([] if many else [text])))
    sums = np.zeros((max(1, len(measured)), n_layers, n_heads, len(MEASURES)))
    tokens = np.zeros((len(sums), n_layers, len(MEASURES)))
    n_tokens = n_cut = 0
    for number, example in attend(loaded, measured, max_length) if many else [(0, shown)]:
        assert example is not None
        if many:
            errors.append(checked(example, loaded))
        sums[number], tokens[number] = head_sums(example.probabilities, example.places, example.visible)
        n_tokens += int((example.places.text >= 0).sum())
        n_cut += example.cut
    if not n_tokens:
        raise InputError("no text to look at", got="nothing but empty texts", where=path)
    names = [name for name in MEASURES if pair or name not in PAIR_MEASURES]
    return Attention(
        run=replace_surrogates(str(loaded.run.path)),
        model=str(loaded.recipe.architecture),
        n_layers=n_layers,
        n_heads=n_heads,
        sees=sees(loaded),
        view=shown,
        file=None if path is None else str(path),
        n_texts=len(sums),
        n_tokens=n_tokens,
        figures=figures_of_heads(sums, tokens, names, resamples, seed),
        chosen=_chosen(shown, layer, head),
        row_error=max(error for error, _ in errors),
        hidden=max(hidden for _, hidden in errors),
        notes=tuple(_notes(shown, n_cut, len(many) - len(measured), max_length)),
        top=top,
        above=above,
        full=full,
    )


def _texts(file: Path, pairs: bool, limit: int, asked: ReadOptions) -> list[Text]:
    """The first texts of a file."""
    if pairs:
        records = read_texts(
            file, pair=True, labelled=False, encoding=asked.encoding, separator=asked.separator
        )
        return [(record.text, record.text_b or "") for record in islice(records, limit)]
    config = TextConfig.of({"encoding": asked.encoding}, "attention")
    lines = (line for line in read_lines(file, config, CleaningReport()) if line.strip())
    return list(islice(lines, limit))


def _chosen(shown: AttendedText | None, layer: int | None, head: int | None) -> tuple[int, int]:
    """The head to show: among those asked for, the one whose tokens attend most sharply to other words."""
    if layer is not None and head is not None:
        return layer, head
    if shown is None:
        return layer or 1, head or 1
    of_text = shown.places.text >= 0
    word = shown.places.word
    same = (word[:, None] == word) & (word >= 0)[:, None] | np.eye(len(word), dtype=bool)
    elsewhere = np.where(of_text[None] & ~same, shown.probabilities[:, :, :, :], 0.0)
    strongest_share = elsewhere.max(-1)  # (L, H, n)
    focus = strongest_share[..., of_text].mean(-1) if of_text.any() else strongest_share.mean(-1)  # (L, H)
    allowed = np.zeros_like(focus, dtype=bool)
    allowed[slice(None) if layer is None else layer - 1, slice(None) if head is None else head - 1] = True
    best = np.unravel_index(int(np.where(allowed, focus, -1.0).argmax()), focus.shape)
    return int(best[0]) + 1, int(best[1]) + 1


def _view(view: AttendedText, top: int | None, above: float, full: bool) -> dict[str, Any]:
    a = view.probabilities
    n_layers, n_heads, n, _ = a.shape
    k = min(n, max(1, EDGES // (n_layers * n_heads * n)) if top is None else top)
    tokens = [
        {
            "token": token,
            "text": int(text) if text >= 0 else None,
            "start": int(start) if text >= 0 else None,
            "end": int(end) if text >= 0 else None,
            "word": int(word) if word >= 0 else None,
        }
        for token, text, word, (start, end) in zip(
            view.tokens, view.places.text, view.places.word, view.offsets, strict=True
        )
    ]
    heads, kept, mass = [], 0, 0.0
    for layer in range(n_layers):
        for head in range(n_heads):
            i, j, share = strongest(a[layer, head], k, above)
            kept, mass = kept + len(i), mass + float(share.sum())
            heads.append(
                {
                    "layer": layer + 1,
                    "head": head + 1,
                    "from": i.tolist(),
                    "to": j.tolist(),
                    "share": [round(float(x), 4) for x in share],
                }
            )
    edges = int(view.visible.sum()) * n_heads
    document: dict[str, Any] = {
        "texts": list(view.texts),
        "tokens": tokens,
        "heads": heads,
        "edges": {
            "shown": kept,
            "left_out": edges - kept,
            "share_of_attention": round(mass / (n_layers * n_heads * n), 4),
            "top": k,
            "above": above,
        },
        "hidden_pairs": round(1.0 - float(view.visible.mean()), 4),
        "cut": view.cut,
    }
    if full:
        if a.size > FULL_CELLS:
            raise ConfigError(
                "too many shares to write out one by one",
                got=f"{n_layers} layers, {n_heads} heads, {n} tokens: {a.size:,} shares",
                expected=f"at most {FULL_CELLS:,}",
                fix="a shorter text, or --top N for the strongest ones",
            )
        document["probabilities"] = np.round(a.astype(np.float64), 6).tolist()
    return document


def strongest(shares_of: Float32Array, k: int, above: float) -> tuple[IntArray, IntArray, Float64Array]:
    """The strongest edges of every token, without those below a share, in the order of the tokens.

    Shapes:  (n, n) -> from, to, share: (E,)
    """
    n = len(shares_of)
    order = np.argsort(-shares_of, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(shares_of, order, 1)
    keep = (values >= above) & (values > 0)
    i = np.broadcast_to(np.arange(n)[:, None], order.shape)[keep]
    return i.astype(np.int64), order[keep].astype(np.int64), values[keep].astype(np.float64)


def _notes(shown: AttendedText | None, cut: int, empty: int, max_length: int) -> Iterator[str]:
    if shown is not None and shown.cut:
        yield f"the text is longer than {max_length} tokens or than the model reads: {shown.cut:,} tokens are cut"
    elif cut:
        yield f"{cut:,} tokens beyond {max_length} of a text, or beyond what the model reads, are cut"
    if empty:
        yield f"{empty:,} empty texts are left out"


def _has_text(text: Text) -> bool:
    return all(side.strip() for side in ((text,) if isinstance(text, str) else text))


def _text_or_pair(given: object, name: str) -> Text:
    if isinstance(given, tuple | list) and len(given) == 2:
        return one_text(given[0], name), one_text(given[1], name)
    return one_text(given, name)


def _check_number(name: str, value: Any, most: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if value is not None and not (whole and 1 <= value <= most):
        raise ConfigError(f"no such {name}", got=value, expected=f"1 … {most}")


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
    probabilities: Float32Array
    visible: BoolArray
    cut: int


@torch.inference_mode()
def attend(
    loaded: Loaded, texts: Sequence[Text], max_length: int = MAX_LENGTH
) -> Iterator[tuple[int, AttendedText]]:
    """Attention of every text, short ones first, each with its number.

    Args:
        loaded: a run of a model with attention.
        texts: texts or pairs; longer ones are cut, in a pair the longer text first.
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
    for bucket in by_length(lengths):
        at_once = max(1, CELLS_AT_ONCE // (heads * lengths[bucket[-1]] ** 2))
        for start in range(0, len(bucket), at_once):
            pause()
            numbers = bucket[start : start + at_once]
            rows = [[made[i][0]] for i in numbers]
            batch = loaded.placed(
                to_batch(collate(rows, max(lengths[i] for i in numbers), loaded.special), [])
            )
            attentions = encoder.encode(batch, keep="last", attentions=True).attentions
            if not attentions:
                raise _none(loaded)
            for row, i in enumerate(numbers):
                n = lengths[i]
                probabilities = (
                    torch.stack([layer[row, :, :n, :n] for layer in attentions]).float().cpu().numpy()
                )
                yield i, made[i][1](probabilities, visible_pairs(encoder, n))


def _example(
    loaded: Loaded, wrapper: Wrapper, text: Text, longest: int
) -> tuple[Example, Callable[[Float32Array, BoolArray], AttendedText]]:
    """One example, and the function that makes an `AttendedText` from its probabilities."""
    texts = (text,) if isinstance(text, str) else text
    pair = len(texts) == 2
    encoded = [loaded.tokenizer.encode(side) for side in texts]
    max_content = longest - wrapper.added(pair)
    if max_content < len(texts):
        least = wrapper.added(pair) + len(texts)
        raise ConfigError("no such length", got=longest, expected=f"at least {least}")
    lengths = [len(tokens) for tokens in encoded]
    keep = shares(lengths[0], lengths[1], max_content) if pair else (min(lengths[0], max_content),)
    ids = [tokens.ids[:n] for tokens, n in zip(encoded, keep, strict=True)]
    wrapped = wrapper.wrap(ids[0], ids[1] if pair else None)
    n = len(wrapped.ids)
    offsets, word, form = np.zeros((n, 2), np.int64), np.full(n, -1), np.full(n, -1)
    counted, forms = 0, dict[str, int]()
    for number, (side, tokens, kept) in enumerate(zip(texts, encoded, keep, strict=True)):
        inside = wrapped.text == number
        offsets[inside] = np.asarray(tokens.offsets[:kept], np.int64).reshape(-1, 2)
        words = spans_of_words(side)
        first, end = touched(words, offsets[inside])
        word[inside] = np.where(first < end, first + counted, -1)
        spelled = [forms.setdefault(side[a:b].casefold(), len(forms)) for a, b in words.tolist()]
        form[inside] = [spelled[w] if w < e else -1 for w, e in zip(first, end, strict=True)]
        counted += len(words)
    displayed = tuple(loaded.tokenizer.display(i) for i in wrapped.ids.tolist())
    places = Places(wrapped.text, word, form)
    cut = sum(len(tokens) - n for tokens, n in zip(encoded, keep, strict=True))

    def made(probabilities: Float32Array, visible: BoolArray) -> AttendedText:
        return AttendedText(texts, displayed, offsets, places, probabilities, visible, cut)

    return Example(wrapped.ids, wrapped.type, np.ones(n, np.bool_)), made


def visible_pairs(encoder: Encoder, n: int) -> BoolArray:
    """Which of n tokens each token may attend to in every layer, by the encoder's own description.

    Shapes:  -> (num_hidden_layers, n, n), [l, i, j]: token i may attend to token j
    """
    distance = np.arange(n)[:, None] - np.arange(n)  # i - j
    visible = distance >= 0 if encoder.reach == "left" else np.ones((n, n), np.bool_)
    window = _window(encoder)
    layers = []
    for layer in range(encoder.config.num_hidden_layers):
        wide = window is None or encoder.config.is_global(layer)
        layers.append(visible if wide else visible & (np.abs(distance) <= window))
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


def checked(attended: AttendedText, loaded: Loaded) -> tuple[float, float]:
    """Check shares of attention: the largest error of a row's sum, and the largest share of a hidden token.

    Raises:  CheckpointError: one of the two is larger than rounding.
    """
    error = float(np.abs(attended.probabilities.sum(-1, dtype=np.float64) - 1.0).max())
    hidden = float(np.where(attended.visible[:, None], 0.0, attended.probabilities).max())
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
    """The error for a model without attention: which models have it, and which verbs show more of this one."""
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
        fix=f"polyseme attention {typed(run or 'RUN')} TEXT"
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
            run = path.parent / folder.parent.name
            return run if (run / "run.json").is_file() else folder.parent  # the path may be a link
    return None
