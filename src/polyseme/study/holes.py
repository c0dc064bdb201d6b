"""Words that fit the same hole have like vectors: the sentence by which word vectors are explained, measured.

    The [MASK] barked all night.    dog, hound, wolf …          candidates of a hole, given or the model's own
    He drank a cup of [MASK].       tea, coffee, water …

    within   = mean over holes of the mean cosine of every two of its candidates
    across   = mean cosine of candidates of different holes
    difference = within - across, with the bootstrap over holes (Efron 1979): holes are drawn, with all their candidates

Vectors are those of the words by themselves, in any model (`word_matrix`). The same two words in two holes are left out
of `across`, as their cosine is 1 by itself.

Where the candidates are a model's own, a part of the answer is built in: they are words whose output vectors lie near
one hidden vector, and many models have the same vectors for input and output. Candidates that a person names, or the
vectors of a run that had no part in the choice (`against`), are free of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from polyseme.core.arrays import Float64Array, IntArray
from polyseme.core.result import Result
from polyseme.core.synonyms import MASKS
from polyseme.errors import ConfigError, InputError
from polyseme.infer.fill import fill
from polyseme.infer.inputs import at_least_one, texts_of
from polyseme.infer.loaded import Loaded
from polyseme.study import Run, names_of_runs, opened, several
from polyseme.study.stats import RESAMPLES, Drawn
from polyseme.study.uses import unit
from polyseme.study.word_vectors import word_matrix
from polyseme.tasks.metrics.intervals import bootstrap
from polyseme.text.clean import replace_surrogates
from polyseme.text.words import is_cjk, word_spans

__all__ = ["Holes", "holes", "words_that_fit"]

_MASK = re.compile(MASKS, re.IGNORECASE)
_MORE = 8
"""Times as many tokens are asked for as candidates are wanted: marks and mere pieces are no words."""
MOST = 1000
"""Candidates of all holes together at most: every two of them have a cosine in the JSON."""
_FEW = 5
"""Holes below which there is no interval: too many draws hold one hole alone, and so nothing across."""
_UNDEFINED = 0.01
"""Share of draws without a figure above which the others would stand for too few holes."""


@dataclass(frozen=True, eq=False, repr=False)
class Holes(Result):
    """What `holes` found.

    Args:
        source: whose candidates: "given", or the name of the run that filled the holes.
        holes: one each: {"text", "position": of the mask, "candidates"}.
        runs: one each: run, name, model, within, across, difference: {"value", "low", "high", "n": holes}, the
            difference also "p"; low, high and p are None where fewer than five holes have a figure, or where many draws
            of them have none; holes: the mean cosine within each; unknown: candidates without a vector; cosines: a row
            a candidate, in the order of the holes, None where one has no vector.
        settings: top, resamples, seed.
        notes: what a person should know.
    """

    kind = "holes"

    source: str
    holes: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "source": self.source,
            "holes": self.holes,
            "runs": self.runs,
            "settings": self.settings,
            "notes": self.notes,
        }

    def headline(self) -> str:
        """How many holes, and the cosines of each run."""
        told = (
            f"{run['name']} {_told(run['within'])} within, {_told(run['across'])} across" for run in self.runs
        )
        return f"{len(self.holes)} holes; {'; '.join(told)}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a run: cosines within holes and across, and their difference with its interval."""
        return [
            {
                "run": run["name"],
                "within": run["within"]["value"],
                "across": run["across"]["value"],
                "difference": run["difference"]["value"],
                "low": run["difference"]["low"],
                "high": run["difference"]["high"],
                "p": run["difference"]["p"],
                "holes": run["difference"]["n"],
            }
            for run in self.runs
        ]


def _told(figure: dict[str, Any]) -> str:
    return "—" if figure["value"] is None else f"{figure['value']:.3f}"


class _Hole(NamedTuple):
    text: str
    position: int
    candidates: list[str]


def holes(
    run: Run,
    texts: str | Iterable[str],
    candidates: Sequence[Sequence[str]] | None = None,
    *,
    top: int = 5,
    against: Run | Sequence[Run] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Holes:
    """Cosines of words that fit the same hole among themselves, beside those of words of other holes.

    Args:
        run: whose vectors; where no candidates are given, it fills the holes.
        texts: sentences with [MASK], two holes at least; a text may have several.
        candidates: words for each hole, in the order of the holes, two at least of each; None = the run's own.
        top: so many of the run's own a hole: whole words, without marks.
        against: further runs, whose vectors of the same words are compared.
        resamples, seed: of the intervals.
    Raises:  InputError: fewer than two holes, a text without one, or candidates that do not go with the holes.
             ConfigError: the run fills no masks and no candidates are given, or a count that is none.

    Example:
        polyseme.holes("runs/bert", ["The [MASK] barked.", "A cup of [MASK]."], [["dog", "wolf"], ["tea", "milk"]])
    """
    at_least_one("top", top)
    at_least_one("resamples", resamples)
    if top < 2:
        raise ConfigError(
            "top must be two at least: one word has no other to be like", got=top, fix="--top 5"
        )
    several_texts = texts_of(texts)[0]
    loaded = opened(run)
    given = candidates is not None
    found = (
        _given(several_texts, candidates) if candidates is not None else _filled(loaded, several_texts, top)
    )
    if len(found) < 2:
        raise InputError(
            "too few holes to compare",
            got=f"{len(found)}",
            expected="two [MASK]s at least, in one text or several",
            fix="another sentence with [MASK]",
        )
    if (words := sum(len(hole.candidates) for hole in found)) > MOST:
        raise InputError(
            "too many words for one matrix",
            got=f"{words:,}",
            expected=f"at most {MOST}",
            fix="fewer sentences",
        )
    notes: list[str] = []
    if not given:
        notes.append(
            "the candidates are the run's own, so a part of their likeness is built in: they are words whose output "
            "vectors lie near one hidden vector; --candidates and --against are free of that"
        )
    results = []
    for each in [loaded, *map(opened, several(against) if against else [])]:
        results.append(_measured(each, found, resamples, seed))
    for name, result in zip(names_of_runs([result["run"] for result in results]), results, strict=True):
        result["name"] = name
        if result["unknown"]:
            notes.append(f"{name}: without a vector and left out: {', '.join(result['unknown'])}")
        if result["difference"]["low"] is None:
            usable = sum(cosine is not None for cosine in result["holes"])
            notes.append(f"{name}: {usable} holes are too few for intervals")
    settings = {"top": None if given else top, "resamples": resamples, "seed": seed}
    source = "given" if given else results[0]["name"]
    return Holes(source, [hole._asdict() for hole in found], results, settings, notes)


def words_that_fit(loaded: Loaded, texts: Sequence[str], top: int) -> list[list[tuple[int, list[str]]]]:
    """A run's own words for every hole of texts: whole words without marks, the likeliest first, at most `top`.

    Returns (position of the mask, words) of every hole, text by text; a hole may have no word at all.
    """
    found = []
    for text, masks in zip(texts, fill(loaded, texts, top=_MORE * top + 20), strict=True):
        holes_of_text = []
        for mask in masks:
            around = text[: mask["position"]], _MASK.sub("", text[mask["position"] :], count=1)
            words: dict[str, str] = {}
            for candidate in mask["candidates"]:
                word = candidate["token"].strip()
                if len(words) < top and _is_word(loaded, candidate["token"], around):
                    words.setdefault(word.casefold(), word)
            holes_of_text.append((mask["position"], list(words.values())))
        found.append(holes_of_text)
    return found


def _filled(loaded: Loaded, texts: Sequence[str], top: int) -> list[_Hole]:
    """The holes with a run's own candidates."""
    found = []
    for text, holes_of_text in zip(texts, words_that_fit(loaded, texts, top), strict=True):
        for position, words in holes_of_text:
            if len(words) < 2:
                raise InputError(
                    "the run has fewer than two words for a hole",
                    got=", ".join(words) or "marks and pieces of words",
                    where=text[:80],
                    fix="name them with --candidates, or leave the sentence away",
                )
            found.append(_Hole(text, position, words))
    return found


def _is_word(loaded: Loaded, token: str, around: tuple[str, str]) -> bool:
    """Whether a token is a word of letters, and no piece of another: neither one that goes on a word nor, in its hole,
    a Chinese character that makes a word with those beside it.
    """
    prefix, word = loaded.tokenizer.piece_prefix, token.strip()
    if not any(map(str.isalpha, word)) or (prefix and token.startswith(prefix)):
        return False
    before, after = around
    return not is_cjk(word) or (len(before), len(before) + len(word)) in word_spans(
        before + word + after, "zh"
    )


def _given(texts: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[_Hole]:
    places = [(text, match.start()) for text in texts for match in re.finditer(MASKS, text, re.IGNORECASE)]
    bare = [text for text in texts if not re.search(MASKS, text, re.IGNORECASE)]
    if bare:
        raise InputError(
            "there is no [MASK] in a text", got=bare[0][:80], fix="write [MASK] where the words are to fit"
        )
    if isinstance(candidates, str) or len(candidates) != len(places):
        raise InputError(
            "candidates and holes do not go together",
            got=f"candidates of {len(candidates)} holes"
            if not isinstance(candidates, str)
            else candidates[:80],
            expected=f"{len(places)} lists of words, one a [MASK]",
        )
    lists = [
        list(dict.fromkeys(word.strip() for word in texts_of(words, "candidates")[0])) for words in candidates
    ]
    for words in lists:
        if len([word for word in words if word]) < 2:
            raise InputError("a hole needs two words at least", got=repr(words), fix="--candidates WORD,WORD")
    return [
        _Hole(text, position, [word for word in words if word])
        for (text, position), words in zip(places, lists, strict=True)
    ]


def _measured(loaded: Loaded, found: Sequence[_Hole], resamples: int, seed: int) -> dict[str, Any]:
    """A run's cosines within holes and across them."""
    words = [word for hole in found for word in hole.candidates]
    hole_of = np.repeat(np.arange(len(found)), [len(hole.candidates) for hole in found])
    vectors, known = word_matrix(loaded, words)
    one = unit(vectors).astype(np.float64)
    cosines = np.clip(one @ one.T, -1, 1)
    forms = np.array([word.casefold() for word in words])
    usable = known[:, None] & known[None] & (forms[:, None] != forms[None])
    member = (hole_of[:, None] == np.arange(len(found))).astype(np.float64)  # (N, H)
    sums, counts = member.T @ (cosines * usable) @ member, member.T @ usable @ member  # (H, H)
    with np.errstate(invalid="ignore"):
        within_hole = np.diag(sums) / np.diag(counts)
    if not np.isfinite(within_hole).any():
        raise InputError(
            "the run knows no two words of any hole",
            got=", ".join(words[:8]),
            where=loaded.run.path,
            fix="other words with --candidates",
        )
    between = (sums - np.diag(np.diag(sums)), counts - np.diag(np.diag(counts)))

    def figures(chosen: IntArray) -> Float64Array:
        """Within and across of drawn holes.  Shapes: (R, H) -> (R, 2)"""
        times = np.stack([(chosen == hole).sum(1) for hole in range(len(found))], 1).astype(np.float64)
        there = times * np.isfinite(within_hole)
        with np.errstate(invalid="ignore", divide="ignore"):
            inside = there @ np.nan_to_num(within_hole) / there.sum(1)
            outside = np.einsum("rh,hk,rk->r", times, between[0], times) / np.einsum(
                "rh,hk,rk->r", times, between[1], times
            )
        return np.stack([inside, outside], 1)

    value = figures(np.arange(len(found))[None])[0]
    drawn = bootstrap(figures, len(found), resamples, seed, "bootstrap of holes")
    undefined = 1 - np.isfinite(drawn).all(1).mean()
    if np.isfinite(within_hole).sum() < _FEW or undefined > _UNDEFINED:
        drawn = np.full_like(drawn, np.nan)
    within, across = (Drawn(float(value[k]), drawn[:, k], len(found)) for k in (0, 1))
    difference = within.over(across)
    if difference["low"] is None:
        difference["p"] = None
    path = replace_surrogates(str(loaded.run.path))
    return {
        "run": path,
        "name": "",
        "model": loaded.recipe.architecture,
        "within": within.document(),
        "across": across.document(),
        "difference": difference,
        "holes": [None if np.isnan(cosine) else float(cosine) for cosine in within_hole],
        "unknown": sorted({word for word, has in zip(words, known, strict=True) if not has}),
        "cosines": [
            [round(float(cosines[i, j]), 6) if known[i] and known[j] else None for j in range(len(words))]
            for i in range(len(words))
        ],
    }
