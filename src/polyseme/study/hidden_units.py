"""Hide whole words, phrases and entities: does a run find them again? Where ERNIE should differ from BERT.

    texts ─► units: Chinese characters, words, known phrases and entities ─► a draw of each kind
          ─► every token of one unit hidden, everything else in place ─► the run's distribution at each of its places

    nats(u)  = -Σ_{i ∈ u} log p(t_i | the text without u)         found(u) = every t_i is the likeliest at its place

A model that hides single tokens has always seen the rest of a word while it learned a part of it; one that hides whole
units has not. Units are characters of the text and no tokens, so that runs with different vocabularies are asked for
the same; a unit that does not begin and end where tokens of every run do is left out, and counted. Words are those of
a dictionary's cut (text/words.py); phrases and entities are those of a lexicon and what runs of ERNIE have learned.

The tokens of a unit are predicted independently of each other, as in training: a sum of log-probabilities of parts,
which is called a pseudo-log-likelihood. Intervals draw texts again, as the units of a text share their context.

Source: Sun et al. (2019), ERNIE, section 4.5: words of cloze texts; Kauf and Ivanova (2023), section 3, for the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from polyseme.core.arrays import BoolArray, Float64Array
from polyseme.core.paths import PathLike, Paths, names_of, path_of
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.result import Result
from polyseme.core.rng import Random
from polyseme.data.store import PreparedCorpus
from polyseme.errors import InputError
from polyseme.infer.hidden import by_length
from polyseme.infer.inputs import at_least_one, one_text
from polyseme.infer.loaded import Loaded
from polyseme.study import Run, names_of_runs, opened, several
from polyseme.study.stats import paired_bootstrap
from polyseme.study.word_units import spans_of_words
from polyseme.tasks.metrics.intervals import bootstrap_interval, measured
from polyseme.tasks.metrics.measure import Measure
from polyseme.text.clean import CleaningReport, replace_surrogates
from polyseme.text.config import TextConfig
from polyseme.text.joining import Joiner
from polyseme.text.lexicon import read_lexicon
from polyseme.text.sources import read_lines
from polyseme.text.words import has_cjk
from polyseme.train.knowledge import load_knowledge

__all__ = ["KINDS", "LIMIT", "HiddenUnits", "hidden_units"]

KINDS = ("character", "word", "phrase", "entity")

LIMIT = 500
"""Units of a kind that are hidden."""

_TEXTS = 20_000
"""Texts that are read at most; units are drawn among theirs."""

_LONGEST = 8
"""Words of a phrase or entity at most."""

_PER_TEXT = 100
"""Tokens of held-out text that are one text."""

_UNKNOWN = "…"


class Unit(NamedTuple):
    """A unit of a text: its kind and its [start, end) in characters."""

    kind: str
    text: int
    start: int
    end: int


@dataclass(frozen=True, eq=False, repr=False)
class HiddenUnits(Result):
    """How well runs find whole units again.

    Args:
        runs: {"run", "name", "model", "kinds": {kind: {"found", "nats", "tokens"}}}: the share that is found and the
            mean nats of a unit, each {"value", "low", "high", "n"}, and the mean number of its tokens; of every run but
            the first also {"found_difference", "nats_difference"}: the first less this one on the same units.
        texts: how many hold the units.
        left_out: units that no tokens of every run stand for.
        examples: some units as rows: kind, text with the unit in ⟦⟧, and for each run what it put there.
        file: where the texts come from; None = the first run's held-out text.
        notes: what a person should know.
    """

    kind = "units"

    runs: list[dict[str, Any]]
    texts: int
    left_out: int
    examples: list[dict[str, Any]]
    file: str | None
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "runs": self.runs,
            "texts": self.texts,
            "left_out": self.left_out,
            "examples": self.examples,
            "file": self.file,
            "notes": self.notes,
        }

    def headline(self) -> str:
        """What the first run finds of every kind."""
        kinds = self.runs[0]["kinds"]
        found = ", ".join(f"{figures['found']['value']:.3f} of {kind}s" for kind, figures in kinds.items())
        return f"{self.runs[0]['name']} finds {found}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a run and kind."""
        return [
            {"run": run["run"], "model": run["model"], "kind": kind, "units": figures["found"]["n"]}
            | {
                f"{name}{suffix}": figures[name][part]
                for name in ("found", "nats")
                for part, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))
            }
            for run in self.runs
            for kind, figures in run["kinds"].items()
        ]


def hidden_units(
    runs: Run | Sequence[Run],
    texts: PathLike | Iterable[str] | None = None,
    *,
    lexicon: Paths = (),
    limit: int = LIMIT,
    seed: int = 0,
    field: str = "text",
    encoding: str = "auto",
    resamples: int = 1000,
    reporter: Reporter | None = None,
) -> HiddenUnits:
    """Hide whole units of texts and ask masked models for them.

    Args:
        runs: one or several with a masked-LM head; all are asked for the same units.
        texts: the path of a file, a text a line, or .jsonl; or texts themselves; None = the first run's held-out text,
            put together from its tokens.
        lexicon: files and folders of phrases and entities, beside those that the runs have learned.
        limit: units of a kind that are hidden.
        seed: of the draw.
        field: the key of the text in .jsonl.
        encoding: of the file; "auto" to detect it.
        resamples: draws of the intervals.
        reporter: receives the progress.
    Raises:  ConfigError: a run fills no masks.  InputError: there is no text, or no unit in it.
             CorpusError: no such file, or a lexicon that cannot be read.

    Example:
        hidden_units(["runs/ernie", "runs/bert"]).to_pandas()
    """
    at_least_one("limit", limit)
    at_least_one("resamples", resamples)
    sides = [opened(run) for run in several(runs)]
    if not sides:
        raise InputError("no run to look into", fix="name one")
    for loaded in sides:
        _ = loaded.masked_lm_head
    file: Path | None = None
    if texts is None:
        given = list(_heldout(sides[0]))
    else:
        if isinstance(texts, str | Path) or not isinstance(texts, Iterable):
            file = path_of(texts, "texts")
            texts = read_lines(
                file, TextConfig.of({"field": field, "encoding": encoding}, "units"), CleaningReport()
            )
        given = [one_text(text, "a text") for text in islice(texts, _TEXTS)]
    known = _known(sides, lexicon)
    found = [unit for number, text in enumerate(given) for unit in _units(text, number, known)]
    drawn, left_out = _drawn(sides, given, found, limit, seed)
    if not drawn:
        raise InputError(
            "no unit to hide",
            got=f"{len(given):,} texts with {len(found):,} units, none of which begins and ends where tokens do",
            where=file,
            fix="texts that the runs' vocabularies know",
        )
    reporter = reporter or NullReporter()
    answers = [_answers(loaded, given, drawn, reporter) for loaded in sides]
    notes = []
    if not any(unit.kind in ("phrase", "entity") for unit in drawn):
        notes.append(
            "no phrases or entities are known here: runs of ernie learn some, and --lexicon FILE gives them"
        )
    paths = [replace_surrogates(str(loaded.run.path)) for loaded in sides]
    names = names_of_runs(paths)
    return HiddenUnits(
        runs=[
            {
                "run": paths[number],
                "name": names[number],
                "model": str(loaded.recipe.architecture),
                "kinds": _figures(drawn, own, answers[0] if number else None, resamples, seed),
            }
            for number, (loaded, own) in enumerate(zip(sides, answers, strict=True))
        ],
        texts=len({unit.text for unit in drawn}),
        left_out=left_out,
        examples=_examples(given, drawn, answers),
        file=None if file is None else str(file),
        notes=notes,
    )


def _heldout(loaded: Loaded) -> Iterator[str]:
    """The run's held-out text: stretches of whole sentences, joined from tokens.

    Raises:  InputError: the run has no store any more, or one without held-out text.
    """
    folder = loaded.run.store
    corpus = None if folder is None else PreparedCorpus.open(folder)
    if corpus is None or not corpus.valid.n_tokens:
        raise InputError(
            "the run has no held-out text to read",
            got="no store" if corpus is None else "a store without held-out text",
            where=loaded.run.path,
            fix="name a file of texts",
        )
    store = corpus.valid
    joiner, begin = Joiner(corpus.tokenizer, unknown=_UNKNOWN), 0
    ends = set(np.asarray(store.sentences)[np.asarray(store.documents)].tolist())
    for end in np.asarray(store.sentences)[1:].tolist():
        if end - begin >= _PER_TEXT or end in ends:
            ids = np.asarray(store.tokens[begin:end]).tolist()
            yield "".join([*map(joiner.push, ids), joiner.flush()])
            joiner, begin = Joiner(corpus.tokenizer, unknown=_UNKNOWN), end


def _known(sides: Sequence[Loaded], lexicon: Paths) -> dict[str, str]:
    """Phrases and entities that are known: text without spaces, in lower case -> kind."""
    known: dict[str, str] = {}
    for entry in read_lexicon(names_of(lexicon)):
        known.setdefault(_plain(entry.text), entry.level)
    for loaded in sides:
        for units in load_knowledge(loaded.recipe, loaded.run, loaded.tokenizer).values():
            for pattern in units.patterns:
                known.setdefault(_plain(pattern.text), pattern.kind)
    return {text: kind for text, kind in known.items() if kind in ("phrase", "entity")}


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()


def _units(text: str, number: int, known: Mapping[str, str]) -> Iterator[Unit]:
    """The units of a text: known phrases and entities, leftmost longest, and the words and characters outside them."""
    words = spans_of_words(text).tolist()
    at = 0
    while at < len(words):
        for behind in range(min(len(words), at + _LONGEST), at, -1):
            start, end = words[at][0], words[behind - 1][1]
            kind = known.get(_plain(text[start:end]))
            if kind is not None and (behind > at + 1 or kind == "entity"):
                yield Unit(kind, number, start, end)
                break
        else:
            behind = at + 1
            start, end = words[at]
            chinese = has_cjk(text[start:end])
            if any(map(str.isalpha, text[start:end])):
                yield Unit("character" if chinese and end - start == 1 else "word", number, start, end)
                if chinese and end - start > 1:  # a part of a word, the rest in place: what BERT learns
                    middle = start + (number + at) % (end - start)
                    yield Unit("character", number, middle, middle + 1)
        at = behind


def _drawn(
    sides: Sequence[Loaded], texts: Sequence[str], found: Sequence[Unit], limit: int, seed: int
) -> tuple[list[Unit], int]:
    """Units of every kind that all runs have tokens for, and how many were passed over."""
    tokens: list[dict[int, tuple[set[int], set[int], set[int]]]] = [{} for _ in sides]

    def fits(unit: Unit) -> bool:
        for loaded, known in zip(sides, tokens, strict=True):
            if unit.text not in known:
                encoded = loaded.tokenizer.encode(texts[unit.text])
                text = texts[unit.text]
                starts = {s + len(text[s:e]) - len(text[s:e].lstrip()) for s, e in encoded.offsets}
                unknown = {
                    place
                    for id, (s, e) in zip(encoded.ids, encoded.offsets, strict=True)
                    if id == loaded.tokenizer.unk_id
                    for place in range(s, e)
                }
                known[unit.text] = starts, {e for _, e in encoded.offsets}, unknown
            starts, ends, unknown = known[unit.text]
            if unit.start not in starts or unit.end not in ends or unknown & {*range(unit.start, unit.end)}:
                return False
        return True

    drawn, left_out = [], 0
    for kind in KINDS:
        own = [unit for unit in found if unit.kind == kind]
        taken: list[Unit] = []
        for place in Random(seed, f"hidden {kind}").permutation(len(own)).tolist():
            if len(taken) == limit:
                break
            if fits(own[place]):
                taken.append(own[place])
            else:
                left_out += 1
        drawn += sorted(taken, key=lambda unit: (unit.text, unit.start))
    return drawn, left_out


class _Answers(NamedTuple):
    """What a run says of every unit.

    Shapes:  nats: (U,).  found: (U,).  tokens: (U,), how many; said: U texts
    """

    nats: Float64Array
    found: BoolArray
    tokens: Float64Array
    said: list[str]


@torch.inference_mode()
def _answers(loaded: Loaded, texts: Sequence[str], units: Sequence[Unit], reporter: Reporter) -> _Answers:
    """Hide each unit in turn."""
    rows: list[tuple[list[int], list[int], list[int]]] = []  # what is read, places of the unit, its tokens
    most, mask = loaded.max_content, loaded.tokenizer.mask_id
    for unit in units:
        encoded = loaded.tokenizer.encode(texts[unit.text])
        inside = [
            place
            for place, (start, end) in enumerate(encoded.offsets)
            if start < unit.end and end > unit.start and end > start
        ]
        begin = max(0, min((inside[0] + inside[-1] + 1 - most) // 2, len(encoded.ids) - most))
        ids = list(encoded.ids[begin : begin + most])
        places = [place - begin for place in inside if place - begin < most]
        labels = [ids[place] for place in places]
        for place in places:
            ids[place] = mask
        rows.append((ids, places, labels))
    nats, found = np.zeros(len(units)), np.zeros(len(units), np.bool_)
    said = [""] * len(units)
    head, done = loaded.masked_lm_head, 0
    never = torch.from_numpy(loaded.special.special.nonzero()[0])
    for batch in by_length([len(ids) for ids, _, _ in rows]):
        read = loaded.batch([rows[i][0] for i in batch])
        width = read.ids.size(1)
        flat = [
            number * width + loaded.prefix_length + place
            for number, i in enumerate(batch)
            for place in rows[i][1]
        ]
        at = torch.tensor(flat, device=loaded.device)
        logits = head.logits(loaded.encoder.encode(read, at=at).at(at)).float().cpu()
        asked = torch.tensor([label for i in batch for label in rows[i][2]])
        lost = torch.nn.functional.cross_entropy(logits, asked, reduction="none").double()
        logits[:, never] = -torch.inf  # no answer for `fill` either
        best = logits.argmax(1)
        begin = 0
        for i in batch:
            part = slice(begin, begin + len(rows[i][1]))
            nats[i], found[i] = float(lost[part].sum()), bool((best[part] == asked[part]).all())
            joiner = Joiner(loaded.tokenizer)
            said[i] = "".join([*map(joiner.push, best[part].tolist()), joiner.flush()]).strip()
            begin = part.stop
        done += len(batch)
        reporter.stage(f"hiding units from {loaded.recipe.architecture}", done, len(units))
    return _Answers(nats, found, np.array([len(places) for _, places, _ in rows], float), said)


def _figures(
    units: Sequence[Unit], own: _Answers, first: _Answers | None, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """The figures of a run by kind."""
    figures: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        members = [i for i, unit in enumerate(units) if unit.kind == kind]
        if not members:
            continue
        row: dict[str, Any] = {}
        for name in ("found", "nats"):
            measure = _measure(name, units, members, getattr(own, name))
            row[name] = measured(measure.value, bootstrap_interval(measure, resamples, seed), len(members))
            if first is not None:
                other = _measure(name, units, members, getattr(first, name))
                row[f"{name}_difference"] = paired_bootstrap(other, measure, resamples, seed) | {
                    "n": len(members)
                }
        figures[kind] = row | {"tokens": float(own.tokens[members].mean())}
    return figures


def _measure(name: str, units: Sequence[Unit], members: Sequence[int], values: Any) -> Measure:
    """The mean over units; texts are drawn, as sums over their units."""
    texts = {number: row for row, number in enumerate(dict.fromkeys(units[i].text for i in members))}
    sums = np.zeros((len(texts), 2))
    for i in members:
        sums[texts[units[i].text]] += (float(values[i]), 1.0)
    return Measure(name, sums, lambda total: total[..., 0] / np.maximum(total[..., 1], 1.0), len(members))


def _examples(
    texts: Sequence[str],
    units: Sequence[Unit],
    answers: Sequence[_Answers],
    of_a_kind: int = 5,
    around: int = 40,
) -> list[dict[str, Any]]:
    """The first units of every kind as people read them."""
    rows = []
    for kind in KINDS:
        for i in [i for i, unit in enumerate(units) if unit.kind == kind][:of_a_kind]:
            unit, text = units[i], texts[units[i].text]
            shown = (
                f"{text[max(0, unit.start - around) : unit.start]}⟦{text[unit.start : unit.end]}⟧"
                f"{text[unit.end : unit.end + around]}"
            )
            said = [
                {"said": own.said[i], "nats": float(own.nats[i]), "found": bool(own.found[i])}
                for own in answers
            ]
            rows.append({"kind": kind, "text": " ".join(shown.split()), "answers": said})
    return rows
