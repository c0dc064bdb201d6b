"""Does a representation tell the senses of a word apart? Labelled uses are scored, unlabelled ones clustered.

uses ─► vectors at every layer, one forward pass ─► labelled    nearest neighbour, centroid, silhouette, by layer
                                                │   unlabelled  number of groups, typical contexts
                                                └─► map         every use a point on a plane

A static representation has one vector for all uses of a word: it cannot do better than always to say the most frequent
sense. That is its ceiling, and what the others are measured against. Whether a layer is static is seen in its vectors.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import ConfigError, CorpusError, InputError
from polyseme.infer.encode import Layers
from polyseme.infer.load import Loaded, load
from polyseme.study.drawn import Drawn, Uses, mean
from polyseme.study.intervals import IntArray, measured, wilson
from polyseme.study.sense_clusters import LEAST, distinctive, suggest
from polyseme.study.sense_map import MapMethod, check_map, drawn, snippet, use_map
from polyseme.study.sense_scores import (
    METHODS,
    Predictions,
    chosen_layers,
    folds_of,
    judge,
    majority,
    silhouettes,
    transfer,
)
from polyseme.study.significance import compare
from polyseme.study.uses import UseVectors, dots, unit, use_vectors
from polyseme.tasks.metrics.measure import mean_of
from polyseme.text.labelled.senses import Use

__all__ = ["Senses", "senses"]

RESAMPLES = 1000
CLUSTERED = 1000
"""Unlabelled uses of a word that are clustered at most."""
POINTS = 1500
"""Points of a map at most, and fewer where there are many maps: all of them together have at most `ALL_POINTS`."""
ALL_POINTS = 20_000
_FEWEST_POINTS = 150
_TYPICAL = 5
_FORMS = 8
_TESTED = 5_000_000
"""Uses drawn for one paired test at most; a test has 1,000 to 10,000 rounds."""

Run = Loaded | Path | str


@dataclass(frozen=True, eq=False)
class Senses:
    """What `senses` found.

    Args:
        labelled: whether the uses have senses.
        settings: layers, folds, seed, resamples.
        words: one each: word, uses, forms, drawn (the uses of the map: before, form, after, sense); labelled also
            senses, parts, folds, ceiling (always the most frequent sense, Wilson interval) and, where the word has
            several forms, by_form (the most frequent sense of each form, by cross-validation).
        runs: one each: run, name, model, reach, static, seconds, words and, labelled, mean.
        differences: of the first run and each other one, by word and over words (word ""), on the same uses.
        mean: over words: ceiling, and by_form where there is one.
        notes: what a person should know.
    """

    labelled: bool
    settings: dict[str, Any]
    words: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    differences: list[dict[str, Any]] = field(default_factory=list)
    mean: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able; maps can be drawn from it."""
        return {
            "labelled": self.labelled,
            "settings": self.settings,
            "words": self.words,
            "mean": self.mean,
            "runs": self.runs,
            "differences": self.differences,
            "notes": self.notes,
        }


def senses(
    runs: Run | Sequence[Run],
    uses: Sequence[Use],
    *,
    layers: Layers | None = None,
    folds: int = 10,
    map: MapMethod = "pca",
    map_layer: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Senses:
    """Measure how well runs tell the senses of words apart, or cluster uses without labels.

    Args:
        runs: a run or several, in memory or as paths; all are measured on the same uses.
        uses: what `read_uses` gives: all with a sense, or none.
        layers: a number, several, or "all"; None = all of labelled uses, the last one of unlabelled ones.
        folds: of the cross-validation; fewer where there are fewer texts.
        map: "pca", or "umap" where the package umap-learn is installed.
        map_layer: the layer that is drawn; None = of labelled uses the one with the highest nearest-neighbour
            accuracy, else the last one that was asked for.
        resamples: draws of the intervals.
        seed: of folds, draws and clusters.
        reporter: told how far it is.
    Raises:  InputError: no uses, or some with and some without a sense; CorpusError: no word has two senses, or too few
             uses; ConfigError: no such layer, map or number of folds.  RunError: a path that is no run.

    Example:
        from polyseme.text.labelled.senses import read_uses
        found = senses(["runs/bert", "runs/word2vec"], read_uses("bank.tsv"))
        found.runs[0]["mean"]["best"]["nearest"]["accuracy"]     # {"value", "low", "high", "n"}
    """
    reporter = reporter or NullReporter()
    several: list[Run] = [runs] if isinstance(runs, Loaded | Path | str) else list(runs)
    check_map(map)
    if folds < 2:
        raise ConfigError("too few folds", got=folds, expected="at least 2")
    labelled = _is_labelled(several, uses)
    notes: list[str] = []
    most = min(POINTS, max(_FEWEST_POINTS, ALL_POINTS // (len(several) * len({use.word for use in uses}))))
    words = _words(uses, labelled, folds, resamples, seed, most, notes)
    asked: Layers = layers if layers is not None else "all" if labelled else -1
    study = _Study(labelled, asked, map, map_layer, seed, reporter)
    found = [study.run(run, words) for run in several]
    names = _names([run["run"] for run, _ in found])
    for name, (run, _) in zip(names, found, strict=True):
        run["name"] = name
        notes += [f"{name}: {note}" for note in run.pop("notes")]
    settings = {"folds": folds, "seed": seed, "resamples": resamples, "map": map, "points": most}
    return Senses(
        labelled,
        settings,
        [word.document for word in words],
        [run for run, _ in found],
        _differences(names, [figures for _, figures in found], words) if labelled else [],
        _ceilings(words) if labelled else {},
        notes,
    )


def _is_labelled(runs: Sequence[Run], uses: Sequence[Use]) -> bool:
    if not runs:
        raise InputError("no run to look into", fix="name one")
    if not uses:
        raise InputError("no uses to look at", expected="what read_uses gives")
    given = sum(use.sense is not None for use in uses)
    if 0 < given < len(uses):
        raise InputError(
            "some uses have a sense and others none",
            got=f"{given:,} of {len(uses):,} with one",
            fix="leave those without one out",
        )
    return given > 0


@dataclass(frozen=True, eq=False)
class _Word:
    """A word, its uses and everything about them that does not depend on a run."""

    word: str
    uses: list[Use]
    forms: IntArray
    shown: list[int]
    document: dict[str, Any]
    # of labelled uses
    gold: IntArray
    fold: IntArray
    draws: Uses | None = None
    ceiling: Drawn | None = None
    by_form: Drawn | None = None
    test: Uses | None = None

    @property
    def is_test(self) -> Any:
        """Which uses are of the test part.  Shapes: -> (N,)"""
        return np.array([use.part == "test" for use in self.uses])


def _words(
    uses: Sequence[Use], labelled: bool, folds: int, resamples: int, seed: int, most: int, notes: list[str]
) -> list[_Word]:
    grouped: dict[str, list[Use]] = {}
    for use in uses:
        grouped.setdefault(use.word, []).append(use)
    found = []
    for word, some in grouped.items():
        kinds = {use.sense for use in some}
        if labelled and (len(kinds) < 2 or len(some) < 4):
            notes.append(
                f"{word}: {len(some)} uses of {len(kinds)} sense: left out, as there is nothing to tell apart"
            )
        elif not labelled and len(some) < LEAST:
            notes.append(f"{word}: {len(some)} uses are too few to cluster: left out")
        elif labelled:
            found.append(_labelled(word, some, folds, resamples, seed, most))
        else:
            if len(some) > CLUSTERED:
                notes.append(f"{word}: {CLUSTERED:,} of {len(some):,} uses are clustered, drawn by hash")
                some = [some[i] for i in drawn(some, CLUSTERED)]
            none = np.zeros(len(some), np.int64)
            found.append(_Word(word, some, _forms(some), *_shown(word, some, most, {}), gold=none, fold=none))
    if not found:
        raise CorpusError(
            "no word has uses enough",
            got="; ".join(notes)[:400],
            expected="two senses and four uses of a word" if labelled else f"{LEAST} uses of a word",
        )
    return found


def _shown(
    word: str, uses: list[Use], most: int, senses: Mapping[str, int]
) -> tuple[list[int], dict[str, Any]]:
    """Which uses are drawn, and the word's part of the document."""
    shown = drawn(uses, most)
    points = []
    for i in shown:
        point: dict[str, Any] = {"id": uses[i].id, **snippet(uses[i])}
        if senses:
            point["sense"] = senses[uses[i].sense or ""]
        points.append(point)
    forms = [{"form": form, "uses": n} for form, n in Counter(use.form for use in uses).most_common(_FORMS)]
    return shown, {"word": word, "uses": len(uses), "forms": forms, "drawn": points}


def _forms(uses: Sequence[Use]) -> IntArray:
    return np.unique([use.form for use in uses], return_inverse=True)[1].astype(np.int64)


def _labelled(word: str, uses: list[Use], folds: int, resamples: int, seed: int, most: int) -> _Word:
    counted = Counter(use.sense or "" for use in uses)
    names = sorted(counted, key=lambda name: (-counted[name], name))
    number = {name: place for place, name in enumerate(names)}
    gold = np.array([number[use.sense or ""] for use in uses], np.int64)
    fold = folds_of([" ".join(use.text.casefold().split()) for use in uses], gold, folds, seed)
    forms = _forms(uses)
    shown, document = _shown(word, uses, most, number)
    draws = Uses(gold, len(names), resamples, seed, f"uses of {word}")
    ceiling = draws.figures(np.zeros_like(gold))
    document |= {
        "senses": [{"sense": name, "uses": counted[name]} for name in names],
        "parts": dict(Counter(use.part for use in uses if use.part)),
        "folds": int(fold.max()) + 1,
        "ceiling": measured(counted[names[0]] / len(uses), wilson(counted[names[0]], len(uses)), len(uses))
        | {"balanced_accuracy": 1 / len(names), "macro_f1": ceiling["macro_f1"].value},
    }
    by_form = None
    if forms.max(initial=0) > 0:
        by_form = draws.figures(majority(forms, gold, fold))["accuracy"]
        document["by_form"] = by_form.document()
    made = _Word(word, uses, forms, shown, document, gold, fold, draws, ceiling["accuracy"], by_form)
    test = made.is_test
    train = np.array([use.part == "train" for use in uses])
    if not (test.any() and len(set(gold[train])) > 1):
        return made
    return _Word(
        *(word, uses, forms, shown, document, gold, fold, draws, ceiling["accuracy"], by_form),
        test=Uses(gold[test], len(names), resamples, seed, f"test uses of {word}"),
    )


@dataclass(frozen=True, eq=False)
class _Study:
    """How every run is looked into."""

    labelled: bool
    layers: Layers
    map: MapMethod
    map_layer: int | None
    seed: int
    reporter: Reporter

    def run(self, run: Run, words: Sequence[_Word]) -> tuple[dict[str, Any], list[dict[str, Drawn]]]:
        """A run's part of the document, and the accuracies at the best layer by word and method."""
        started = time.perf_counter()
        loaded = run if isinstance(run, Loaded) else load(run)
        entries, curves, bests = [], [], []
        without = cut = 0
        for word in words:
            read = use_vectors(loaded, word.uses, self.layers, self.reporter)
            without, cut = without + read.without, cut + read.cut
            vectors = [unit(layer) for layer in read.vectors]
            different = [dots(layer, word.forms) for layer in read.vectors]
            if self.labelled:
                entry, curve, best = self._score(word, read, vectors, different)
                curves.append(curve)
                bests.append(best)
            else:
                entry = self._cluster(word, read, vectors, different)
            entries.append(entry)
        notes = []
        if without:
            notes.append(f"{without:,} uses have no token of their own: their vectors are zeros")
        if cut:
            notes.append(f"{cut:,} texts are longer than the model reads: cut to a window around the use")
        document: dict[str, Any] = {
            "run": str(loaded.run.path),
            "name": "",
            "model": loaded.recipe.architecture,
            "reach": loaded.encoder.reach,
            "layers": list(read.layers),
            "static": all(layer["dots"] is not None for entry in entries for layer in entry["layers"]),
            "seconds": round(time.perf_counter() - started, 3),
            "words": entries,
            "notes": notes,
        }
        if self.labelled:
            document["mean"] = _mean(words, read.layers, curves, bests)
        return document, bests

    def _score(
        self, word: _Word, read: UseVectors, vectors: Sequence[Any], different: Sequence[int | None]
    ) -> tuple[dict[str, Any], list[dict[str, dict[str, Drawn]]], dict[str, Drawn]]:
        assert word.draws is not None
        said: list[dict[str, Predictions]] = []
        layers, curve = [], []
        for place, number in enumerate(read.layers):
            self.reporter.stage(f"comparing uses of {word.word}", place, len(read.layers))
            said.append(judge(vectors[place], word.gold, word.fold, different[place] == 1))
            figures = {method: word.draws.figures(said[-1][method].predicted) for method in METHODS}
            spread = word.draws.mean(silhouettes(vectors[place], word.gold))
            curve.append(figures | {"silhouette": {"silhouette": spread}})
            layers.append(
                {"layer": number, "dots": different[place]}
                | {method: _documents(figures[method]) for method in METHODS}
                | {"silhouette": spread.document()}
            )
        best, document = {}, {}
        for method in METHODS:
            predicted, places = chosen_layers([one[method] for one in said], word.fold)
            figures = {method: word.draws.figures(predicted)}
            best[method] = figures[method]["accuracy"]
            document[method] = _documents(figures[method]) | {
                "layers": {
                    str(read.layers[p]): int((places == p).sum()) for p in sorted(set(places.tolist()))
                },
                "over_ceiling": self._tested(predicted == word.gold, word.gold == 0),
                "maximum": _maximum(read.layers, [one[method]["accuracy"] for one in curve]),
            }
            if word.by_form is not None:
                document[method]["over_forms"] = best[method].over(word.by_form)
        place = self._map_place(read.layers, document["nearest"]["maximum"]["layer"])
        entry = {
            "word": word.word,
            "layers": layers,
            "best": document,
            "test": self._test(word, read, vectors, different),
            "map": {"layer": read.layers[place]} | self._map(word, vectors[place]),
        }
        return entry, curve, best

    def _tested(self, right: Any, baseline: Any) -> dict[str, Any]:
        """The paired difference of a method and of always saying the most frequent sense."""
        rounds = int(min(10_000, max(1_000, _TESTED // len(right))))
        found = compare(mean_of("accuracy", right), mean_of("accuracy", baseline), rounds, self.seed)
        return {key: None if value != value else value for key, value in found.items()}

    def _test(
        self, word: _Word, read: UseVectors, vectors: Sequence[Any], different: Sequence[int | None]
    ) -> dict[str, Any] | None:
        """The given split: neighbours and centroids of the train part, and the layer chosen by its cross-validation."""
        if word.test is None:
            return None
        test = word.is_test
        train = np.flatnonzero([use.part == "train" for use in word.uses])
        _, gold = np.unique(word.gold[train], return_inverse=True)
        texts = [" ".join(word.uses[i].text.casefold().split()) for i in train]
        fold = folds_of(texts, gold, int(word.fold.max()) + 1, self.seed)
        within = [
            judge(layer[train], gold, fold, kinds == 1)
            for layer, kinds in zip(vectors, different, strict=True)
        ]
        known = set(texts)
        repeated = sum(
            " ".join(use.text.casefold().split()) in known for use in word.uses if use.part == "test"
        )
        number = len(word.document["senses"])
        found: dict[str, Any] = {"train": len(train), "repeated_texts": repeated}
        for method in METHODS:
            accuracy = [float((one[method].predicted == gold).mean()) for one in within]
            place = int(np.argmax(accuracy))
            said = [
                transfer(layer[train], word.gold[train], layer[test], method, number, kinds == 1)
                for layer, kinds in zip(vectors, different, strict=True)
            ]
            found[method] = _documents(word.test.figures(said[place])) | {
                "layer": read.layers[place],
                "layers": [word.test.figures(one)["accuracy"].document() for one in said],
            }
        return found

    def _cluster(
        self, word: _Word, read: UseVectors, vectors: Sequence[Any], different: Sequence[int | None]
    ) -> dict[str, Any]:
        layers: list[dict[str, Any]] = []
        place = self._map_place(read.layers, read.layers[-1])
        groups: list[dict[str, Any]] = []
        assigned = np.zeros(len(word.uses), np.int64)
        for at, number in enumerate(read.layers):
            self.reporter.stage(f"clustering uses of {word.word}", at, len(read.layers))
            found = suggest(vectors[at], self.seed)
            if different[at] is not None:  # dots of forms are no senses
                found = suggest(np.zeros_like(vectors[at]), self.seed)
            layers.append(
                {
                    "layer": number,
                    "dots": different[at],
                    "groups": found.groups,
                    "threshold": found.threshold,
                    "table": found.table,
                }
            )
            if at == place:
                assigned, groups = found.assigned, self._groups(word, found)
        return {
            "word": word.word,
            "layers": layers,
            "layer": read.layers[place],
            "groups": groups,
            "map": {"layer": read.layers[place]}
            | self._map(word, vectors[place])
            | {"group": assigned[word.shown].tolist()},
        }

    def _groups(self, word: _Word, found: Any) -> list[dict[str, Any]]:
        """Each group: how many uses, those nearest to its centre, and the words that set it apart."""
        texts = [use.text for use in word.uses]
        places = [(use.start, use.end) for use in word.uses]
        words = distinctive(texts, places, found.assigned, found.groups)
        groups = []
        for group in range(found.groups):
            members = np.flatnonzero(found.assigned == group)
            apart = ((found.points[members] - found.centres[group]) ** 2).sum(1)
            near: dict[str, dict[str, str]] = {}
            for i in members[np.argsort(apart, kind="stable")]:
                near.setdefault(texts[i], {"id": word.uses[i].id, **snippet(word.uses[i])})
                if len(near) == _TYPICAL:
                    break
            groups.append({"uses": len(members), "words": words[group], "typical": list(near.values())})
        return groups

    def _map_place(self, layers: Sequence[int], best: int) -> int:
        wanted = best if self.map_layer is None else self.map_layer
        if wanted not in layers:
            raise ConfigError(
                "a map of a layer that is not looked at", got=wanted, expected=", ".join(map_names(layers))
            )
        return list(layers).index(wanted)

    def _map(self, word: _Word, vectors: Any) -> dict[str, Any]:
        self.reporter.stage(f"drawing uses of {word.word}", 0, None)
        found = use_map(vectors, self.map, self.seed)
        for axis in ("x", "y"):
            found[axis] = [found[axis][i] for i in word.shown]
        return found


def map_names(layers: Sequence[int]) -> list[str]:
    """Numbers of layers as words."""
    return [str(layer) for layer in layers]


def _documents(figures: Mapping[str, Drawn]) -> dict[str, Any]:
    return {name: figure.document() for name, figure in figures.items()}


def _maximum(layers: Sequence[int], accuracies: Sequence[Drawn]) -> dict[str, Any]:
    """The layer with the highest accuracy, chosen on the same uses: it flatters where there are many layers."""
    place = int(np.argmax([one.value for one in accuracies]))
    return {"layer": layers[place], "accuracy": accuracies[place].document()}


def _mean(
    words: Sequence[_Word],
    layers: Sequence[int],
    curves: Sequence[Sequence[Mapping[str, Mapping[str, Drawn]]]],
    bests: Sequence[Mapping[str, Drawn]],
) -> dict[str, Any]:
    """Means over words, every word with the same weight; intervals draw uses within each word."""
    rows, means = [], []
    for place, number in enumerate(layers):
        figures = {
            kind: {
                name: mean([curve[place][kind][name] for curve in curves]) for name in curves[0][place][kind]
            }
            for kind in (*METHODS, "silhouette")
        }
        means.append(figures)
        rows.append(
            {"layer": number}
            | {method: _documents(figures[method]) for method in METHODS}
            | {"silhouette": figures["silhouette"]["silhouette"].document()}
        )
    ceiling = mean([word.ceiling for word in words if word.ceiling is not None])
    best = {}
    for method in METHODS:
        accuracy = mean([one[method] for one in bests])
        best[method] = {
            "accuracy": accuracy.document(),
            "over_ceiling": accuracy.over(ceiling),
            "maximum": _maximum(layers, [one[method]["accuracy"] for one in means]),
        }
    return {"layers": rows, "best": best}


def _ceilings(words: Sequence[_Word]) -> dict[str, Any]:
    found = {"ceiling": mean([word.ceiling for word in words if word.ceiling is not None]).document()}
    if any(word.by_form is not None for word in words):
        figures = [word.by_form or word.ceiling for word in words]
        found["by_form"] = mean([one for one in figures if one is not None]).document()
    return found


def _differences(
    names: Sequence[str], figures: Sequence[Sequence[Mapping[str, Drawn]]], words: Sequence[_Word]
) -> list[dict[str, Any]]:
    """First run - each other one: nearest-neighbour accuracy at the best layer, over words and by word."""
    found = []
    for name, theirs in list(zip(names, figures, strict=True))[1:]:
        pairs = [(a["nearest"], b["nearest"]) for a, b in zip(figures[0], theirs, strict=True)]
        between = {"first": names[0], "second": name}
        whole = mean([a for a, _ in pairs]).over(mean([b for _, b in pairs]))
        found.append(between | {"word": ""} | whole)
        for word, (a, b) in zip(words, pairs, strict=True):
            found.append(between | {"word": word.word} | a.over(b))
    return found


def _names(paths: Sequence[str]) -> list[str]:
    """Short names of runs: their folders, or their paths where two folders are called the same."""
    short = [Path(path).name for path in paths]
    names = short if len(set(short)) == len(short) else list(paths)
    return names if len(set(names)) == len(names) else [f"{n} ({i})" for i, n in enumerate(names, 1)]
