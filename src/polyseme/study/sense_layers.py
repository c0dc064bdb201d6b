"""Labelled uses of a word, scored at every layer of a run: cross-validation, a given split, means over words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.study.sense_scores import (
    METHODS,
    chosen_layers,
    folds_of,
    judge,
    silhouettes,
    transfer,
)
from polyseme.study.sense_words import Figure, Word, plain
from polyseme.study.stats import FIGURES, Drawn, compare, mean, randomisation, sum_of
from polyseme.tasks.metrics.measure import Measure, mean_of

__all__ = ["Layered", "Scored", "ceilings", "differences", "figure_of", "over_words", "randomised", "score"]

_TESTED = 5_000_000
"""Uses drawn for one paired test at most; a test has 1,000 to 10,000 rounds."""


@dataclass(frozen=True, eq=False)
class Layered:
    """The vectors of a word's uses at some layers.

    Args:
        layers: their numbers.
        vectors: a layer each, of length one.
        dots: how many different vectors a layer has where context does not move them; None where it does.
    Shapes:  vectors: L of (N, D)
    """

    layers: Sequence[int]
    vectors: Sequence[npt.NDArray[np.float32]]
    dots: Sequence[int | None]


@dataclass(frozen=True, eq=False)
class Scored:
    """What was found of a word.

    Args:
        entry: its part of the run's document.
        curve: figures by layer and method, and the silhouette.
        best: figures by method with the layer chosen outside each fold.
        right: which uses these get right, by method.
        test: the same on the test part by the train part; empty where there is none.
    """

    entry: dict[str, Any]
    curve: list[dict[str, dict[str, Drawn]]]
    best: dict[str, dict[str, Drawn]]
    right: dict[str, npt.NDArray[np.bool_]]
    test: dict[str, dict[str, Drawn]]


def score(word: Word, found: Layered, seed: int) -> Scored:
    """Nearest neighbours, centroids and silhouettes at every layer, and at the best one, chosen outside each fold."""
    assert word.draws is not None
    said = [
        judge(vectors, word.gold, word.fold, dots == 1)
        for vectors, dots in zip(found.vectors, found.dots, strict=True)
    ]
    layers, curve = [], []
    for number, vectors, dots, one in zip(found.layers, found.vectors, found.dots, said, strict=True):
        figures = {method: word.draws.figures(one[method].predicted) for method in METHODS}
        spread = word.draws.mean(silhouettes(vectors, word.gold))
        curve.append(figures | {"silhouette": {"silhouette": spread}})
        layers.append(
            {"layer": number, "dots": dots}
            | {method: _documents(figures[method]) for method in METHODS}
            | {"silhouette": spread.document()}
        )
    best: dict[str, dict[str, Drawn]] = {}
    right: dict[str, npt.NDArray[np.bool_]] = {}
    document: dict[str, Any] = {}
    for method in METHODS:
        predicted, places = chosen_layers([one[method] for one in said], word.fold)
        right[method] = predicted == word.gold
        best[method] = word.draws.figures(predicted)
        document[method] = _documents(best[method]) | {
            "layers": {str(found.layers[p]): int((places == p).sum()) for p in sorted(set(places.tolist()))},
            "over_ceiling": _tested(right[method], word.gold == 0, seed),
            "right": "".join("01"[int(one)] for one in right[method]),
            "maximum": _maximum(found.layers, [one[method]["accuracy"] for one in curve]),
        }
        document[method]["headline"] = _headline(
            word.figure,
            best[method],
            word.ceiling_of(word.figure),
            document[method]["over_ceiling"],
            [(right[method], word)],
            _maximum(found.layers, [one[method][word.figure] for one in curve], "value"),
            seed,
        )
        if word.by_form is not None:
            document[method]["over_forms"] = best[method]["accuracy"].over(word.by_form)
    on_test, test = _on_test(word, found, seed)
    entry = {"word": word.word, "layers": layers, "best": document, "test": on_test}
    return Scored(entry, curve, best, right, test)


def _headline(
    figure: Figure,
    best: Mapping[str, Drawn],
    ceiling: Drawn,
    over_accuracy: dict[str, Any],
    right: Sequence[tuple[npt.NDArray[np.bool_], Word]],
    maximum: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """The figure that says most, beside what always saying the most frequent sense gives of it.

    {"figure", "value", "low", "high", "n", "ceiling", "over": its paired difference, "maximum": {"layer", "value"}}
    """
    over = over_accuracy
    if figure != "accuracy":
        sides = [(one * (worth := word.worth(figure)), (word.gold == 0) * worth) for one, word in right]
        over = best[figure].over(ceiling) | randomised(sides, seed)
    return {
        "figure": figure,
        **best[figure].document(),
        "ceiling": ceiling.value,
        "over": over,
        "maximum": maximum,
    }


def _tested(right: Any, baseline: Any, seed: int) -> dict[str, Any]:
    """The paired difference of a method and of always saying the most frequent sense."""
    rounds = int(min(10_000, max(1_000, _TESTED // len(right))))
    found = compare(mean_of("accuracy", right), mean_of("accuracy", baseline), rounds, seed)
    return {key: None if value != value else value for key, value in found.items()}


def randomised(words: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], seed: int) -> dict[str, float]:
    """{"p_randomisation"} of the difference of two sides that is the mean over words, each with the same weight.

    Draws of few uses hardly ever turn the sign of a difference, however much of it is luck; swapping answers does.
    """
    n = sum(len(first) for first, _ in words)
    first, second = (
        Measure("accuracy", np.concatenate([pair[side] / len(pair[side]) for pair in words])[:, None], sum_of)
        for side in (0, 1)
    )
    rounds = int(min(10_000, max(1_000, _TESTED // n)))
    return {"p_randomisation": randomisation(first, second, rounds, seed)}


def _on_test(
    word: Word, found: Layered, seed: int
) -> tuple[dict[str, Any] | None, dict[str, dict[str, Drawn]]]:
    """The given split: what the train part says of the test part, at the layer that is best within the train part."""
    if word.test is None:
        return None, {}
    train, test = word.part("train"), word.part("test")
    kinds, gold = np.unique(word.gold[train], return_inverse=True)
    texts = [plain(use.text) for use in word.uses]
    known = {text for text, own in zip(texts, train, strict=True) if own}
    fold = folds_of([text for text, own in zip(texts, train, strict=True) if own], gold, 10, seed)
    layers = list(zip(found.vectors, found.dots, strict=True))
    within = [judge(vectors[train], gold, fold, dots == 1) for vectors, dots in layers]
    document: dict[str, Any] = {
        "train": int(train.sum()),
        "senses_without_train": len(word.document["senses"]) - len(kinds),
        "repeated_texts": sum(text in known for text, own in zip(texts, test, strict=True) if own),
    }
    test_figures = {}
    number = int(word.gold.max()) + 1
    for method in METHODS:
        place = int(np.argmax([(one[method].predicted == gold).mean() for one in within]))
        figures = [
            word.test.figures(
                transfer(vectors[train], word.gold[train], vectors[test], method, number, dots == 1)
            )
            for vectors, dots in layers
        ]
        test_figures[method] = figures[place]
        document[method] = _documents(figures[place]) | {
            "layer": found.layers[place],
            "layers": [one["accuracy"].document() for one in figures],
        }
    return document, test_figures


def _documents(figures: Mapping[str, Drawn]) -> dict[str, Any]:
    return {name: figure.document() for name, figure in figures.items()}


def _maximum(layers: Sequence[int], figures: Sequence[Drawn], name: str = "accuracy") -> dict[str, Any]:
    """The layer with the highest figure, chosen on the same uses: it flatters where there are many layers."""
    place = int(np.argmax([one.value for one in figures]))
    best = figures[place]
    return {"layer": layers[place], name: best.document() if name == "accuracy" else best.value}


def over_words(
    words: Sequence[Word], layers: Sequence[int], scored: Sequence[Scored], seed: int
) -> dict[str, Any]:
    """Means over words, every word with the same weight; intervals draw uses within each word."""
    rows, means = [], []
    for place, number in enumerate(layers):
        curves = [one.curve[place] for one in scored]
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
        own = {name: mean([one.best[method][name] for one in scored]) for name in FIGURES}
        best[method] = _documents(own) | {
            "over_ceiling": own["accuracy"].over(ceiling)
            | randomised(
                [(one.right[method], word.gold == 0) for word, one in zip(words, scored, strict=True)], seed
            ),
            "maximum": _maximum(layers, [one[method]["accuracy"] for one in means]),
        }
        figure = figure_of(words)
        best[method]["headline"] = _headline(
            figure,
            own,
            mean([word.ceiling_of(figure) for word in words]),
            best[method]["over_ceiling"],
            [(one.right[method], word) for one, word in zip(scored, words, strict=True)],
            _maximum(layers, [one[method][figure] for one in means], "value"),
            seed,
        )
    found: dict[str, Any] = {"layers": rows, "best": best}
    if all(one.test for one in scored):
        found["test"] = {
            method: _documents({name: mean([one.test[method][name] for one in scored]) for name in FIGURES})
            for method in METHODS
        }
    return found


def figure_of(words: Sequence[Word]) -> Figure:
    """The figure of a mean over words: balanced accuracy where one of them needs it."""
    return "balanced_accuracy" if any(word.figure == "balanced_accuracy" for word in words) else "accuracy"


def ceilings(words: Sequence[Word]) -> dict[str, Any]:
    """Means over words of what a static representation can do: one vector a word, or one a form of it."""
    found: dict[str, Any] = {"ceiling": mean([word.ceiling_of("accuracy") for word in words]).document()}
    found["ceiling"]["balanced_accuracy"] = mean(
        [word.ceiling_of("balanced_accuracy") for word in words]
    ).value
    found["headline"] = figure_of(words)
    if any(word.by_form is not None for word in words):
        figures = [word.by_form or word.ceiling for word in words]
        found["by_form"] = mean([one for one in figures if one is not None]).document()
    return found


def differences(
    names: Sequence[str], scored: Sequence[Sequence[Scored]], words: Sequence[Word], seed: int
) -> list[dict[str, Any]]:
    """First run - each other one: the headline figure of nearest neighbours at the best layer, over words (word "") and
    by word."""
    found = []
    both_words = figure_of(words)

    def less(figure: Figure, ours: Sequence[Scored], others: Sequence[Scored], some: Sequence[Word]) -> Any:
        first, second = (mean([one.best["nearest"][figure] for one in side]) for side in (ours, others))
        right = [
            tuple(one.right["nearest"] * word.worth(figure) for one in pair)
            for *pair, word in zip(ours, others, some, strict=True)
        ]
        sides = [(pair[0], pair[1]) for pair in right]
        return {"figure": figure} | first.over(second) | randomised(sides, seed)

    for name, theirs in list(zip(names, scored, strict=True))[1:]:
        between = {"first": names[0], "second": name}
        found.append(between | {"word": ""} | less(both_words, scored[0], theirs, words))
        for word, a, b in zip(words, scored[0], theirs, strict=True):
            found.append(between | {"word": word.word} | less(word.figure, [a], [b], [word]))
    return found
