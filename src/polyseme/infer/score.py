"""How probable a model finds a text, or a continuation of one.

Decoders give log-likelihoods, masked models pseudo-log-likelihoods, ELMo's language model the sum of its directions;
infer/likelihood.py says what these are. A hybrid run gives log-likelihoods, and on request the others. All are sums
in nats. Figures of models with different vocabularies may be compared by text, not by token. Within one call, texts
with the same tokens have exactly the same score.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import torch

from polyseme.core.entries import Predicts
from polyseme.core.result import Result
from polyseme.errors import ConfigError
from polyseme.infer import likelihood
from polyseme.infer.inputs import check_loaded, one_text, texts_of
from polyseme.infer.likelihood import Part
from polyseme.infer.loaded import Loaded
from polyseme.text.borders import encode_after
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.joining import gap
from polyseme.text.sources import read_lines
from polyseme.text.tokenizers import ABSENT
from polyseme.text.tokens import Tokens
from polyseme.train.card import has_neighbours

__all__ = [
    "Score",
    "Scoring",
    "TokenScore",
    "kind_of",
    "score",
    "score_continuations",
    "score_file",
    "score_lines",
    "score_tokens",
    "token_log_probabilities",
    "total_of",
]

Kind = Literal["log-likelihood", "pseudo-log-likelihood", "two-way log-likelihood"]

LINES_AT_ONCE = 1024
_LARGEST_EXPONENT = 700.0

_KINDS: dict[Predicts, Kind] = {
    "next": "log-likelihood",
    "masked": "pseudo-log-likelihood",
    "both": "two-way log-likelihood",
}
"""The kind of a run's scores, by what its heads predict; if it has several, the first in this order that serves."""


class TokenScore(NamedTuple):
    """A token of a text: [start, end) in its characters, and how surprising it is, -log p in nats.

    Of two-way scores it is the sum of both directions.
    """

    start: int
    end: int
    nats: float


@dataclass(frozen=True, slots=True)
class Score:
    """How probable a text is.

    Args:
        log_likelihood: sum over its tokens, nats; 0 for a text without tokens.
        tokens: how many it is over.
        unknown: how many of them are [UNK]: what they stand for has no probability of its own.
        token_scores: each of them, where it was asked for; that of the end of a text stands behind its last character.
    """

    log_likelihood: float
    tokens: int
    unknown: int = 0
    token_scores: tuple[TokenScore, ...] | None = None

    @property
    def per_token(self) -> float:
        """Mean over its tokens, nats; 0 for a text without tokens."""
        return self.log_likelihood / self.tokens if self.tokens else 0.0

    def as_dict(self) -> dict[str, Any]:
        """{"log_likelihood", "tokens", "per_token", "unknown"}, and "token_scores": [{"start", "end", "nats"}]"""
        document: dict[str, Any] = {
            "log_likelihood": self.log_likelihood,
            "tokens": self.tokens,
            "per_token": self.per_token,
            "unknown": self.unknown,
        }
        if self.token_scores is not None:
            document["token_scores"] = [token._asdict() for token in self.token_scores]
        return document


def total_of(scores: Iterable[Score], kind: Kind) -> dict[str, Any]:
    """All texts together, as a `Score` has it, with the perplexity; both means are None where there are no tokens."""
    sums = [0.0, 0, 0]
    for each in scores:
        sums = [sums[0] + each.log_likelihood, sums[1] + each.tokens, sums[2] + each.unknown]
    whole = Score(sums[0], int(sums[1]), int(sums[2]))
    if not whole.tokens:  # the mean over no tokens is undefined
        return whole.as_dict() | {"per_token": None, "perplexity": None}
    predictions_per_token = 2 if kind.startswith("two-way") else 1
    perplexity = math.exp(min(-whole.per_token / predictions_per_token, _LARGEST_EXPONENT))
    return whole.as_dict() | {"perplexity": perplexity}


@dataclass(frozen=True, eq=False, repr=False)
class Scoring(Result):
    """How probable a text is, token by token: `score` with detail.

    Args:
        text: what was scored.
        measure: the kind of the scores: log-likelihood, pseudo-log-likelihood or two-way log-likelihood.
        score: the sum and its parts.
    """

    kind = "score"
    notes = ()

    text: str
    measure: Kind
    score: Score

    def document(self) -> dict[str, Any]:
        """{"text", "kind", "log_likelihood", "tokens", "per_token", "unknown", "token_scores"}"""
        return {"text": self.text, "kind": self.measure, **self.score.as_dict()}

    def headline(self) -> str:
        """The text and its sum."""
        return f"{self.text[:40]!r}: {self.measure} {self.score.log_likelihood:.1f} nats"

    def rows(self) -> list[dict[str, Any]]:
        """A row a token."""
        tokens = self.score.token_scores or ()
        return [{"token": self.text[token.start : token.end], **token._asdict()} for token in tokens]


def kind_of(loaded: Loaded, masked: bool = False) -> Kind:
    """The kind of a run's scores.

    Args:
        masked: pseudo-log-likelihoods, where the run can give them.
    Raises:  ConfigError: the run gives texts no probability; the error says what it can do.
    """
    for predicts, kind in _KINDS.items():
        if predicts in loaded.predicting and not (masked and loaded.fills_masks and predicts != "masked"):
            return kind
    raise ConfigError(
        "this run gives texts no probability",
        got=f"{loaded.recipe.architecture}, trained with {', '.join(loaded.recipe.objectives)}",
        expected="a run trained with causal_lm, masked_lm, knowledge_masking or bidirectional_lm",
        where=loaded.run.path,
        fix=(
            "polyseme neighbours RUN WORD, or "
            if has_neighbours({"objectives": loaded.recipe.objectives})
            else ""
        )
        + "polyseme embed RUN FILE -o OUT.npy",
    )


@overload
def score(  # type: ignore[overload-overlap]  # a string is an iterable of strings, too
    loaded: Loaded,
    texts: str,
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: Literal[False] = False,
) -> Score: ...
@overload
def score(
    loaded: Loaded,
    texts: Iterable[str],
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: Literal[False] = False,
) -> list[Score]: ...
@overload
def score(  # type: ignore[overload-overlap]
    loaded: Loaded,
    texts: str,
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: Literal[True],
) -> Scoring: ...
@overload
def score(
    loaded: Loaded,
    texts: Iterable[str],
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: Literal[True],
) -> list[Scoring]: ...
def score(
    loaded: Loaded,
    texts: str | Iterable[str],
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: bool = False,
) -> Any:
    """The log-likelihood of every text; for masked models the pseudo-log-likelihood.

    The token that begins a text is given; where texts begin with no token, their first token is not counted. For ELMo's
    bidirectional language model it is the sum of both directions: every token counts once and is predicted twice.

    Args:
        loaded: a run of a decoder (gpt, qwen3), of a masked model (bert, modernbert, ernie), or elmo.
        texts: one or several, any strings, in which "[MASK]" is these letters, not the token; one without tokens gets
            0 tokens and 0 nats.
        end: count the end of the text as a token, too (decoders).
        within_word: hide with a token the rest of its word, which gives it away (masked models): a word is then
            predicted from left to right, and rare words of many tokens no longer look probable.
        masked: hide each token in turn, where the run could also read from the left (hybrid); `within_word` does so.
        detail: say it of every token.
    Returns a `Score` for one text, a list for several, in their order; with detail a `Scoring` each, whose
    score.token_scores are [(start, end, nats)], -log p of each token that counts.
    Raises:  InputError: not text.  ConfigError: the run gives texts no probability, or an option is not for it.
    Source:  Salazar et al. (2020) for masked models; Kauf and Ivanova (2023), PLL-word-l2r, for `within_word`.

    Example:
        score(load("runs/gpt"), "It was late.").log_likelihood
    """
    check_loaded(loaded)
    several, single = texts_of(texts)
    encoded = loaded.tokenizer.encode_batch(several)
    scores = _scores(
        loaded, encoded, [0] * len(encoded), end, within_word, masked, shared=False, detail=detail
    )
    if detail:
        return _scorings(loaded, several, scores, masked or within_word, single)
    return scores[0] if single else scores


def _scorings(
    loaded: Loaded,
    texts: Sequence[str],
    scores: Sequence[Score],
    masked: bool,
    single: bool,
    context: str = "",
) -> Scoring | list[Scoring]:
    """Scores of texts, or of what follows a context, with places in them."""
    kind = kind_of(loaded, masked)
    scorings = [
        Scoring(text, kind, placed(score, len(text), len(context)))
        for text, score in zip(texts, scores, strict=True)
    ]
    return scorings[0] if single else scorings


def placed(score: Score, length: int, shift: int = 0) -> Score:
    """A score with places in a text of `length` characters, which begins `shift` characters behind the first read."""

    def at(place: int) -> int:
        return min(max(0, place - shift), length)

    tokens = [TokenScore(at(start), at(end), nats) for start, end, nats in score.token_scores or ()]
    return replace(score, token_scores=tuple(tokens))


def score_tokens(
    loaded: Loaded,
    encoded: Sequence[Tokens],
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
) -> list[Score]:
    """`score` of texts that have been encoded; their offsets are not read.

    Raises:  ConfigError: as for `score`.
    """
    return _scores(loaded, encoded, [0] * len(encoded), end, within_word, masked, shared=False)


def token_log_probabilities(
    loaded: Loaded, encoded: Sequence[Tokens], within_word: bool = False, masked: bool = False
) -> list[list[float | None]]:
    """`score_tokens`, token by token: log p of each in nats; None of a first token with nothing before it.

    Args:
        encoded, within_word, masked: as for `score_tokens`.
    """
    scores = _scores(loaded, encoded, [0] * len(encoded), False, within_word, masked, False, detail=True)
    answers: list[list[float | None]] = []
    for tokens, each in zip(encoded, scores, strict=True):
        values = [-token.nats for token in each.token_scores or ()]
        answers.append([*[None] * (len(tokens) - len(values)), *values])
    return answers


@overload
def score_continuations(  # type: ignore[overload-overlap]
    loaded: Loaded,
    context: str,
    continuations: str,
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: Literal[False] = False,
) -> Score: ...
@overload
def score_continuations(
    loaded: Loaded,
    context: str,
    continuations: Iterable[str],
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: Literal[False] = False,
) -> list[Score]: ...
@overload
def score_continuations(  # type: ignore[overload-overlap]
    loaded: Loaded,
    context: str,
    continuations: str,
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: Literal[True],
) -> Scoring: ...
@overload
def score_continuations(
    loaded: Loaded,
    context: str,
    continuations: Iterable[str],
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: Literal[True],
) -> list[Scoring]: ...
def score_continuations(
    loaded: Loaded,
    context: str,
    continuations: str | Iterable[str],
    end: bool = False,
    within_word: bool = False,
    masked: bool = False,
    *,
    detail: bool = False,
) -> Any:
    """The log-likelihood of every continuation, given the context; `per_token` is normalised by length.

    `context + continuation` is read as one text, so spaces between them are the caller's. What the texts share is read
    once. Every character of a continuation counts: where the vocabulary has one token for the end of the context and
    the beginning of the continuation, both are tokenized apart (text/borders.py). After an empty context a decoder
    whose texts begin with no token goes on from its token for the beginning of a text, if it has one.

    Args:
        loaded, end, within_word, masked, detail: as for `score`; places are those in the continuation.
        context: what is given; may be "".
        continuations: texts that go on from it, one or several.
    Returns a `Score` for one continuation, a list for several, in their order; with detail a `Scoring` each.
    Raises:  InputError, ConfigError: as for `score`.

    Example:
        answers = [" Paris", " Rome"]
        scores = score_continuations(model, "The capital of France is", answers)
        max(zip(scores, answers), key=lambda pair: pair[0].per_token)
    """
    check_loaded(loaded)
    context = one_text(context, "context")
    several, single = texts_of(continuations, "continuations")
    tokenized = encode_after(loaded.tokenizer, context, several)
    encoded, firsts = [tokens for tokens, _ in tokenized], [first for _, first in tokenized]
    scores = _scores(loaded, encoded, firsts, end, within_word, masked, shared=True, detail=detail)
    if detail:
        return _scorings(loaded, several, scores, masked or within_word, single, context)
    return scores[0] if single else scores


def score_file(
    loaded: Loaded,
    file: Path,
    end: bool = False,
    context: str | None = None,
    report: CleaningReport | None = None,
    reading: TextConfig | None = None,
    within_word: bool = False,
    masked: bool = False,
    detail: bool = False,
) -> Iterator[tuple[str, Score]]:
    """Every line of a file with its score; memory does not grow with the file.

    Args:
        loaded, end, within_word, masked: as for `score`.
        detail: the scores have their `token_scores`, with places in the line.
        file: one text per line, or per record of a .jsonl file (.gz and .zst too). Lines end at LF or CRLF and are
            taken as they stand, like texts in a list: nothing is cleaned.
        context: a text that every line goes on; a space between them is added where the language has one.
        report: counts what was cleaned.
        reading: its `encoding`, and the `field` of records; None = found out, and "text".
    Raises:  ConfigError: as for `score`.  CorpusError: the file is missing or binary.
    """
    kind_of(loaded)
    report = report or CleaningReport()
    lines = read_lines(file, reading or TextConfig(), report)
    while chunk := list(islice(lines, LINES_AT_ONCE)):
        scores = score_lines(loaded, chunk, end, context, within_word, masked, detail)
        yield from zip(chunk, scores, strict=True)


def score_lines(
    loaded: Loaded,
    lines: Sequence[str],
    end: bool = False,
    context: str | None = None,
    within_word: bool = False,
    masked: bool = False,
    detail: bool = False,
) -> list[Score]:
    """The scores of lines; all as for `score_file`.

    Raises:  ConfigError: as for `score`.
    """
    gaps = [""] * len(lines)
    if context is not None:
        gaps = [gap(context, line, context.count('"') % 2 == 1) for line in lines]
    parts = [space + line for space, line in zip(gaps, lines, strict=True)]
    how = end, within_word, masked
    if detail:
        scorings = (
            score(loaded, parts, *how, detail=True)
            if context is None
            else score_continuations(loaded, context, parts, *how, detail=True)
        )
        places = zip(lines, gaps, scorings, strict=True)
        return [placed(each.score, len(line), len(space)) for line, space, each in places]
    if context is None:
        return score(loaded, parts, *how)
    return score_continuations(loaded, context, parts, *how)


@torch.inference_mode()
def _scores(
    loaded: Loaded,
    encoded: Sequence[Tokens],
    firsts: Sequence[int],
    end: bool,
    within_word: bool,
    masked: bool,
    shared: bool,
    detail: bool = False,
) -> list[Score]:
    """Scores of texts, each from the token with index `firsts[i]`; a text without such a token gets 0.

    Args:
        detail: with token_scores at the tokens' own offsets; the end of a text lies nowhere until `placed` puts it.
    """
    special = loaded.special
    kind = _kind(loaded, end, within_word, masked)
    tail = [special.sep] if end else []
    prefix = prefix_of(loaded, kind)
    begin = () if prefix or not shared else _beginning(loaded)
    parts: dict[tuple[Any, ...], Part] = {}
    asked: list[tuple[Any, ...]] = []
    for tokens, first in zip(encoded, firsts, strict=True):
        starts = tuple(tokens.word_starts) if within_word else None
        before = prefix or (begin if first == 0 else ())
        first = max(first, 0 if before else 1)  # the very first token has nothing before it
        asked.append((tuple(tokens.ids), first, starts))
        if len(tokens) > first:
            parts.setdefault(
                asked[-1], Part([*before, *tokens.ids, *tail], first + len(before), None, starts)
            )
    (found,) = token_log_likelihoods(loaded, [list(parts.values())], shared, kind)
    values_of = dict(zip(parts, found, strict=True))
    unknown = loaded.tokenizer.unk_id
    scores = {
        key: Score(math.fsum(values_of[key]), len(part.counted), part.ids[part.first :].count(unknown))
        for key, part in parts.items()
    }
    results = [scores.get(key, Score(0.0, 0)) for key in asked]
    if not detail:
        return results
    nowhere = (sys.maxsize, sys.maxsize)
    for number, (tokens, key) in enumerate(zip(encoded, asked, strict=True)):
        spans = [*tokens.offsets[key[1] :], nowhere]
        pairs = zip(spans, values_of.get(key, []), strict=False)
        token_scores = tuple(TokenScore(*span, -value) for span, value in pairs)
        results[number] = replace(results[number], token_scores=token_scores)
    return results


def _beginning(loaded: Loaded) -> tuple[int, ...]:
    """The tokens to begin a text with, for a decoder whose texts begin with no token; () if there are none."""
    try:
        return tuple(loaded.tokenizer.opening([]))
    except ConfigError:
        return ()


def _kind(loaded: Loaded, end: bool, within_word: bool, masked: bool) -> Kind:
    """The kind of scores that the options ask for.

    Raises:  ConfigError: the run gives texts no probability, or an option is not for it.
    """
    kind, architecture = kind_of(loaded, masked or within_word), loaded.recipe.architecture
    if end and kind != "log-likelihood":
        raise ConfigError(
            "only decoders say how probable it is that a text ends",
            got=f"end with {architecture}",
            fix="leave --end out, or score with a decoder such as gpt",
        )
    if end and loaded.special.sep == ABSENT:
        raise ConfigError("the run's vocabulary has no token for the end of a text", where=loaded.run.path)
    if within_word and kind != "pseudo-log-likelihood":
        raise ConfigError(
            "only masked models hide the rest of a word",
            got=f"within_word with {architecture}",
            fix="leave --within-word out: what predicts from one side has not seen it",
        )
    if masked and kind != "pseudo-log-likelihood":
        raise ConfigError(
            "only masked models hide tokens", got=f"masked with {architecture}", fix="leave --masked out"
        )
    return kind


def prefix_of(loaded: Loaded, kind: Kind | None = None) -> tuple[int, ...]:
    """The tokens before a text that is scored; `kind`: as for `log_likelihoods`."""
    left = (kind or kind_of(loaded)) == "log-likelihood"
    return loaded.tokenizer.prefix_ids if left else (loaded.special.cls,)


def log_likelihoods(
    loaded: Loaded, groups: Sequence[Sequence[Part]], shared: bool = True, kind: Kind | None = None
) -> list[list[float]]:
    """The sum over the tokens that count, for every text of every group.

    Args:
        loaded, groups, shared, kind: as for `token_log_likelihoods`.
    """
    found = token_log_likelihoods(loaded, groups, shared, kind)
    return [[math.fsum(values) for values in group] for group in found]


@torch.inference_mode()
def token_log_likelihoods(
    loaded: Loaded, groups: Sequence[Sequence[Part]], shared: bool = True, kind: Kind | None = None
) -> list[list[likelihood.Values]]:
    """Log p of the tokens that count, for every text of every group.

    Args:
        kind: of the values; None = what `kind_of` says.
        groups: texts that begin alike; a decoder reads their common beginning once.
        shared: False = read every text by itself.
    """
    kind = kind or kind_of(loaded)
    if kind == "log-likelihood" and shared and hasattr(loaded.encoder, "decode"):
        return likelihood.causal_shared(loaded, loaded.predicting["next"], groups)
    parts = [part for group in groups for part in group]
    if kind == "log-likelihood":
        values = likelihood.causal(loaded, loaded.predicting["next"], parts)
    elif kind == "two-way log-likelihood":
        values = likelihood.two_way(loaded, loaded.predicting["both"], parts)
    else:
        values = likelihood.masked(loaded, loaded.predicting["masked"], parts)
    one_by_one = iter(values)
    return [[next(one_by_one) for _ in group] for group in groups]
