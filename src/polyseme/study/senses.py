"""Does a representation tell the senses of a word apart? Labelled uses are scored, unlabelled ones clustered.

uses ─► vectors at every layer, one forward pass ─► labelled    nearest neighbour, centroid, silhouette, by layer
                                                │   unlabelled  number of groups, typical contexts
                                                └─► map         every use a point on a plane

A static representation has one vector for all uses of a word: the best it can do is always to predict the most frequent
sense. This is its ceiling, and the baseline of all other runs. The vectors themselves show whether a layer is static.

`senses` does all of it. `SenseStudy` has the same in steps, for whoever shows the maps before the groups are found, or
must not wait while many uses are read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from polyseme.core.paths import PathLike, path_of
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.result import Result
from polyseme.errors import ConfigError, InputError
from polyseme.infer.hidden import Layers
from polyseme.infer.inputs import at_least_one, texts_of
from polyseme.study import Run, names_of_runs, opened, reading, several
from polyseme.study.sense_clusters import (
    MapMethod,
    Suggestion,
    check_map,
    distinctive,
    snippet,
    suggest,
    turned_maps,
    use_map,
)
from polyseme.study.sense_words import (
    Layered,
    Scored,
    Word,
    balanced,
    ceilings,
    differences,
    over_words,
    read_words,
    score,
)
from polyseme.study.uses import Scope, UseVectors, distinct_vectors, through, unit, use_vectors_in_steps
from polyseme.study.word_uses import LIMIT
from polyseme.study.word_uses import uses as own_uses
from polyseme.text.clean import replace_surrogates
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.senses import Use, read_uses

__all__ = ["SenseStudy", "Senses", "UsesRead", "senses"]

RESAMPLES = 1000
POINTS = 1500
"""Points of a map at most, and fewer where there are many maps: all of them together have at most `ALL_POINTS`."""
ALL_POINTS = 20_000
_FEWEST_POINTS = 150
_TYPICAL = 5
_LONGER = 4
"""Longer words that are named, of those that hold uses of a static run."""
_OF = {
    "text": "a use's vector is that of its whole text, the mean of all its tokens",
    "both": "a use's vector is its word's own and its whole text's side by side, each of length one",
}


@dataclass(frozen=True, eq=False, repr=False)
class Senses(Result):
    """What `senses` found.

    Args:
        labelled: whether the uses have senses.
        settings: folds, seed, resamples, map, points, of.
        words: one each: word, uses, forms, drawn (the uses of the map: before, form, after, sense); labelled also
            senses, parts, folds, ceiling (always the most frequent sense, Wilson interval) and, where the word has
            several forms, by_form (the most frequent sense of each form, by cross-validation). `headline` names the
            figure that says most: "balanced_accuracy" where one sense has more than 80 % of the uses, else "accuracy";
            if there is such a word, `gold` has the sense of each use.
        runs: one each: run, name, model, reach, static, seconds, words and, labelled, mean. The best layer of each word
            and of the mean has "headline": {"figure", "value", "low", "high", "n", "ceiling", "over", "maximum"}. A
            static run's words may have "within": {longer word that holds uses: how many}. With `maps` they have
            "maps", of every layer {"layer", "x", "y", "dots": how many different vectors where they are static}.
        differences: of the first run and each other one, by word and over words (word ""), on the same uses.
        mean: over words: ceiling, and by_form where there is one.
        notes: what a person should know.
        file, problems: where the uses come from and what was wrong there, of a file.
    """

    kind = "senses"

    labelled: bool
    settings: dict[str, Any]
    words: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    differences: list[dict[str, Any]] = field(default_factory=list)
    mean: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    file: str = ""
    problems: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able; maps can be drawn from it."""
        return {
            "file": self.file,
            "labelled": self.labelled,
            "settings": self.settings,
            "words": self.words,
            "mean": self.mean,
            "runs": self.runs,
            "differences": self.differences,
            "problems": self.problems,
            "notes": self.notes,
        }

    def headline(self) -> str:
        """The words, how many uses, and the runs."""
        words = ", ".join(f"{word['word']} ({word['uses']:,} uses)" for word in self.words)
        return f"{words}; {', '.join(run['name'] for run in self.runs)}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a run and word, and the mean over words (word "").

        Of labelled uses nearest neighbours at the best layer, and the ceiling of always saying the most frequent sense;
        of unlabelled ones how many groups.
        """
        rows = []
        for run in self.runs:
            mean = [run["mean"] | {"word": ""}] if self.labelled and len(run["words"]) > 1 else []
            for entry in [*run["words"], *mean]:
                row = {"run": run["name"], "word": entry["word"]}
                if self.labelled:
                    best = entry["best"]["nearest"]["headline"]
                    kept = ("figure", "value", "low", "high", "n", "ceiling")
                    rows.append(
                        row | {name: best[name] for name in kept} | {"layer": best["maximum"]["layer"]}
                    )
                else:
                    rows.append(row | {"groups": len(entry["groups"]), "layer": entry["layer"]})
        return rows


def senses(
    runs: Run | Sequence[Run],
    uses: PathLike | Iterable[Use] | None = None,
    *,
    word: str | Sequence[str] = (),
    layer: Layers | None = None,
    limit: int | None = None,
    folds: int = 10,
    map: MapMethod = "pca",
    of: Scope = "word",
    maps: bool = False,
    balance: bool = False,
    columns: Mapping[str, str] | None = None,
    separator: str = "auto",
    encoding: str = "auto",
    resamples: int = RESAMPLES,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Senses:
    """Measure how well runs tell the senses of words apart, or cluster uses without labels.

    Args:
        runs: a run or several; all are measured on the same uses.
        uses: a file or folder of them (see text/labelled/senses.py), or what `read_uses` gives: all with a sense, or
            none. None = those of `word` in the text that the first run was trained on (study/word_uses.py).
        word: of the file only the uses of this word, or of these.
        layer: a number, several, or "all"; None = all of labelled uses, the last one of unlabelled ones.
        limit: the largest number of uses of a word of the file, or of a word that is balanced.
        folds: of the cross-validation; fewer where there are fewer texts.
        map: "pca", "umap" where the package umap-learn is installed, or "lda", axes that separate the senses. It
            shows the layer with the highest nearest-neighbour accuracy, for unlabelled uses the last layer asked for.
        of: the tokens whose mean is a use's vector: the word's own, all of its text, or both side by side. A static
            run's ceiling holds for the word alone: the mean of a text's vectors differs with the text.
        maps: add the map of every layer, each turned onto the one beside it: words of runs get "maps". Where no layer
            is asked for, groups of unlabelled uses stay those of the last one.
        balance: draw the same number of uses of every sense of a word, as many as its rarest sense has.
        columns: our names of columns to the file's.
        separator, encoding: of the file; "auto" = as it shows.
        resamples: draws of the intervals.
        seed: of folds, draws and clusters.
        reporter: receives the progress.
    Raises:  InputError: no uses, or some with and some without a sense; CorpusError: no such file, no word has two
             senses, or too few uses; ConfigError: no such layer, map, vectors or number of folds.  RunError: a path
             that is no run.

    Example:
        result = senses(["runs/bert", "runs/word2vec"], "bank.tsv")
        result.runs[0]["mean"]["best"]["nearest"]["accuracy"]     # {"value", "low", "high", "n"}
    """
    reporter = reporter or NullReporter()
    asked_runs = several(runs)
    study = SenseStudy.of(
        asked_runs,
        uses,
        word=word,
        layer=layer,
        limit=limit,
        folds=folds,
        map=map,
        of=of,
        maps=maps,
        balance=balance,
        columns=columns,
        separator=separator,
        encoding=encoding,
        resamples=resamples,
        seed=seed,
        reporter=reporter,
    )
    return study.result([study.run(run, reporter) for run in asked_runs], reporter)


def _own_uses(
    runs: Sequence[Run], words: Sequence[str], limit: int | None, seed: int, reporter: Reporter
) -> tuple[list[Use], list[str]]:
    """Uses of words in the text that the first run was trained on, and what a person should know of them."""
    if not words:
        raise ConfigError(
            "no file of uses, and no word whose uses to look for",
            fix="polyseme senses RUN --word WORD, or polyseme senses RUN FILE",
        )
    first = next(iter(runs), None)
    found = [own_uses(first, word, limit=limit or LIMIT, seed=seed, reporter=reporter) for word in words]
    uses = [
        replace(use, id=f"{word} {use.id}")
        for word, each in zip(words, found, strict=True)
        for use in each.uses
    ]
    return uses, [*dict.fromkeys(note for each in found for note in each.notes)]


def _is_labelled(runs: Sequence[Run], uses: Sequence[Use]) -> bool:
    if not runs:
        raise InputError("no run to look into", fix="name one")
    if not uses:
        raise InputError("no uses to look at", expected="what read_uses gives")
    with_sense = sum(use.sense is not None for use in uses)
    if 0 < with_sense < len(uses):
        raise InputError(
            "some uses have a sense and others none",
            got=f"{with_sense:,} of {len(uses):,} with one",
            fix="leave those without one out",
        )
    return with_sense > 0


@dataclass(frozen=True, eq=False)
class UsesRead:
    """The vectors of a study's uses, as one run has them; the run itself is not needed any more.

    Args:
        about: the run's part of the document: run, model, reach.
        words: what was read of each word.
        seconds: that it took.
    """

    about: dict[str, Any]
    words: list[UseVectors]
    seconds: float

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that were read."""
        return self.words[0].layers

    def layered(self, place: int) -> Layered:
        """The vectors of a word."""
        read = self.words[place]
        return Layered(
            read.layers,
            [unit(layer) for layer in read.vectors],
            [distinct_vectors(layer, read.tokens) for layer in read.vectors],
        )


@dataclass(frozen=True, eq=False)
class SenseStudy:
    """`senses` in steps: what is studied, then each run's reading, then what is found.

    Args:
        labelled: whether the uses have senses.
        words: what is studied.
        settings: of the document.
        layers: that are read.
        last: whether groups are looked for in the last of them alone.
        maps: whether the maps of all layers are wanted.
        notes: what a person should know.
        file, problems: where the uses come from.

    Example:
        study = SenseStudy.of(["runs/bert"], word="bank", maps=True)
        read = study.run("runs/bert")
        study.maps_of(read)                 # at once
        study.result([read])                # seconds later: the groups, too
    """

    labelled: bool
    words: list[Word]
    settings: dict[str, Any]
    layers: Layers
    last: bool
    maps: bool
    notes: list[str]
    file: str
    problems: dict[str, Any]

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        uses: PathLike | Iterable[Use] | None = None,
        *,
        word: str | Sequence[str] = (),
        layer: Layers | None = None,
        limit: int | None = None,
        folds: int = 10,
        map: MapMethod = "pca",
        of: Scope = "word",
        maps: bool = False,
        balance: bool = False,
        columns: Mapping[str, str] | None = None,
        separator: str = "auto",
        encoding: str = "auto",
        resamples: int = RESAMPLES,
        seed: int = 0,
        reporter: Reporter | None = None,
    ) -> SenseStudy:
        """Find the uses and decide everything that does not depend on a run; the arguments are those of `senses`.

        Raises:  InputError, CorpusError, ConfigError, RunError: see `senses`.
        """
        reporter = reporter or NullReporter()
        check_map(map)
        at_least_one("resamples", resamples)
        at_least_one("folds", folds)
        if limit is not None:
            at_least_one("limit", limit)
        problems, file, told = Problems(), "", list[str]()
        if uses is None:
            uses, told = _own_uses(runs, texts_of(word, "word")[0], limit, seed, reporter)
        if isinstance(uses, str | Path) or not isinstance(uses, Iterable):
            asked_of_file, file = reading(columns, separator, encoding), str(uses)
            uses = read_uses(
                path_of(uses, "uses"),
                texts_of(word, "word")[0],
                columns=asked_of_file.columns or None,
                limit=None if balance else limit,
                encoding=asked_of_file.encoding,
                separator=asked_of_file.separator,
                problems=problems,
            )
        uses = list(uses)
        for use in uses:
            if not isinstance(use, Use):
                raise InputError(
                    "not a use of a word", got=repr(use)[:80], expected="what read_uses gives, or a path"
                )
        labelled = _is_labelled(runs, uses)
        check_map(map, labelled)
        if of not in get_args(Scope):
            raise ConfigError("no such vectors", got=of, expected=", ".join(get_args(Scope)))
        if folds < 2:
            raise ConfigError("too few folds", got=folds, expected="at least 2")
        notes = [*told, *problems.summary(), *([_OF[of]] if of in _OF else [])]
        if balance:
            uses, counts = balanced(uses, seed, limit)
            notes += [_drawn_equally(word, counted) for word, counted in counts.items()]
        n_words = len({use.word for use in uses})
        most = min(POINTS, max(_FEWEST_POINTS, ALL_POINTS // (len(runs) * n_words)))
        words = read_words(uses, labelled, folds, resamples, seed, most, map == "lda", notes)
        if labelled and any(word.figure != "accuracy" for word in words):
            notes += [_skewed(word) for word in words if word.figure != "accuracy"]
            # comparing runs by balanced accuracy needs the weight of every use
            for labelled_word in words:
                labelled_word.document["gold"] = labelled_word.gold.tolist()
        settings = {
            "folds": folds,
            "seed": seed,
            "resamples": resamples,
            "map": map,
            "points": most,
            "of": of,
        }
        settings["balance"] = balance
        layers: Layers = layer if layer is not None else "all" if labelled or maps else -1
        last = layer is None and not labelled
        return cls(labelled, words, settings, layers, last, maps, notes, file, problems.report())

    def run(self, run: Run, reporter: Reporter | None = None) -> UsesRead:
        """What a run makes of the uses.

        Raises:  RunError: there is no such run.  ConfigError: no such layer.
        """
        return through(self.read_in_steps(run), reporter)

    def read_in_steps(self, run: Run) -> Generator[tuple[int, int], None, UsesRead]:
        """The same, with a step a batch: (uses of the word that are read, of how many)."""
        started = time.perf_counter()
        loaded = opened(run)
        scope: Scope = self.settings["of"]
        words = []
        for word in self.words:
            words.append((yield from use_vectors_in_steps(loaded, word.uses, self.layers, scope)))
        about = {
            "run": replace_surrogates(str(loaded.run.path)),
            "name": "",
            "model": loaded.recipe.architecture,
            "reach": loaded.encoder.reach,
        }
        return UsesRead(about, words, time.perf_counter() - started)

    def maps_of(self, read: UsesRead) -> list[list[dict[str, Any]]]:
        """The maps of all layers that were read, turned onto each other from the last one, a list a word.

        Each {"layer", "x", "y", "dots"}: of the word's uses that are drawn. Of labelled uses `result` begins with the
        best layer in place of the last.
        """
        found = []
        for place, word in enumerate(self.words):
            layered = read.layered(place)
            found.append(self._turned(word, layered, len(layered.layers) - 1))
        return found

    def result(self, reads: Sequence[UsesRead], reporter: Reporter | None = None) -> Senses:
        """What is found in the readings of runs."""
        reporter = reporter or NullReporter()
        results = [self._found(read, reporter) for read in reads]
        names = names_of_runs([run["run"] for run, _ in results])
        notes = list(self.notes)
        for name, (run, _) in zip(names, results, strict=True):
            run["name"] = name
            notes += [f"{name}: {note}" for note in run.pop("notes")]
        seed = self.settings["seed"]
        return Senses(
            self.labelled,
            self.settings,
            [word.document for word in self.words],
            [run for run, _ in results],
            differences(names, [scored for _, scored in results], self.words, seed) if self.labelled else [],
            ceilings(self.words) if self.labelled else {},
            notes,
            self.file,
            self.problems,
        )

    def _found(self, read: UsesRead, reporter: Reporter) -> tuple[dict[str, Any], list[Scored]]:
        """A run's part of the document, and its figures by word where uses are labelled."""
        started = time.perf_counter()
        entries: list[dict[str, Any]] = []
        scored: list[Scored] = []
        notes: list[str] = []
        named = self.settings["of"] != "text"
        for place, (word, vectors) in enumerate(zip(self.words, read.words, strict=True)):
            if vectors.within and named:
                notes.append(_within(word, vectors.within))
            layered = read.layered(place)
            reporter.stage("comparing uses", place, len(self.words), word.word)
            if self.labelled:
                scored.append(score(word, layered, self.settings["seed"]))
                entries.append(self._with_map(word, layered, scored[-1].entry))
                static = all(dots is not None for dots in layered.dots)
                if static and word.by_form is not None and any((dots or 0) > 1 for dots in layered.dots):
                    notes.append(_forms(word))
            else:
                entries.append(self._cluster(word, layered, reporter))
            if vectors.within and named:
                entries[-1]["within"] = dict(vectors.within.most_common())
        untokenized = sum(vectors.untokenized for vectors in read.words)
        unknown = sum(vectors.unknown for vectors in read.words)
        if untokenized and named:
            notes.append(f"{untokenized:,} uses have no token of their own: their own vectors are zeros")
        if unknown and named:
            notes.append(f"{unknown:,} uses are unknown to the run, or a part of them: [UNK] stands for it")
        if cut := sum(vectors.cut for vectors in read.words):
            notes.append(f"{cut:,} texts are longer than the model reads: cut to a window around the use")
        document: dict[str, Any] = {
            **read.about,
            "layers": list(read.layers),
            "static": all(layer["dots"] is not None for entry in entries for layer in entry["layers"]),
            "seconds": round(read.seconds + time.perf_counter() - started, 3),
            "words": entries,
            "notes": notes,
        }
        if self.labelled:
            document["mean"] = over_words(self.words, read.layers, scored, self.settings["seed"])
        return document, scored

    def _with_map(self, word: Word, layered: Layered, entry: dict[str, Any]) -> dict[str, Any]:
        layer = entry["best"]["nearest"]["headline"]["maximum"]["layer"]
        place = list(layered.layers).index(layer)
        return entry | {"map": self._map(word, layered, place)} | self._maps(word, layered, place)

    def _maps(self, word: Word, layered: Layered, place: int) -> dict[str, Any]:
        """The maps of all layers, turned onto each other from the one that is shown, where they are wanted."""
        return {"maps": self._turned(word, layered, place)} if self.maps else {}

    def _turned(self, word: Word, layered: Layered, place: int) -> list[dict[str, Any]]:
        drawn = [self._map(word, layered, number) for number in range(len(layered.layers))]
        kept = [
            {"layer": one["layer"], "x": one["x"], "y": one["y"], "dots": dots}
            for one, dots in zip(drawn, layered.dots, strict=True)
        ]
        return turned_maps(kept, place)

    def _cluster(self, word: Word, layered: Layered, reporter: Reporter) -> dict[str, Any]:
        layers: list[dict[str, Any]] = []
        last: Suggestion | None = None
        every = [*zip(layered.layers, layered.vectors, layered.dots, strict=True)]
        for number, vectors, kinds in every[-1:] if self.last else every:
            # vectors that differ by form alone show no senses: if context changes nothing, there is one group
            last = suggest(
                vectors if kinds is None else np.zeros_like(vectors),
                self.settings["seed"],
                lambda done, of: reporter.stage("finding groups", done, of, word.word),
            )
            layers.append(
                {
                    "layer": number,
                    "dots": kinds,
                    "groups": last.groups,
                    "threshold": last.threshold,
                    "table": last.table,
                }
            )
        assert last is not None
        points = self._map(word, layered, len(layered.layers) - 1)
        return {
            "word": word.word,
            "layers": layers,
            "layer": layered.layers[-1],
            "groups": self._groups(word, last),
            "map": points | {"group": last.assigned[word.shown].tolist()},
            **self._maps(word, layered, len(layered.layers) - 1),
        }

    def _groups(self, word: Word, suggestion: Suggestion) -> list[dict[str, Any]]:
        """Each group: the number of its uses, the uses nearest to its centre, and its distinctive words."""
        texts = [use.text for use in word.uses]
        places = [(use.start, use.end) for use in word.uses]
        words = distinctive(texts, places, suggestion.assigned, suggestion.groups)
        groups = []
        for group in range(suggestion.groups):
            members = np.flatnonzero(suggestion.assigned == group)
            apart = ((suggestion.points[members] - suggestion.centres[group]) ** 2).sum(1)
            near: dict[str, dict[str, str]] = {}
            for i in members[np.argsort(apart, kind="stable")]:
                near.setdefault(texts[i], {"id": word.uses[i].id, **snippet(word.uses[i])})
                if len(near) == _TYPICAL:
                    break
            groups.append({"uses": len(members), "words": words[group], "typical": list(near.values())})
        return groups

    def _map(self, word: Word, layered: Layered, place: int) -> dict[str, Any]:
        points = use_map(
            layered.vectors[place], self.settings["map"], self.settings["seed"], word.gold, word.fold % 2 == 1
        )
        for axis in ("x", "y"):
            points[axis] = [points[axis][i] for i in word.shown]
        return {"layer": layered.layers[place], **points}


def _drawn_equally(word: str, counts: dict[str, int]) -> str:
    return (
        f"{word}: {counts['each']:,} uses of each of {counts['senses']} senses are drawn by the seed, "
        f"{counts['left_out']:,} are left out"
    )


def _skewed(word: Word) -> str:
    """Why a word's headline is not accuracy."""
    most = word.document["senses"][0]
    share = 100 * most["uses"] / len(word.uses)
    return (
        f"{word.word}: {share:.1f} % of the uses have one sense ({most['sense']}): balanced accuracy is what "
        "counts, each sense with the same weight; --balance draws equally many uses of each"
    )


def _forms(word: Word) -> str:
    """The note on a word with several forms: the best that a static run can do."""
    assert word.by_form is not None
    named = ", ".join(f"{form['form']} {form['uses']:,}" for form in word.document["forms"])
    return (
        f"{word.word} is written in several ways ({named}), each with a vector of its own: always the most frequent "
        f"sense of each is right in {word.by_form.value:.3f} of the uses, and no static vector can do better"
    )


def _within(word: Word, longer: Counter[str]) -> str:
    """The note on uses that a static run knows only as parts of longer words."""
    named = ", ".join(f"{text} {n:,}" for text, n in longer.most_common(_LONGER))
    others = f" and {len(longer) - _LONGER:,} others" if len(longer) > _LONGER else ""
    return (
        f"{word.word}: {longer.total():,} of {len(word.uses):,} uses stand inside a longer word of the run ({named}"
        f"{others}): they have the vector of {word.word} by itself, since a static vector knows no context"
    )
