"""Minimal pairs: does a run find the good text of a pair more probable than the bad one?

    margin_i = score(good_i) - score(bad_i),  nats          right_i = 1, ½, 0  where margin_i > 0, = 0, < 0
    accuracy of a paradigm = mean of right_i                of a phenomenon, of all = mean over their paradigms

The kind of score depends on the run (infer/score.py): a decoder gives the log-likelihood, ELMo the sum of both
directions, a masked model the pseudo-log-likelihood. For masked models, within-word scoring is the default: each token
is predicted without the later tokens of its word. Otherwise a rare word of many tokens looks probable, since each token
gives the others away, and the two words in which a pair differs often have unequal numbers of tokens.

A tie counts one half: texts with the same tokens have exactly the same score.

Source: Warstadt et al. (2020), sections 3 and 4; Kauf and Ivanova (2023), section 3, for masked models.
Departures: ties, which argmax gives to the good text; texts are scored without the token that ends them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from polyseme.core.arrays import Float64Array, IntArray
from polyseme.core.paths import Paths, names_of
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.result import Result
from polyseme.errors import ConfigError, CorpusError
from polyseme.infer.inputs import at_least_one, one_of
from polyseme.infer.loaded import Loaded
from polyseme.infer.score import Score, kind_of, score_tokens
from polyseme.study import Run, opened, reading
from polyseme.study.stats import RESAMPLES, Paradigms
from polyseme.text.clean import replace_surrogates
from polyseme.text.labelled.minimal_pairs import MinimalPair, pair_files, read_minimal_pairs
from polyseme.text.labelled.opening import ReadOptions, name_of
from polyseme.text.labelled.records import Problems
from polyseme.text.tokens import Tokens

__all__ = ["Pairs", "Scoring", "pairs"]

Scoring = Literal["original", "within-word"]
ERRORS = 50
"""Errors that the document lists."""
FEW = 30
"""Pairs of a paradigm below which its interval is said to be wide."""
_AT_ONCE = 2048


@dataclass(frozen=True, eq=False, repr=False)
class Pairs(Result):
    """What `pairs` found.

    Args:
        run: the folder of the run, and what it is: {"run", "model", "kind", "scoring" or None}.
        against: the same of the run that it is compared with.
        files: names of the files.
        figures: of all pairs: "accuracy" and "margin" (see `measured`), "paradigms", "pairs", "ties", "unknown": pairs
            with a word unknown to the run; with a second run also "against", its accuracy, and "difference": of the
            accuracies, {"value", "low", "high", "p", "p_randomisation", "n"}.
        phenomena, paradigms: the same of each, with their names.
        pairs: a row a pair, in order: paradigm, phenomenon, id, where, good, bad, the scores of both and their margin.
        same_tokens: pairs whose two texts are the same to the run.
        unknown_tokens: tokens of all texts that are unknown to the run.
        cost: "texts" that were scored, "tokens" in them, "seconds" that it took.
        problems: what was wrong with the files.
        notes: what a person should know.
    """

    kind = "pairs"

    run: dict[str, Any]
    against: dict[str, Any] | None
    files: tuple[str, ...]
    figures: dict[str, Any]
    phenomena: list[dict[str, Any]]
    paradigms: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    same_tokens: int
    unknown_tokens: int
    cost: dict[str, Any]
    problems: dict[str, Any]
    notes: list[str]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Pairs whose bad text was found more probable, the most confident errors first."""
        return sorted((pair for pair in self.pairs if pair["margin"] < 0), key=lambda pair: pair["margin"])

    def document(self) -> dict[str, Any]:
        """Everything but the pairs, of which the worst errors are listed; JSON-able."""
        wrong = self.errors
        return {
            "study": "pairs",
            **self.run,
            **({"against": self.against} if self.against is not None else {}),
            "files": list(self.files),
            "figures": self.figures,
            "phenomena": self.phenomena,
            "paradigms": self.paradigms,
            "same_tokens": self.same_tokens,
            "unknown_tokens": self.unknown_tokens,
            "wrong": len(wrong),
            "errors": wrong[:ERRORS],
            "cost": self.cost,
            "problems": self.problems,
            "notes": self.notes,
        }

    def headline(self) -> str:
        """The run, and in how many pairs the good text is more probable."""
        all_pairs = self.figures["accuracy"]
        between = "" if all_pairs["low"] is None else f" ({all_pairs['low']:.3f} … {all_pairs['high']:.3f})"
        right = f"{all_pairs['value']:.3f}{between} of {self.figures['pairs']:,} pairs right"
        return f"{Path(self.run['run']).name}, {right}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a paradigm; with a second run also the difference of the accuracies."""
        return [
            {
                "paradigm": row["paradigm"],
                "phenomenon": row["phenomenon"],
                **{
                    ("accuracy" if name == "value" else name): row["accuracy"][name]
                    for name in ("value", "low", "high")
                },
                "pairs": row["pairs"],
                "ties": row["ties"],
                **(
                    {f"difference_{n}": v for n, v in row["difference"].items()}
                    if "difference" in row
                    else {}
                ),
            }
            for row in self.paradigms
        ]


def pairs(
    run: Run,
    files: Paths,
    *,
    scoring: Scoring | None = None,
    against: Run | None = None,
    columns: Mapping[str, str] | None = None,
    separator: str = "auto",
    encoding: str = "auto",
    limit: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Pairs:
    """Compare the probabilities that a run gives to the two texts of minimal pairs.

    Args:
        run: of any model that gives texts a probability: decoders, masked models, elmo.
        files: one or several of minimal pairs, or folders of such; see text/labelled/minimal_pairs.py.
        scoring: of masked models: "within-word" (None means that), or "original" pseudo-log-likelihoods; of hybrid
            runs None means log-likelihoods.
        columns: our names of columns to the files'.
        against: a second run of any such model: the difference of the accuracies is tested on the same pairs.
        limit: pairs of a paradigm that are read at most; None = all.
        resamples: draws of the intervals; paired tests take up to ten times as many.
        seed: of the draws.
        reporter: receives the progress.
        encoding: of the files; "auto" to detect it.
        separator: what stands between the fields of tables; "auto" = as the files show.
    Raises:  ConfigError: a run gives texts no probability, `scoring` without a masked model, columns that are not
             there; CorpusError: a file holds no minimal pair.

    Example:
        result = pairs("runs/bert", ["blimp/"], limit=100)
        print(result.figures["accuracy"], result.errors[:3])
    """
    reporter, problems = reporter or NullReporter(), Problems()
    one_of("scoring", scoring, (None, *get_args(Scoring)))
    if limit is not None:
        at_least_one("limit", limit)
    at_least_one("resamples", resamples)
    runs = [opened(given) for given in (run, against) if given is not None]
    kinds = [kind_of(loaded, scoring is not None) for loaded in runs]
    if scoring is not None and "pseudo-log-likelihood" not in kinds:
        raise ConfigError(
            "scoring is a choice for masked models alone",
            got=f"{scoring} with {runs[0].recipe.architecture}",
            fix="leave --scoring out",
        )
    names = [str(file) for file in pair_files(names_of(files))]
    if not names:
        raise CorpusError("no file of minimal pairs is named", fix="polyseme pairs RUN FILE...")
    read = _read(names, reading(columns, separator, encoding), limit, problems)
    scored = [_scored(loaded, read, scoring, reporter) for loaded in runs]
    first = scored[0]
    groups = _paradigms(read)
    right = [result.right for result in scored]
    table = Paradigms(groups, right, first.margin, resamples, seed, first.unknown)
    rows = [
        {"paradigm": paradigm, "phenomenon": phenomenon, **table.row([number])}
        for number, (paradigm, phenomenon) in enumerate(groups)
    ]
    phenomena: dict[str, list[int]] = {}
    for number, (_, phenomenon) in enumerate(groups):
        phenomena.setdefault(phenomenon, []).append(number)
    return Pairs(
        run=first.about,
        against=scored[1].about if against is not None else None,
        files=tuple(map(name_of, names)),
        figures=table.row(range(len(groups))),
        phenomena=[{"phenomenon": name, **table.row(members)} for name, members in phenomena.items()],
        paradigms=rows,
        pairs=[
            {
                "paradigm": pair.paradigm,
                "phenomenon": pair.phenomenon,
                "id": pair.id,
                "where": pair.where,
                "good": pair.good,
                "bad": pair.bad,
                "good_score": good.log_likelihood,
                "bad_score": bad.log_likelihood,
                "margin": good.log_likelihood - bad.log_likelihood,
            }
            for pair, good, bad in zip(read, first.good, first.bad, strict=True)
        ],
        same_tokens=first.same,
        unknown_tokens=sum(score.unknown for score in (*first.good, *first.bad)),
        cost=first.cost,
        problems=problems.report(),
        notes=[*problems.summary(), *_notes(read, first, groups)],
    )


def _read(
    names: Sequence[str], asked: ReadOptions, limit: int | None, problems: Problems
) -> list[MinimalPair]:
    """The pairs of all files, at most `limit` of a paradigm."""
    kept: list[MinimalPair] = []
    taken: dict[tuple[str, str], int] = {}
    for name in names:
        read = read_minimal_pairs(
            name,
            columns=asked.columns,
            encoding=asked.encoding,
            separator=asked.separator,
            problems=problems,
        )
        for pair in read:
            key = (pair.paradigm, pair.phenomenon)
            taken[key] = taken.get(key, 0) + 1
            if limit is None or taken[key] <= limit:
                kept.append(pair)
    return kept


def _paradigms(read: Sequence[MinimalPair]) -> dict[tuple[str, str], IntArray]:
    """Paradigm and phenomenon -> the numbers of its pairs."""
    members: dict[tuple[str, str], list[int]] = {}
    for number, pair in enumerate(read):
        members.setdefault((pair.paradigm, pair.phenomenon), []).append(number)
    return {name: np.array(numbers) for name, numbers in members.items()}


class _Scored(NamedTuple):
    """The scores of a run for all pairs."""

    about: dict[str, Any]
    good: list[Score]
    bad: list[Score]
    same: int
    cost: dict[str, Any]

    @property
    def margin(self) -> Float64Array:
        return np.array(
            [a.log_likelihood - b.log_likelihood for a, b in zip(self.good, self.bad, strict=True)]
        )

    @property
    def right(self) -> Float64Array:
        return (1 + np.sign(self.margin)) / 2

    @property
    def unknown(self) -> Float64Array:
        return np.array([a.unknown + b.unknown > 0 for a, b in zip(self.good, self.bad, strict=True)], float)


def _scored(
    loaded: Loaded, read: Sequence[MinimalPair], asked: Scoring | None, reporter: Reporter
) -> _Scored:
    """Score every text once; texts with the same tokens are scored together."""
    kind, scoring = kind_of(loaded, asked is not None), asked or "within-word"
    masked = kind == "pseudo-log-likelihood"
    within_word = masked and scoring == "within-word"
    began = time.perf_counter()
    keys: dict[str, tuple[tuple[int, ...], tuple[bool, ...]]] = {}
    texts = list(dict.fromkeys(text for pair in read for text in (pair.good, pair.bad)))
    for start in range(0, len(texts), _AT_ONCE):
        chunk = texts[start : start + _AT_ONCE]
        for text, tokens in zip(chunk, loaded.tokenizer.encode_batch(chunk), strict=True):
            keys[text] = (tuple(tokens.ids), tuple(tokens.word_starts) if within_word else ())
    different = sorted(dict.fromkeys(keys.values()), key=lambda key: len(key[0]))
    costs = np.array([len(ids) * (len(ids) + 2 if masked else 1) for ids, _ in different])
    scores: dict[tuple[tuple[int, ...], tuple[bool, ...]], Score] = {}
    name = f"scoring with {loaded.recipe.architecture}"
    total = float(costs.sum())
    reporter.stage(name, 0, total)
    for start in range(0, len(different), _AT_ONCE):
        batch = different[start : start + _AT_ONCE]
        encoded = [Tokens(list(ids), [], list(starts)) for ids, starts in batch]
        scores.update(
            zip(batch, score_tokens(loaded, encoded, within_word=within_word, masked=masked), strict=True)
        )
        rate = len(scores) / max(1e-9, time.perf_counter() - began)
        done = float(costs[: len(scores)].sum())
        reporter.stage(name, done, total, f"{len(scores):,} of {len(different):,} texts, {rate:,.0f}/s")
    return _Scored(
        {
            "run": replace_surrogates(str(loaded.run.path)),
            "model": loaded.recipe.architecture,
            "kind": kind,
            "scoring": scoring if masked else None,
        },
        [scores[keys[pair.good]] for pair in read],
        [scores[keys[pair.bad]] for pair in read],
        sum(keys[pair.good] == keys[pair.bad] for pair in read),
        {
            "texts": len(different),
            "tokens": sum(score.tokens for score in scores.values()),
            "seconds": round(time.perf_counter() - began, 3),
        },
    )


def _notes(
    read: Sequence[MinimalPair], scored: _Scored, groups: Mapping[tuple[str, str], IntArray]
) -> list[str]:
    notes = []
    n = len(read)
    if pairs_with := int(scored.unknown.sum()):
        notes.append(
            f"{pairs_with:,} of {n:,} pairs have words that are unknown to the run: [UNK] stands for them"
        )
    equal = sum(pair.good == pair.bad for pair in read)
    if equal:
        notes.append(f"{equal:,} pairs are one text twice: each counts one half")
    if scored.same > equal:
        notes.append(
            f"{scored.same - equal:,} pairs are different texts of the same tokens: each counts one half"
        )
    few = [name for (name, _), members in groups.items() if len(members) < FEW]
    if few:
        notes.append(f"fewer than {FEW} pairs of {len(few)} paradigms ({few[0]} …): their intervals are wide")
    return notes
