"""ELMo's two directions: what each half of its vectors has read, and what each expects at a place.

    He   sat  on   the  bank  of   the  river
    ───────────────► f₄                         has read what stands before:  P(bank | left)  = softmax(W f₄ + b)
                              g₆ ◄────────────  has read what stands behind:  P(bank | right) = softmax(W g₆ + b)

A vector at "bank" is f₅ beside g₅: both halves have read the word itself, the one all before it, the other all behind.
So a word is predicted from the forward half of the vector before it and from the backward half of the one behind it.

Paper: Peters et al. (2018), section 3.1; see objectives/bidirectional_lm.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polyseme.core.result import Result
from polyseme.errors import ConfigError, InputError
from polyseme.infer.inputs import at_least_one, one_text
from polyseme.infer.loaded import Loaded, words_of
from polyseme.study import Run, opened
from polyseme.study.cosines import MARK, marked_use
from polyseme.text.clean import replace_surrogates
from polyseme.text.labelled.senses import Use, occurrences

__all__ = ["Directions", "directions"]

SIDES = ("left", "right")


@dataclass(frozen=True, eq=False, repr=False)
class Directions(Result):
    """What `directions` found.

    Args:
        run, model: whose.
        text: as it was read.
        chosen: number of the token that is asked for; None = none.
        tokens: one each: {"token", "start", "end", "left", "right"}, where left is P(token | what stands before it) and
            right P(token | what stands behind it): {"rank", "nats", "read": [start, end) that the half has read,
            "candidates": [{"token", "probability"}]}. A word without an entry of its own is predicted as [UNK].
        notes: what a person should know.
    """

    kind = "directions"

    run: str
    model: str
    text: str
    chosen: int | None
    tokens: list[dict[str, Any]]
    notes: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "run": self.run,
            "model": self.model,
            "text": self.text,
            "chosen": self.chosen,
            "tokens": self.tokens,
            "notes": list(self.notes),
        }

    def headline(self) -> str:
        """The text and the run."""
        return f"{self.text[:40]!r}, {Path(self.run).name}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a token: rank and nats from each side, and the likeliest token of each."""
        return [
            {"token": token["token"]}
            | {
                f"{side}_{name}": value
                for side in SIDES
                for name, value in (
                    ("nats", token[side]["nats"]),
                    ("rank", token[side]["rank"]),
                    ("best", token[side]["candidates"][0]["token"]),
                )
            }
            for token in self.tokens
        ]


@torch.inference_mode()
def directions(run: Run, text: str, *, word: str | None = None, top: int = 5) -> Directions:
    """What a bidirectional language model expects at every place of a text, from the left and from the right.

    Args:
        run: trained with bidirectional_lm: elmo.
        text: a sentence; a word between asterisks is the one that is looked at, "He sat on the *bank*."
        word: it is this word, where it first stands.
        top: candidates of each direction.
    Raises:  ConfigError: the run has no two directions, or top is no count.  InputError: no text, several marked words,
             or a word that is not there; the text is longer than the model reads.

    Example:
        polyseme.directions("runs/elmo", "He sat on the *bank* of the river.").tokens[4]["left"]["candidates"]
    """
    text = one_text(text)
    at_least_one("top", top)
    loaded = opened(run)
    if "both" not in loaded.predicting:
        raise ConfigError(
            "the run has no language models of two directions",
            got=f"{loaded.recipe.architecture}, trained with {', '.join(loaded.recipe.objectives) or 'nothing'}",
            expected="a run trained with bidirectional_lm: elmo",
            where=loaded.run.path,
            fix="polyseme pretrain elmo CORPUS -o RUN",
        )
    use = _asked(text, word)
    text = text if use is None else use.text
    tokens = loaded.tokenizer.encode(text)
    if not tokens.ids:
        raise InputError(
            "there is nothing to read", got=repr(text), expected="a text", fix='"He sat on the *bank*."'
        )
    head, unknown = loaded.predicting["both"], loaded.tokenizer.unk_id
    hidden = loaded.encoder.encode(loaded.batch([tokens.ids], [words_of(text, tokens)])).last[
        0
    ]  # (T + 2, 2p)
    half, n, first = hidden.size(1) // 2, len(tokens.ids), loaded.prefix_length
    places = torch.arange(first, first + n, device=loaded.device)
    known = [i if i < len(head.weight) else unknown for i in tokens.ids]
    expected = {
        "left": torch.log_softmax(head.logits(hidden[places - 1, :half]).float(), 1).cpu(),
        "right": torch.log_softmax(head.logits(hidden[places + 1, half:]).float(), 1).cpu(),
    }
    rows: list[dict[str, Any]] = []
    for i, (start, end) in enumerate(tokens.offsets):
        read = {"left": [0, start], "right": [end, len(text)]}
        sides = {
            side: _side(loaded, expected[side][i], known[i], top) | {"read": read[side]} for side in SIDES
        }
        rows.append({"token": text[start:end], "start": start, "end": end, **sides})
    chosen = None
    if use is not None:
        chosen = next(
            (i for i, (start, end) in enumerate(tokens.offsets) if start < use.end and end > use.start), None
        )
    notes = []
    if unknown in known:
        words = dict.fromkeys(row["token"] for row, i in zip(rows, known, strict=True) if i == unknown)
        notes.append(f"without an entry of their own, predicted as [UNK]: {', '.join(words)}")
    return Directions(
        replace_surrogates(str(loaded.run.path)), loaded.recipe.architecture, text, chosen, rows, notes
    )


def _asked(text: str, word: str | None) -> Use | None:
    """The word that is looked at; None where none is named or marked."""
    if MARK.search(text):
        return marked_use(text, "", word)
    if word is None:
        return None
    places = occurrences(text, word)
    if not places:
        raise InputError(
            "the text does not hold the word",
            got=text[:80],
            expected=f"a text with {word!r}",
            fix="--word with a word of the text",
        )
    return Use("", text, *places[0], None, word)


def _side(loaded: Loaded, log_probabilities: Tensor, id: int, top: int) -> dict[str, Any]:
    """Where the token ranks, and the likeliest ones.  Shapes: (classes,)"""
    best = log_probabilities.topk(min(top, len(log_probabilities)))
    own = log_probabilities[id]
    return {
        "rank": 1 + int((log_probabilities > own).sum()),
        "nats": -float(own),
        "candidates": [
            {"token": loaded.tokenizer.display(i).strip(), "probability": float(value.exp())}
            for value, i in zip(best.values, best.indices.tolist(), strict=True)
            if value.isfinite()
        ],
    }
