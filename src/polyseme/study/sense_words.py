"""The words whose senses are looked at: their uses, folds, draws and ceilings, all that does not depend on a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from polyseme.core.rng import Random
from polyseme.errors import ConfigError, CorpusError
from polyseme.study.sense_clusters import LEAST
from polyseme.study.sense_map import drawn, snippet
from polyseme.study.sense_scores import folds_of, majority
from polyseme.study.stats import Drawn, Uses
from polyseme.tasks.metrics.intervals import measured, wilson
from polyseme.tasks.metrics.measure import FloatArray, IntArray
from polyseme.text.labelled.senses import Use

__all__ = ["Figure", "Word", "balanced", "headline", "plain", "read_words"]

Figure = Literal["accuracy", "balanced_accuracy"]

SKEWED = 0.8
"""Where one sense has more than this share of a word's uses, accuracy says little: always saying it is nearly right."""
CLUSTERED = 1000
"""Unlabelled uses of a word that are clustered at most."""
_FORMS = 8


@dataclass(frozen=True, eq=False)
class Word:
    """A word, its uses and everything about them that does not depend on a run."""

    word: str
    uses: list[Use]
    shown: list[int]
    document: dict[str, Any]
    # of labelled uses
    gold: IntArray
    fold: IntArray
    draws: Uses | None = None
    ceiling: Drawn | None = None
    balanced_ceiling: Drawn | None = None
    by_form: Drawn | None = None
    test: Uses | None = None

    @property
    def figure(self) -> Figure:
        """The figure that says most: balanced accuracy where one sense has nearly all uses."""
        return headline(self.document)

    def ceiling_of(self, figure: Figure) -> Drawn:
        """What always saying the most frequent sense gives."""
        found = self.ceiling if figure == "accuracy" else self.balanced_ceiling
        assert found is not None
        return found

    def worth(self, figure: Figure) -> FloatArray:
        """What a right answer to each use adds to the figure, times the number of uses.  Shapes: -> (N,)"""
        n = np.bincount(self.gold)
        if figure == "accuracy":
            return np.ones(len(self.gold))
        return np.asarray(len(self.gold) / (len(n) * n[self.gold]), np.float64)

    def part(self, name: str) -> npt.NDArray[np.bool_]:
        """Which uses are of a part.  Shapes: -> (N,)"""
        return np.array([use.part == name for use in self.uses], bool)


def headline(word: Mapping[str, Any]) -> Figure:
    """The figure that says most of a word's document: its senses and how many uses they have."""
    most, total = word["senses"][0]["uses"], sum(one["uses"] for one in word["senses"])
    return "balanced_accuracy" if most > SKEWED * total else "accuracy"


def balanced(
    uses: Sequence[Use], seed: int = 0, limit: int | None = None
) -> tuple[list[Use], dict[str, dict[str, int]]]:
    """Equally many uses of every sense of a word, drawn by the seed, in the order of the file.

    Args:
        uses: with their senses.
        seed: of the draws.
        limit: at most so many uses of a word; None = as many as its rarest sense allows.
    Returns the uses that are kept, and of each word {"each": uses of a sense, "senses": how many, "left_out": uses}.
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
    """A text without differences of case and white space: texts that agree so far are one."""
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
    """The words of some uses, those left out that have too few; these are told in `notes`.

    Args:
        uses: all with a sense, or none.
        labelled: which of the two.
        folds, resamples, seed: see `senses`.
        most: uses of a word that are drawn.
        halved: draw only uses of every other fold, so that a map can be learned from the rest.
        notes: receives what a person should know.
    Raises:  CorpusError: no word is left.
    """
    grouped: dict[str, list[Use]] = {}
    for use in uses:
        grouped.setdefault(use.word, []).append(use)
    found = []
    for word, some in grouped.items():
        kinds, texts = {use.sense for use in some}, {plain(use.text) for use in some}
        if labelled and (len(kinds) < 2 or len(texts) < 4):
            notes.append(
                f"{word}: {len(kinds)} senses in {len(texts)} texts: left out, nothing can be learned of it"
            )
        elif not labelled and len(some) < LEAST:
            notes.append(f"{word}: {len(some)} uses are too few to cluster: left out")
        elif labelled:
            found.append(_labelled(word, some, folds, resamples, seed, most, halved))
        else:
            if len(some) > CLUSTERED:
                notes.append(f"{word}: {CLUSTERED:,} of {len(some):,} uses are clustered, drawn by hash")
                some = [some[i] for i in drawn(some, CLUSTERED)]
            none = np.zeros(len(some), np.int64)
            found.append(Word(word, some, *_shown(word, some, most, {}), gold=none, fold=none))
    if not found:
        raise CorpusError(
            "no word has uses enough",
            got="; ".join(notes)[:400],
            expected="two senses of a word, in four texts or more" if labelled else f"{LEAST} uses of a word",
        )
    return found


def _shown(
    word: str,
    uses: list[Use],
    most: int,
    senses: Mapping[str, int],
    among: npt.NDArray[np.bool_] | None = None,
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
    draws = Uses(gold, len(names), resamples, seed, f"uses of {word}")
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
    test = Uses(gold[is_test], len(names), resamples, seed, stream) if split else None
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
