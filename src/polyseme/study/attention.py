"""Where the tokens of a text look: attention probabilities of every layer and head, and what each head does.

    text, or pair ─► [CLS] A [SEP] B [SEP] ─► encoder ─► a_ij of every layer and head ─► measures, strongest edges

a_ij says from which tokens j the new vector of token i is mixed, not why the model answers as it does: attention is no
explanation by itself (Jain and Wallace 2019, "Attention is not Explanation"). Layers are counted from 1, so that layer
n here makes the hidden states that `embed --layer n` gives, and heads from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.errors import ConfigError, InputError
from polyseme.infer.inputs import at_least_one, check_loaded, one_text
from polyseme.infer.load import Loaded
from polyseme.study.attended import (
    MAX_LENGTH,
    AttendedText,
    Text,
    attend,
    check_attention,
    checked,
    sees,
)
from polyseme.study.head_measures import (
    MEASURES,
    PAIR_MEASURES,
    FloatArray,
    IntArray,
    figures_of_heads,
    head_sums,
)
from polyseme.text.clean import replace_surrogates

__all__ = ["Attention", "attention", "strongest"]

FULL_CELLS = 2**22
"""Shares that are written out one by one at most."""

EDGES = 60_000
"""Edges in a document when nobody says how many of each token."""


@dataclass(frozen=True, eq=False, repr=False)
class Attention:
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
        row_error, hidden: how far a row's sum was from one at most, and the largest share of what is hidden.
        notes: what a person should know.
    """

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

    def document(self, top: int | None = None, above: float = 0.005, full: bool = False) -> dict[str, Any]:
        """Everything as one JSON-able dict.

        Args:
            top: edges of every token and head, the strongest ones; None = as many as make a document of moderate size,
                which is all of them for a short text.
            above: smaller shares are left out.
            full: write out every share, too, under view.probabilities.
        Raises:  ConfigError: no such top or above; too much to write out.
        """
        if top is not None:
            at_least_one("top", top)
        if not 0 <= above < 1:
            raise ConfigError("no such share", got=above, expected="0 … 1", where="above")
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
            "view": None if self.view is None else _view(self.view, top, above, full),
            "notes": list(self.notes),
        }


def attention(
    loaded: Loaded,
    text: Text | None = None,
    many: Sequence[Text] = (),
    *,
    layer: int | None = None,
    head: int | None = None,
    max_length: int = MAX_LENGTH,
    file: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Attention:
    """Where the tokens of a text look, and what each head does in it or in many texts.

    Args:
        loaded: a run of a model with attention.
        text: the text or the pair that is shown.
        many: texts or pairs that are measured in place of it; intervals are bootstraps over them. Empty ones are left
            out.
        layer, head: what is shown first; None = the head that looks most sharply at other words.
        max_length: tokens of an example that are read, separators among them.
        file: where `many` come from, for the report.
        resamples, seed: of the bootstrap.
    Raises:  ConfigError: the model has no attention, or no such layer or head; the text is too long to be shown.
             InputError: no text, or nothing to measure.  CheckpointError: the weights are damaged.

    Example:
        attention(load("runs/bert"), "The bank of the river.").document()
    """
    check_loaded(loaded)
    check_attention(loaded)
    n_layers, n_heads = loaded.encoder.config.num_hidden_layers, loaded.encoder.config.num_attention_heads
    _check_number("layer", layer, n_layers)
    _check_number("head", head, n_heads)
    if text is None and not many:
        raise InputError("no text to look at", where=file, fix="polyseme attention RUN TEXT")
    shown = None
    errors: list[tuple[float, float]] = []
    if text is not None:
        _check_text(text)
        shown = next(found for _, found in attend(loaded, [text], max_length))
        errors.append(checked(shown, loaded))
    measured = [one for one in many if _has_text(one)]
    pair = any(isinstance(one, tuple) for one in (*measured, *([] if many else [text])))
    sums = np.zeros((max(1, len(measured)), n_layers, n_heads, len(MEASURES)))
    tokens = np.zeros((len(sums), n_layers, len(MEASURES)))
    n_tokens = n_cut = 0
    for number, one in attend(loaded, measured, max_length) if many else [(0, shown)]:
        assert one is not None
        if many:
            errors.append(checked(one, loaded))
        sums[number], tokens[number] = head_sums(one.probabilities, one.places, one.visible)
        n_tokens += int((one.places.text >= 0).sum())
        n_cut += one.cut
    if not n_tokens:
        raise InputError("no text to look at", got="nothing but empty texts", where=file)
    names = [name for name in MEASURES if pair or name not in PAIR_MEASURES]
    return Attention(
        run=replace_surrogates(str(loaded.run.path)),
        model=str(loaded.recipe.architecture),
        n_layers=n_layers,
        n_heads=n_heads,
        sees=sees(loaded),
        view=shown,
        file=None if file is None else str(file),
        n_texts=len(sums),
        n_tokens=n_tokens,
        figures=figures_of_heads(sums, tokens, names, resamples, seed),
        chosen=_chosen(shown, layer, head),
        row_error=max(error for error, _ in errors),
        hidden=max(hidden for _, hidden in errors),
        notes=tuple(_notes(shown, n_cut, len(many) - len(measured), max_length)),
    )


def _chosen(shown: AttendedText | None, layer: int | None, head: int | None) -> tuple[int, int]:
    """The head to show: of those that are asked for, the one whose tokens look most sharply at other words."""
    if layer is not None and head is not None:
        return layer, head
    if shown is None:
        return layer or 1, head or 1
    of_text = shown.places.text >= 0
    word = shown.places.word
    same = (word[:, None] == word) & (word >= 0)[:, None] | np.eye(len(word), dtype=bool)
    others = np.where(of_text[None] & ~same, shown.probabilities[:, :, :, :], 0.0)
    focus = others.max(-1)[..., of_text].mean(-1) if of_text.any() else others.max(-1).mean(-1)  # (L, H)
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
    found: dict[str, Any] = {
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
        found["probabilities"] = np.round(a.astype(np.float64), 6).tolist()
    return found


def strongest(
    shares_of: npt.NDArray[np.float32], k: int, above: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """The strongest edges of every token, those that are not below a share, in the order of the tokens.

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
    return all(one.strip() for one in ((text,) if isinstance(text, str) else text))


def _check_text(text: Text) -> None:
    for one in (text,) if isinstance(text, str) else text:
        if not one_text(one).strip():
            raise InputError("no text to look at", got=repr(one), fix="polyseme attention RUN TEXT")


def _check_number(name: str, value: int | None, most: int) -> None:
    if value is not None and (isinstance(value, bool) or not 1 <= value <= most):
        raise ConfigError(f"no such {name}", got=value, expected=f"1 … {most}")
