"""How near words are to each other, or uses of a word: cosines of their vectors, every two of them, in any model.

    words   cos(e(w), e(v))        the words by themselves: the rows of the model's table, the mean of a word's
                                   pieces, or what a model that reads letters makes of a spelling
    uses    cos(h_l(s), h_l(t))    the mean of the word's tokens at a layer, in every sentence

A 1-of-N encoding answers 0 for any two words: every two are equally far. A static model answers 1 for any two uses of a
word that are written alike; what a contextual model makes of them is the point of it. Beside each other they are the
line from 1-of-N to GPT in one picture. The distance of two vectors of length one is √(2 - 2 cos).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polyseme.core.arrays import Float32Array
from polyseme.core.result import Result
from polyseme.errors import ConfigError, InputError
from polyseme.infer.hidden import Layers
from polyseme.infer.inputs import texts_of
from polyseme.infer.loaded import Loaded
from polyseme.study import Run, names_of_runs, opened, several
from polyseme.study.uses import unit, use_vectors
from polyseme.study.word_uses import uses as own_uses
from polyseme.study.word_vectors import word_matrix
from polyseme.text.clean import replace_surrogates
from polyseme.text.labelled.senses import Use, occurrences

__all__ = ["MARK", "Cosines", "cosines", "marked_use"]

MOST = 200
"""Words or uses of one matrix at most: of more nobody can read a picture."""
_DRAWN = 8
"""Uses that are drawn of the run's own text."""
MARK = re.compile(r"\*(?=\S)([^*]+)(?<=\S)\*")
"""A word between asterisks."""


@dataclass(frozen=True, eq=False, repr=False)
class Cosines(Result):
    """What `cosines` found.

    Args:
        of: "words" or "uses".
        items: one each: a word {"word"}, or a use {"word", "text", "start", "end"}.
        runs: one each: run, name, model, reach, unknown (items without a vector, by number), and layers: {"layer",
            "cosines": a row an item, None where one of the two has no vector}. Words have one layer, None.
        notes: what a person should know.
    """

    kind = "cosines"

    of: str
    items: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {"of": self.of, "items": self.items, "runs": self.runs, "notes": self.notes}

    def headline(self) -> str:
        """How many words or uses, and the runs."""
        words = {item["word"].casefold(): item["word"] for item in reversed(self.items)}
        what = f"uses of {', '.join([*words.values()][::-1])}" if self.of == "uses" else "words"
        return f"{len(self.items)} {what}; {', '.join(run['name'] for run in self.runs)}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a run, layer and pair."""
        names = [item.get("text", item["word"]) for item in self.items]
        return [
            {
                "run": run["name"],
                "layer": layer["layer"],
                "a": names[i],
                "b": names[j],
                "cosine": layer["cosines"][i][j],
            }
            for run in self.runs
            for layer in run["layers"]
            for i in range(len(names))
            for j in range(i)
        ]


def cosines(
    runs: Run | Sequence[Run],
    items: Iterable[str] | Iterable[Use] = (),
    *,
    word: str | None = None,
    layer: Layers | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Cosines:
    """Cosines of every two words, or of every two uses of a word.

    Args:
        runs: a run or several; all see the same words or uses.
        items: words; or sentences in which a word is marked, "He sat on the *bank*."; or uses, as `uses` gives them;
            none = uses of `word` in the text that the first run was trained on.
        word: the items are sentences, and their word is this one, where it first stands.
        layer: of uses: a number, several, or "all"; None = the last one.
        limit, seed: of the run's own uses: how many are drawn, 8 where nobody says, and by which seed.
    Raises:  InputError: fewer than two items or more than 200, some marked and others not, a sentence without the
             word, an empty word, or no run has a vector for two of them.  ConfigError: a layer for words, or there is
             no such layer.  RunError: no run.

    Example:
        polyseme.cosines(["runs/static", "runs/bert"], ["the *bank* of the river", "money in the *bank*"])
    """
    asked = several(runs)
    if not asked:
        raise InputError("no run to look into", fix="name one")
    if not isinstance(items, Iterable):
        raise InputError("no words", got=repr(items)[:80], expected="words, sentences, or what uses gives")
    given: list[Any] = [items] if isinstance(items, str) else list(items)
    if given and limit is not None:
        raise ConfigError(
            "limit is about the run's own uses, and words or sentences are given",
            got=limit,
            fix="leave --limit out, or the words",
        )
    if not given and word is not None:
        given = list(own_uses(asked[0], word, limit=_DRAWN if limit is None else limit, seed=seed).uses)
    if given and all(isinstance(item, Use) for item in given):
        uses, notes = list[Use](given), list[str]()
    else:
        uses, notes = _uses_of(texts_of(given, "items")[0], word)
    if not 2 <= len(given) <= MOST:
        raise InputError(
            "two words or sentences are needed at least" if len(given) < 2 else "too many for one matrix",
            got=f"{len(given):,}",
            expected=f"2 … {MOST}",
            fix="polyseme cosines RUN WORD WORD",
        )
    if not uses and layer is not None:
        raise ConfigError(
            "words by themselves have one vector, and no layers",
            got=f"layer {layer!r}",
            fix="leave --layer out, or give sentences with the *word* marked",
        )
    if not uses and not all(item.strip() for item in given):
        raise InputError("an empty word", got=repr(given)[:80], fix="leave it out")
    results = []
    for run in asked:
        loaded = opened(run)
        result = _of_uses(loaded, uses, layer, notes) if uses else _of_words(loaded, given)
        results.append(_about(loaded) | result)
    for name, result in zip(names_of_runs([result["run"] for result in results]), results, strict=True):
        result["name"] = name
        if not uses and result["unknown"]:
            words = dict.fromkeys(given[i] for i in result["unknown"])
            notes.append(f"{name}: without a vector: {', '.join(words)}")
    if all(len(given) - len(result["unknown"]) < 2 for result in results):
        raise InputError(
            "fewer than two have a vector, and a cosine is of two",
            got=", ".join(given)[:80] if not uses else f"{len(uses)} uses",
            expected="words that the run knows",
            where=results[0]["run"],
            fix="polyseme cosines RUN WORD WORD",
        )
    if uses:
        described = [{"word": use.word, "text": use.text, "start": use.start, "end": use.end} for use in uses]
        return Cosines("uses", described, results, notes)
    return Cosines("words", [{"word": item} for item in given], results, notes)


def _about(loaded: Loaded) -> dict[str, Any]:
    path = replace_surrogates(str(loaded.run.path))
    return {
        "run": path,
        "name": Path(path).name,
        "model": loaded.recipe.architecture,
        "reach": loaded.encoder.reach,
    }


def _uses_of(items: Sequence[str], word: str | None) -> tuple[list[Use], list[str]]:
    """The uses that sentences hold; none where the items are words."""
    marked = [MARK.search(item) is not None for item in items]
    notes: list[str] = []
    if word is None and not any(marked):
        return [], notes
    uses = []
    for number, (item, has_mark) in enumerate(zip(items, marked, strict=True), 1):
        if has_mark:
            uses.append(marked_use(item, str(number), word))
            continue
        places = [] if word is None else occurrences(item, word)
        if not places:
            raise InputError(
                "no word is marked in a sentence" if word is None else f"the sentence does not hold {word!r}",
                got=item[:80],
                fix="put * on both sides of the word: He sat on the *bank*.",
            )
        if len(places) > 1:
            notes.append(f"{len(places)} places of {word} in sentence {number}: the first is taken")
        uses.append(Use(str(number), item, *places[0], None, word or ""))
    return uses, notes


def marked_use(text: str, id: str = "", word: str | None = None) -> Use:
    """The use in a sentence whose word stands between asterisks.

    Raises:  InputError: none is marked, or several are.

    Example:
        >>> use = marked_use("He sat on the *bank*.")
        >>> use.text, use.form, use.start
        ('He sat on the bank.', 'bank', 14)
    """
    marks = list(MARK.finditer(text))
    if len(marks) != 1:
        raise InputError(
            "one word of a sentence must be marked",
            got=f"{len(marks)} in {text[:80]}",
            fix="put * on both sides of the word: He sat on the *bank*.",
        )
    start, end = marks[0].span()
    form = marks[0][1]
    return Use(id, text[:start] + form + text[end:], start, start + len(form), None, word or form)


def _of_words(loaded: Loaded, words: Sequence[str]) -> dict[str, Any]:
    vectors, known = word_matrix(loaded, words)
    return {
        "unknown": np.flatnonzero(~known).tolist(),
        "layers": [{"layer": None, "cosines": _matrix(vectors, known)}],
    }


def _of_uses(loaded: Loaded, uses: Sequence[Use], layer: Layers | None, notes: list[str]) -> dict[str, Any]:
    read = use_vectors(loaded, uses, -1 if layer is None else layer)
    known = np.array([vectors.any() for vectors in read.vectors[0]], np.bool_)
    name = loaded.run.path.name
    if read.unknown:
        notes.append(
            f"{name}: {read.unknown:,} uses are unknown to the run, or a part of them: [UNK] stands for it"
        )
    if read.cut:
        notes.append(
            f"{name}: {read.cut:,} texts are longer than the model reads: cut to a window around the use"
        )
    return {
        "unknown": np.flatnonzero(~known).tolist(),
        "layers": [
            {"layer": number, "cosines": _matrix(vectors, known)}
            for number, vectors in zip(read.layers, read.vectors, strict=True)
        ],
    }


def _matrix(vectors: Float32Array, known: Any) -> list[list[float | None]]:
    """Cosines, rounded to what float32 holds; None for items without a vector.  Shapes: (N, D), (N,) -> N × N"""
    one = unit(vectors).astype(np.float64)
    values = np.round(np.clip(one @ one.T, -1, 1), 6) + 0.0  # no -0
    return [
        [float(value) if known[i] and known[j] else None for j, value in enumerate(row)]
        for i, row in enumerate(values)
    ]
