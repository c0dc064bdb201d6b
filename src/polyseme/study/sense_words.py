"""The words whose senses are studied: what does not depend on a run, and the scores of runs on labelled uses.

uses ─► Word: folds, draws, ceilings, the uses that a map shows
          │
          └─► with a run's vectors: every layer's figures, the best layer chosen outside each fold, a given split,
              means over words, differences of runs
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Float32Array, Float64Array, IntArray
from polyseme.core.rng import Random
from polyseme.errors import ConfigError, CorpusError
from polyseme.study.sense_clusters import LEAST, drawn, snippet
from polyseme.study.sense_scores import (
    METHODS,
    chosen_layers,
    folds_of,
    judge,
    majority,
    silhouettes,
    transfer,
)
from polyseme.study.stats import FIGURES, Drawn, UseResampler, compare, mean, randomisation, sum_of
from polyseme.tasks.metrics.intervals import measured, wilson
from polyseme.tasks.metrics.measure import Measure, mean_of
from polyseme.text.labelled.senses import Use

__all__ = [
    "Figure",
    "Layered",
    "Scored",
    "Word",
    "balanced",
    "ceilings",
    "differences",
    "figure_of",
    "headline",
    "over_words",
    "plain",
    "randomised",
    "read_words",
    "score",
]

Figure = Literal["accuracy", "balanced_accuracy"]

SKEWED = 0.8
"""Where one sense has more than this share of a word's uses, accuracy says little: always saying it is nearly right."""
CLUSTERED = 1000
"""Unlabelled uses of a word that are clustered at most."""
_FORMS = 8


@dataclass(frozen=True, eq=False)
class Word:
    """A word, its uses and everything about them that does not depend on a run.

    Args:
        word, uses: the word and where it is used.
        shown: indices of the uses that the map shows.
        document: the word's part of the study's document.
        gold: the sense of each use, 0 = the most frequent one; zeros for uses without labels.
        fold: the fold of cross-validation of each use; zeros for uses without labels.
        draws: the bootstrap of labelled uses.
        ceiling, balanced_ceiling: accuracy and balanced accuracy of always predicting the most frequent sense.
        by_form: accuracy of predicting the most frequent sense of each form; None for a word with one form.
        test: the bootstrap of the uses of the test part; None where the file gives no split.
    Shapes:  gold, fold: (N,)
    """

    word: str
    uses: list[Use]
    shown: list[int]
    document: dict[str, Any]
    gold: IntArray
    fold: IntArray
    draws: UseResampler | None = None
    ceiling: Drawn | None = None
    balanced_ceiling: Drawn | None = None
    by_form: Drawn | None = None
    test: UseResampler | None = None

    @property
    def figure(self) -> Figure:
        """The figure that says most: balanced accuracy where one sense has nearly all uses."""
        return headline(self.document)

    def ceiling_of(self, figure: Figure) -> Drawn:
        """The figure of always predicting the most frequent sense."""
        ceiling = self.ceiling if figure == "accuracy" else self.balanced_ceiling
        assert ceiling is not None
        return ceiling

    def worth(self, figure: Figure) -> Float64Array:
        """What a right answer to each use adds to the figure, times the number of uses.  Shapes: -> (N,)"""
        n = np.bincount(self.gold)
        if figure == "accuracy":
            return np.ones(len(self.gold))
        return np.asarray(len(self.gold) / (len(n) * n[self.gold]), np.float64)

    def part(self, name: str) -> BoolArray:
        """Which uses belong to a part of the split.  Shapes: -> (N,)"""
        return np.array([use.part == name for use in self.uses], bool)


def headline(word: Mapping[str, Any]) -> Figure:
    """The figure that says most of a word's document: its senses and how many uses they have."""
    most, total = word["senses"][0]["uses"], sum(sense["uses"] for sense in word["senses"])
    return "balanced_accuracy" if most > SKEWED * total else "accuracy"


def balanced(
    uses: Sequence[Use], seed: int = 0, limit: int | None = None
) -> tuple[list[Use], dict[str, dict[str, int]]]:
    """Draw the same number of uses of every sense of a word, in the order of the file.

    Args:
        uses: with their senses.
        seed: of the draws.
        limit: the largest number of uses of a word; None = as many as its rarest sense allows.
    Returns the uses that are kept, and for each word {"each": uses of a sense, "senses": how many, "left_out": uses}.
    Raises:  ConfigError: uses have no senses.
    """
    if any(use.sense is None for use in uses):
        raise ConfigError(
            "nothing to balance: the uses have no senses", expected="a file with a column of senses"
        )
    places: dict[str, dict[str, list[int]]] = {}
    for number, use in enumerate(uses):
        places.setdefault(use.word, {}).setdefault(use.sense or "", []).append(number)
    kept: list[int] = []
    counts: dict[str, dict[str, int]] = {}
    for word, senses in places.items():
        each = min(map(len, senses.values()))
        if limit is not None:
            each = max(1, min(each, limit // len(senses)))
        for sense, numbers in senses.items():
            order = Random(seed, f"equal numbers of {word}, {sense}").permutation(len(numbers))
            kept += [numbers[int(place)] for place in order[:each]]
        left = sum(map(len, senses.values())) - each * len(senses)
        counts[word] = {"each": each, "senses": len(senses), "left_out": left}
    return [uses[number] for number in sorted(kept)], counts


def plain(text: str) -> str:
    """A text without differences of case and white space; texts that are equal then count as one."""
    return " ".join(text.casefold().split())


def read_words(
    uses: Sequence[Use],
    labelled: bool,
    folds: int,
    resamples: int,
    seed: int,
    most: int,
    halved: bool,
    notes: list[str],
) -> list[Word]:
    """Group uses by word. Words with too few uses are left out, which `notes` reports.

    Args:
        uses: all with a sense, or none.
        labelled: whether the uses have senses.
        folds, resamples, seed: see `senses`.
        most: uses of a word that are drawn.
        halved: draw only uses of every other fold, so that a map can be learned from the rest.
        notes: receives what a person should know.
    Raises:  CorpusError: no word is left.
    """
    grouped: dict[str, list[Use]] = {}
    for use in uses:
        grouped.setdefault(use.word, []).append(use)
    words = []
    for word, word_uses in grouped.items():
        kinds, texts = {use.sense for use in word_uses}, {plain(use.text) for use in word_uses}
        if labelled and (len(kinds) < 2 or len(texts) < 4):
            notes.append(
                f"{word}: {len(kinds)} senses in {len(texts)} texts: left out, nothing can be learned of it"
            )
        elif not labelled and len(word_uses) < LEAST:
            notes.append(f"{word}: {len(word_uses)} uses are too few to cluster: left out")
        elif labelled:
            words.append(_labelled(word, word_uses, folds, resamples, seed, most, halved))
        else:
            if len(word_uses) > CLUSTERED:
                notes.append(f"{word}: {CLUSTERED:,} of {len(word_uses):,} uses are clustered, drawn by hash")
                word_uses = [word_uses[i] for i in drawn(word_uses, CLUSTERED)]
            zeros = np.zeros(len(word_uses), np.int64)
            words.append(Word(word, word_uses, *_shown(word, word_uses, most, {}), gold=zeros, fold=zeros))
    if not words:
        raise CorpusError(
            "no word has uses enough",
            got="; ".join(notes)[:400],
            expected="two senses of a word, in four texts or more" if labelled else f"{LEAST} uses of a word",
        )
    return words


def _shown(
    word: str,
    uses: list[Use],
    most: int,
    senses: Mapping[str, int],
    among: BoolArray | None = None,
) -> tuple[list[int], dict[str, Any]]:
    """Which uses are drawn, and the word's part of the document."""
    shown = drawn(uses, most, among)
    points = []
    for i in shown:
        point: dict[str, Any] = {"id": uses[i].id, **snippet(uses[i])}
        if senses:
            point["sense"] = senses[uses[i].sense or ""]
        points.append(point)
    forms = [{"form": form, "uses": n} for form, n in Counter(use.form for use in uses).most_common(_FORMS)]
    return shown, {"word": word, "uses": len(uses), "forms": forms, "drawn": points}


def _labelled(
    word: str, uses: list[Use], folds: int, resamples: int, seed: int, most: int, halved: bool
) -> Word:
    counted = Counter(use.sense or "" for use in uses)
    names = sorted(counted, key=lambda name: (-counted[name], name))
    number = {name: place for place, name in enumerate(names)}
    gold = np.array([number[use.sense or ""] for use in uses], np.int64)
    fold = folds_of([plain(use.text) for use in uses], gold, folds, seed)
    forms = np.unique([use.form for use in uses], return_inverse=True)[1].astype(np.int64)
    shown, document = _shown(word, uses, most, number, fold % 2 == 0 if halved else None)
    draws = UseResampler(gold, len(names), resamples, seed, f"uses of {word}")
    ceiling = draws.figures(np.zeros_like(gold))
    document |= {
        "senses": [{"sense": name, "uses": counted[name]} for name in names],
        "parts": dict(Counter(use.part for use in uses if use.part)),
        "folds": int(fold.max()) + 1,
        "ceiling": measured(counted[names[0]] / len(uses), wilson(counted[names[0]], len(uses)), len(uses))
        | {"balanced_accuracy": 1 / len(names), "macro_f1": ceiling["macro_f1"].value},
    }
    document["headline"] = headline(document)
    by_form = None
    if forms.max(initial=0) > 0:
        by_form = draws.figures(majority(forms, gold, fold))["accuracy"]
        document["by_form"] = by_form.document()
    is_test = np.array([use.part == "test" for use in uses], bool)
    split = is_test.any() and len({plain(use.text) for use in uses if use.part == "train"}) > 1
    stream = f"test uses of {word}"
    test = UseResampler(gold[is_test], len(names), resamples, seed, stream) if split else None
    return Word(
        word,
        uses,
        shown,
        document,
        gold,
        fold,
        draws,
        ceiling["accuracy"],
        ceiling["balanced_accuracy"],
        by_form,
        test,
    )


_TESTED = 5_000_000
"""Uses drawn for one paired test at most; a test has 1,000 to 10,000 rounds."""


@dataclass(frozen=True, eq=False)
class Layered:
    """The vectors of a word's uses at some layers.

    Args:
        layers: their numbers.
        vectors: a layer each, of length one.
        dots: for each layer, the number of different vectors if context does not change them; None if it does.
    Shapes:  vectors: L of (N, D)
    """

    layers: Sequence[int]
    vectors: Sequence[Float32Array]
    dots: Sequence[int | None]


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of a run on one word.

    Args:
        entry: its part of the run's document.
        curve: figures by layer and method, and the silhouette.
        best: figures by method; for each fold the layer is chosen on the other folds.
        right: which uses are predicted right, by method.
        test: figures of the test part, predicted from the train part; empty where there is none.
    """

    entry: dict[str, Any]
    curve: list[dict[str, dict[str, Drawn]]]
    best: dict[str, dict[str, Drawn]]
    right: dict[str, BoolArray]
    test: dict[str, dict[str, Drawn]]


def score(word: Word, layered: Layered, seed: int) -> Scored:
    """Score a word: nearest neighbours, centroids and silhouettes at every layer and at the best one.

    For each fold the best layer is chosen on the other folds.
    """
    assert word.draws is not None
    judged = [
        judge(vectors, word.gold, word.fold, dots == 1)
        for vectors, dots in zip(layered.vectors, layered.dots, strict=True)
    ]
    layers, curve = [], []
    for number, vectors, dots, judgement in zip(
        layered.layers, layered.vectors, layered.dots, judged, strict=True
    ):
        figures = {method: word.draws.figures(judgement[method].predicted) for method in METHODS}
        spread = word.draws.mean(silhouettes(vectors, word.gold))
        curve.append(figures | {"silhouette": {"silhouette": spread}})
        layers.append(
            {"layer": number, "dots": dots}
            | {method: _documents(figures[method]) for method in METHODS}
            | {"silhouette": spread.document()}
        )
    best: dict[str, dict[str, Drawn]] = {}
    right: dict[str, BoolArray] = {}
    document: dict[str, Any] = {}
    for method in METHODS:
        predicted, places = chosen_layers([judgement[method] for judgement in judged], word.fold)
        right[method] = predicted == word.gold
        best[method] = word.draws.figures(predicted)
        document[method] = _documents(best[method]) | {
            "layers": {
                str(layered.layers[p]): int((places == p).sum()) for p in sorted(set(places.tolist()))
            },
            "over_ceiling": _tested(right[method], word.gold == 0, seed),
            "right": "".join("1" if correct else "0" for correct in right[method]),
            "maximum": _maximum(layered.layers, [of_layer[method]["accuracy"] for of_layer in curve]),
        }
        document[method]["headline"] = _headline(
            word.figure,
            best[method],
            word.ceiling_of(word.figure),
            document[method]["over_ceiling"],
            [(right[method], word)],
            _maximum(layered.layers, [of_layer[method][word.figure] for of_layer in curve], "value"),
            seed,
        )
        if word.by_form is not None:
            document[method]["over_forms"] = best[method]["accuracy"].over(word.by_form)
    on_test, test = _on_test(word, layered, seed)
    entry = {"word": word.word, "layers": layers, "best": document, "test": on_test}
    return Scored(entry, curve, best, right, test)


def _headline(
    figure: Figure,
    best: Mapping[str, Drawn],
    ceiling: Drawn,
    over_accuracy: dict[str, Any],
    right: Sequence[tuple[BoolArray, Word]],
    maximum: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """The figure that says most, with the same figure of always predicting the most frequent sense.

    {"figure", "value", "low", "high", "n", "ceiling", "over": its paired difference, "maximum": {"layer", "value"}}
    """
    over = over_accuracy
    if figure != "accuracy":
        sides = []
        for correct, word in right:
            worth = word.worth(figure)
            sides.append((correct * worth, (word.gold == 0) * worth))
        over = best[figure].over(ceiling) | randomised(sides, seed)
    return {
        "figure": figure,
        **best[figure].document(),
        "ceiling": ceiling.value,
        "over": over,
        "maximum": maximum,
    }


def _tested(right: Any, baseline: Any, seed: int) -> dict[str, Any]:
    """The paired difference of a method and of always predicting the most frequent sense."""
    rounds = int(min(10_000, max(1_000, _TESTED // len(right))))
    difference = compare(mean_of("accuracy", right), mean_of("accuracy", baseline), rounds, seed)
    return {key: None if math.isnan(value) else value for key, value in difference.items()}


def randomised(words: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], seed: int) -> dict[str, float]:
    """{"p_randomisation"} of a difference of two sides. The difference is a mean over words of equal weight.

    A bootstrap of few uses hardly ever changes the sign of a difference, even if it is luck; swapping answers does.
    """
    n = sum(len(first) for first, _ in words)
    first, second = (
        Measure("accuracy", np.concatenate([pair[side] / len(pair[side]) for pair in words])[:, None], sum_of)
        for side in (0, 1)
    )
    rounds = int(min(10_000, max(1_000, _TESTED // n)))
    return {"p_randomisation": randomisation(first, second, rounds, seed)}


def _on_test(
    word: Word, layered: Layered, seed: int
) -> tuple[dict[str, Any] | None, dict[str, dict[str, Drawn]]]:
    """The given split: predict the test part from the train part, at the layer that is best within the train part."""
    if word.test is None:
        return None, {}
    train, test = word.part("train"), word.part("test")
    kinds, gold = np.unique(word.gold[train], return_inverse=True)
    texts = [plain(use.text) for use in word.uses]
    train_texts = {text for text, in_train in zip(texts, train, strict=True) if in_train}
    fold = folds_of([text for text, in_train in zip(texts, train, strict=True) if in_train], gold, 10, seed)
    layers = list(zip(layered.vectors, layered.dots, strict=True))
    within = [judge(vectors[train], gold, fold, dots == 1) for vectors, dots in layers]
    document: dict[str, Any] = {
        "train": int(train.sum()),
        "senses_without_train": len(word.document["senses"]) - len(kinds),
        "repeated_texts": sum(
            text in train_texts for text, in_test in zip(texts, test, strict=True) if in_test
        ),
    }
    test_figures = {}
    number = int(word.gold.max()) + 1
    for method in METHODS:
        place = int(np.argmax([(judgement[method].predicted == gold).mean() for judgement in within]))
        figures = [
            word.test.figures(
                transfer(vectors[train], word.gold[train], vectors[test], method, number, dots == 1)
            )
            for vectors, dots in layers
        ]
        test_figures[method] = figures[place]
        document[method] = _documents(figures[place]) | {
            "layer": layered.layers[place],
            "layers": [figure["accuracy"].document() for figure in figures],
        }
    return document, test_figures


def _documents(figures: Mapping[str, Drawn]) -> dict[str, Any]:
    return {name: figure.document() for name, figure in figures.items()}


def _maximum(layers: Sequence[int], figures: Sequence[Drawn], name: str = "accuracy") -> dict[str, Any]:
    """The layer with the highest figure. It is chosen on the same uses, so with many layers it is too high."""
    place = int(np.argmax([figure.value for figure in figures]))
    best = figures[place]
    return {"layer": layers[place], name: best.document() if name == "accuracy" else best.value}


def over_words(
    words: Sequence[Word], layers: Sequence[int], scored: Sequence[Scored], seed: int
) -> dict[str, Any]:
    """Means over words, every word with the same weight; intervals draw uses within each word."""
    rows, means = [], []
    for place, number in enumerate(layers):
        curves = [result.curve[place] for result in scored]
        figures = {
            kind: {name: mean([curve[kind][name] for curve in curves]) for name in curves[0][kind]}
            for kind in (*METHODS, "silhouette")
        }
        means.append(figures)
        rows.append(
            {"layer": number}
            | {method: _documents(figures[method]) for method in METHODS}
            | {"silhouette": figures["silhouette"]["silhouette"].document()}
        )
    ceiling = mean([word.ceiling for word in words if word.ceiling is not None])
    best: dict[str, Any] = {}
    for method in METHODS:
        best_figures = {name: mean([result.best[method][name] for result in scored]) for name in FIGURES}
        best[method] = _documents(best_figures) | {
            "over_ceiling": best_figures["accuracy"].over(ceiling)
            | randomised(
                [(result.right[method], word.gold == 0) for word, result in zip(words, scored, strict=True)],
                seed,
            ),
            "maximum": _maximum(layers, [of_layer[method]["accuracy"] for of_layer in means]),
        }
        figure = figure_of(words)
        best[method]["headline"] = _headline(
            figure,
            best_figures,
            mean([word.ceiling_of(figure) for word in words]),
            best[method]["over_ceiling"],
            [(result.right[method], word) for result, word in zip(scored, words, strict=True)],
            _maximum(layers, [of_layer[method][figure] for of_layer in means], "value"),
            seed,
        )
    document: dict[str, Any] = {"layers": rows, "best": best}
    if all(result.test for result in scored):
        document["test"] = {
            method: _documents(
                {name: mean([result.test[method][name] for result in scored]) for name in FIGURES}
            )
            for method in METHODS
        }
    return document


def figure_of(words: Sequence[Word]) -> Figure:
    """The figure of a mean over words: balanced accuracy where one of them needs it."""
    return "balanced_accuracy" if any(word.figure == "balanced_accuracy" for word in words) else "accuracy"


def ceilings(words: Sequence[Word]) -> dict[str, Any]:
    """Means over words of the best figures that a static representation can reach: one vector a word, or one a form."""
    document: dict[str, Any] = {"ceiling": mean([word.ceiling_of("accuracy") for word in words]).document()}
    document["ceiling"]["balanced_accuracy"] = mean(
        [word.ceiling_of("balanced_accuracy") for word in words]
    ).value
    document["headline"] = figure_of(words)
    if any(word.by_form is not None for word in words):
        figures = [word.by_form or word.ceiling for word in words]
        document["by_form"] = mean([figure for figure in figures if figure is not None]).document()
    return document


def differences(
    names: Sequence[str], scored: Sequence[Sequence[Scored]], words: Sequence[Word], seed: int
) -> list[dict[str, Any]]:
    """The first run minus each other run, over words (word "") and by word.

    The figure is the headline figure of nearest neighbours at the best layer.
    """
    rows = []
    both_words = figure_of(words)

    def difference_of(
        figure: Figure, ours: Sequence[Scored], theirs: Sequence[Scored], of_words: Sequence[Word]
    ) -> Any:
        first, second = (mean([result.best["nearest"][figure] for result in side]) for side in (ours, theirs))
        right = [
            tuple(result.right["nearest"] * word.worth(figure) for result in pair)
            for *pair, word in zip(ours, theirs, of_words, strict=True)
        ]
        sides = [(pair[0], pair[1]) for pair in right]
        return {"figure": figure} | first.over(second) | randomised(sides, seed)

    for name, theirs in list(zip(names, scored, strict=True))[1:]:
        between = {"first": names[0], "second": name}
        rows.append(between | {"word": ""} | difference_of(both_words, scored[0], theirs, words))
        for word, a, b in zip(words, scored[0], theirs, strict=True):
            rows.append(between | {"word": word.word} | difference_of(word.figure, [a], [b], [word]))
    return rows
