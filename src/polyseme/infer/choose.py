"""Classify texts without training: which label does the model find most probable in its place of a template?

    s_k = Σ log p(t)          over the tokens t that the choice k brings in                     sum
    s_k = s_k / tokens        the mean: long choices are not punished                           mean
    s_k = s_k - s_k(neutral)  less the same sum where a text without content takes its place    pmi
    p_k = softmax(s)_k

A decoder is asked for the label and what the template has after it, given what stands before; that is read once for
all choices. Tokens are counted from the first that any choice changes, so that every choice answers for the same
characters. A masked model is asked for each token of the label, all others given (a cloze); ELMo for the label's tokens
from either side.

Source:  decoders: Radford et al. (2019), section 3; mean: Brown et al. (2020), section 2.4; pmi: Holtzman et al.
(2021), section 3, with an empty text, and Zhao et al. (2021), section 4, with another. Masked models: Schick and
Schütze (2021), section 3.1. Departure: labels of several tokens are scored by pseudo-log-likelihood (Salazar et al.
2020).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from polyseme.errors import ConfigError, InputError
from polyseme.infer.inputs import one_of
from polyseme.infer.likelihood import Part
from polyseme.infer.loaded import Loaded
from polyseme.infer.score import kind_of, lead_of, log_likelihoods
from polyseme.infer.template import Filled, Template, shortened
from polyseme.text.tokens import Tokens

__all__ = ["Chooser", "Normalize"]

Normalize = Literal["sum", "mean", "pmi"]
FloatArray = npt.NDArray[np.float64]

TEXTS_AT_ONCE = 256
_EXAMPLE = '"{text} It was {label}."'


class _Question(NamedTuple):
    """A text with every choice in its place.

    Args:
        filled: a text a choice.
        tokens: theirs.
    """

    filled: list[Filled]
    tokens: list[Tokens]


class Chooser:
    """Weighs the same choices for many texts.

    Args:
        loaded: a run that gives texts probabilities: gpt, qwen3; bert, modernbert, ernie; elmo.
        choices: words that may stand in the place of {label}; two at least.
        template: a text with {text}, {label} and, for pairs of texts, {text_b}.
        normalize: sum, mean or pmi; see the head of this file.
        neutral: the text without content that pmi puts in the place of {text} and {text_b}; "" leaves them out.
    Raises:  ConfigError: the template or the choices are wrong, or the run gives texts no probability.
             InputError: the vocabulary lacks a choice, or reads two of them alike.
    Example:
        chooser = Chooser(load("runs/gpt"), ["bad", "good"], "{text} It was {label}.")
        chooser.probabilities(["I slept."])[0]
    """

    def __init__(
        self,
        loaded: Loaded,
        choices: Sequence[str],
        template: str,
        normalize: Normalize = "sum",
        neutral: str = "",
    ) -> None:
        kind = kind_of(loaded)
        one_of("normalize", normalize, get_args(Normalize))
        self._loaded, self._choices, self._normalize = loaded, _checked(choices), normalize
        self._causal = kind == "log-likelihood"
        try:
            self.template = Template(template, ("text", "text_b", "label"), ("text", "label"), ("label",))
        except ConfigError as error:
            error.fix = error.fix or f"a template such as {_EXAMPLE}"
            raise
        self._room = loaded.room
        self._check_vocabulary()
        self._neutral: FloatArray | None = None
        if normalize == "pmi":
            self._neutral = self._scores([{"text": neutral, "text_b": neutral}])[0]

    @property
    def paired(self) -> bool:
        """Whether the template takes pairs of texts."""
        return "text_b" in self.template.names

    def scores(self, texts: Sequence[str], texts_b: Sequence[str] | None = None) -> FloatArray:
        """The score s of every text and choice, normalised as asked, in nats.

        Shapes:  N texts, K choices -> (N, K)
        Raises:  ConfigError: second texts are missing, or the template has no place for them.
                 InputError: the template and a choice alone are longer than the model reads.
        """
        if self.paired != (texts_b is not None):
            raise ConfigError(
                "the template has a place {text_b}, but there are no second texts"
                if self.paired
                else "there are second texts, but the template has no place {text_b}",
                got=self.template.source,
            )
        if texts_b is not None and len(texts_b) != len(texts):
            raise ConfigError("texts and second texts must be pairs", got=f"{len(texts)} and {len(texts_b)}")
        rows = [{"text": a, "text_b": b} for a, b in zip(texts, texts_b or [""] * len(texts), strict=True)]
        found = [np.zeros((0, len(self._choices)))]
        for start in range(0, len(rows), TEXTS_AT_ONCE):
            found.append(self._scores(rows[start : start + TEXTS_AT_ONCE]))
        scores = np.concatenate(found)
        return scores if self._neutral is None else scores - self._neutral

    def probabilities(self, texts: Sequence[str], texts_b: Sequence[str] | None = None) -> FloatArray:
        """The share of every choice: (N, K), rows sum to 1."""
        scores = self.scores(texts, texts_b)
        if not len(scores):
            return scores
        shares = np.exp(scores - scores.max(1, keepdims=True))
        result: FloatArray = shares / shares.sum(1, keepdims=True)
        return result

    def _scores(self, rows: Sequence[dict[str, str]]) -> FloatArray:
        """Sums or means over the tokens that count."""
        groups = [self._parts(question) for question in self._questions(rows)]
        sums = np.array(log_likelihoods(self._loaded, groups), np.float64)
        if self._normalize == "mean":
            sums /= np.array([[len(part.counted) for part in group] for group in groups])
        return sums

    def _fill(self, row: dict[str, str]) -> list[Filled]:
        return [self.template.fill({**row, "label": choice}) for choice in self._choices]

    def _questions(self, rows: Sequence[dict[str, str]]) -> list[_Question]:
        """The texts with every choice, none longer than the model reads."""
        encode = self._loaded.tokenizer.encode_batch
        filled = [self._fill(row) for row in rows]
        n = len(self._choices)
        flat = encode([one.text for row in filled for one in row])
        found = [_Question(one, flat[i * n : (i + 1) * n]) for i, one in enumerate(filled)]
        long = [i for i, q in enumerate(found) if max(map(len, q.tokens)) > self._room]
        for i in long:
            row = rows[i]
            for choice in self._choices:
                values = {**row, "label": choice}
                row, _ = shortened(
                    self._loaded.tokenizer, self.template, values, self._room, ("text", "text_b")
                )
            again = self._fill(row)
            found[i] = _Question(again, encode([one.text for one in again]))
        if long:
            warnings.warn(
                f"{len(long):,} of {len(rows):,} texts are longer than the {self._room:,} tokens that the model "
                "reads: their beginnings were left out",
                stacklevel=2,
            )
        return found

    def _parts(self, question: _Question) -> list[Part]:
        """What of each filled text counts."""
        if self._causal:
            first = min(
                _alike([tokens.ids for tokens in question.tokens]),
                *(_place(f, t)[0] for f, t in zip(question.filled, question.tokens, strict=True)),
            )
            lead = [*lead_of(self._loaded)] or (self._loaded.tokenizer.opening([]) if first == 0 else [])
            return [Part([*lead, *tokens.ids], first + len(lead)) for tokens in question.tokens]
        lead = [*lead_of(self._loaded)]
        places = [_place(f, t) for f, t in zip(question.filled, question.tokens, strict=True)]
        return [
            Part([*lead, *tokens.ids], first + len(lead), stop + len(lead))
            for tokens, (first, stop) in zip(question.tokens, places, strict=True)
        ]

    def _check_vocabulary(self) -> None:
        """Refuse choices that the vocabulary cannot tell apart."""
        unknown, seen = self._loaded.tokenizer.unk_id, dict[tuple[int, ...], str]()
        filled = self._fill({"text": "", "text_b": ""})
        encoded = self._loaded.tokenizer.encode_batch([one.text for one in filled])
        for choice, one, tokens in zip(self._choices, filled, encoded, strict=True):
            first, stop = _place(one, tokens)
            own = tokens.ids[first:stop]
            if not own or unknown in own:
                raise InputError(
                    "the run's vocabulary does not know a choice",
                    got=choice,
                    where=self._loaded.run.path,
                    fix="other words for it",
                )
            whole = tuple(tokens.ids)
            if whole in seen:
                raise InputError(
                    "the run's vocabulary reads two choices alike",
                    got=f"{seen[whole]!r} and {choice!r}",
                    where=self._loaded.run.path,
                    fix="other words for one of them",
                )
            seen[whole] = choice


def _checked(choices: Sequence[str]) -> list[str]:
    """The choices, if there are several different ones."""
    if isinstance(choices, str) or not all(isinstance(choice, str) for choice in choices):
        raise ConfigError(
            "choices must be a list of strings", got=repr(choices)[:80], expected='["bad", "good"]'
        )
    found = list(choices)
    if len(found) < 2:
        raise ConfigError("there must be two choices at least", got=", ".join(found) or "none")
    for choice in found:
        if not choice.strip():
            raise ConfigError("a choice must not be empty", got=repr(choice))
        if found.count(choice) > 1:
            raise ConfigError("a choice is there twice", got=choice)
    return found


def _place(filled: Filled, tokens: Tokens) -> tuple[int, int]:
    """The tokens that hold a part of the label: the first, and the one after the last."""
    start, end = filled.spans["label"]
    first = next((i for i, (_, b) in enumerate(tokens.offsets) if b > start), len(tokens))
    stop = next((i for i in range(first, len(tokens)) if tokens.offsets[i][0] >= end), len(tokens))
    return first, stop


def _alike(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with."""
    n = min(map(len, rows))
    return next((i for i in range(n) if len({row[i] for row in rows}) > 1), n)
