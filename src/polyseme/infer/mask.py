"""The tokens that a masking objective hides in a text, and why: the objective's own choice, unit by unit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from polyseme.core import registry
from polyseme.core.arrays import BoolArray, IntArray
from polyseme.core.config import suggest
from polyseme.core.paths import PathLike, Paths, names_of, path_of
from polyseme.core.result import Result
from polyseme.data.encoding import DocumentEncoder
from polyseme.data.examples import Example, SpecialTokens
from polyseme.data.loader import Preparer, Rows, collate
from polyseme.data.mining import lexicon_patterns
from polyseme.data.store import TokenStore
from polyseme.data.units import KINDS, PHRASE, RowUnits, Units
from polyseme.errors import ConfigError, InputError, RunError
from polyseme.infer.inputs import one_text
from polyseme.infer.loaded import Loaded, path_of_run
from polyseme.text.clean import replace_surrogates
from polyseme.text.config import TokenizerConfig
from polyseme.text.lexicon import Entry, read_lexicon
from polyseme.text.sentences import sentence_spans
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer
from polyseme.text.words import cjk_share, is_cjk
from polyseme.train.build import build_objectives, parts_of, special_ids
from polyseme.train.knowledge import load_knowledge, readers
from polyseme.train.recipe import Recipe, from_dict, resolve
from polyseme.train.run import RunDirectory

_MOST_WORDS = 32_000  # largest vocabulary learned from the text alone


class TextTokens(NamedTuple):
    """A text as the store would hold it, and where its tokens stand.

    Shapes:  ids, word_starts: (n,); offsets: n spans of characters; sentence_lengths: (S,), summing to n
    """

    ids: IntArray
    word_starts: BoolArray
    offsets: list[tuple[int, int]]
    sentence_lengths: IntArray


@runtime_checkable
class _HidesUnits(Preparer, Protocol):
    """An objective that hides units of several tokens."""

    units: Units

    def find(self, rows: Rows) -> RowUnits:
        """The units of some rows."""
        ...


@dataclass(frozen=True)
class _Masker:
    """One model's objective, ready to mask."""

    model: str
    objective: Preparer
    tokenizer: Tokenizer
    special: SpecialTokens

    @property
    def whole_words(self) -> bool:
        """Whether words are hidden as wholes."""
        return getattr(self.config, "unit", "token") in ("word", "span")

    @property
    def config(self) -> Any:
        """The objective's section of the recipe."""
        return getattr(self.objective, "config", None)


@dataclass(frozen=True, eq=False, repr=False)
class Masking(Result):
    """What `mask` hides.

    Args:
        text, seed: as they were given.
        lines: what each model hides at each stage, see `mask`.
    """

    kind = "mask"
    notes = ()

    text: str
    seed: int
    lines: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {"text": self.text, "seed": self.seed, "lines": self.lines}

    def headline(self) -> str:
        """The last line as the model sees it."""
        return str(self.lines[-1]["masked"])

    def rows(self) -> list[dict[str, Any]]:
        """A row for every unit that is chosen."""
        kept = ("text", "kind", "outcome", "type", "source", "start", "end")
        return [
            {"model": line["model"], "stage": line["stage"]} | {name: unit[name] for name in kept}
            for line in self.lines
            for unit in line["units"]
        ]


def mask(
    model: PathLike | RunDirectory | Loaded, text: str, *, seed: int = 1, lexicon: Paths = ()
) -> Masking:
    """Show which tokens an objective would hide in a text.

    A run masks with its own vocabulary and units. A model's name stands for its recipe, with a vocabulary and units
    learned from the text alone: every word and Chinese character is a token, names come from the segmenter. If it hides
    knowledge, it is shown at each of its stages, after BERT with the same vocabulary.

    Args:
        model: a run, in memory or its folder, or the name of a model.
        text: what to mask.
        seed: of the random choices.
        lexicon: files and folders of words, phrases and entities.
    Returns a `Masking`; its lines are [{"model", "stage", "rate", "tokens", "hidden", "masked", "cut", "units"}]; in
    "masked" the text with its replacements; in "cut", units of several tokens as [start, end, kind]; in "units", those
    chosen: {"start", "end", "text", "kind", "source", "type", "outcome", "shown"}.
    Raises:  RunError: neither a run nor a model.  ConfigError: it masks nothing.  InputError: there is no text.
             CorpusError: the lexicon cannot be read.
    """
    text = replace_surrogates(one_text(text))
    if not text.strip():
        raise InputError("there is no text to mask", got=repr(text))
    entries = read_lexicon(names_of(lexicon))
    lines: list[dict[str, Any]] = []
    for masker in _maskers(path_of_run(model), text, seed, entries):
        tokens = text_tokens(text, masker.tokenizer)
        rows = _rows(tokens, masker.special)
        stages: dict[str, float] = getattr(masker.objective, "stages", {masker.objective.name: 0.0})
        for stage, progress in stages.items():
            lines.append(_line(masker, text, tokens, replace(rows, progress=progress), stage))
    return Masking(text, seed, lines)


def text_tokens(text: str, tokenizer: Tokenizer) -> TextTokens:
    """Tokens and word starts exactly as a store would hold the text, with the characters they stand for.

    Raises:  InputError: it has no token.
    """
    language = "zh" if cjk_share(text) > 0.1 else "en"
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder, "tokenizer.json"))
        encoded = DocumentEncoder(Path(folder, "tokenizer.json"), language).encode([text])
    offsets = []
    for start, end in sentence_spans(text, language):
        offsets += [(start + a, start + b) for a, b in tokenizer.encode(text[start:end]).offsets]
    if not offsets:
        raise InputError("there is no text to mask", got=repr(text))
    return TextTokens(
        encoded.ids.astype(np.int64),
        encoded.word_starts.astype(np.bool_),
        offsets,
        encoded.sentence_lengths.astype(np.int64),
    )


def _maskers(model: str | Path, text: str, seed: int, entries: Sequence[Entry]) -> Iterator[_Masker]:
    names, folder = registry.models.names(), path_of(model, "the model")
    if (folder / "run.json").is_file():
        run = RunDirectory.open(folder)
        recipe = from_dict(run.meta["recipe"])
        tokenizer = Tokenizer.from_file(run.path / "tokenizer.json")
        knowledge = load_knowledge(recipe, run, tokenizer)
        for name, known in knowledge.items():
            listed = lexicon_patterns(entries, tokenizer)
            knowledge[name] = Units(known.single, [*listed, *known.patterns], known.coverage)
        yield _masker(recipe, tokenizer, seed, knowledge)
    elif str(model).replace("_", "-") in names:
        recipe = resolve(str(model))
        tokenizer = train_tokenizer([text, text], TokenizerConfig(vocab_size=_MOST_WORDS), 0)
        knowledge = {}
        for name, reader in readers(recipe).items():
            config = recipe.section(name)
            config = type(config).of({**config.model_dump(), "min_name_count": 1}, name)
            knowledge[name] = reader.read(
                config, _store(text_tokens(text, tokenizer), tokenizer), tokenizer, entries
            )
        if knowledge:
            yield _masker(resolve("bert"), tokenizer, seed, {})
        yield _masker(recipe, tokenizer, seed, knowledge)
    else:
        raise RunError("neither a run nor a model", got=model, fix=suggest(str(model), names))


def _masker(recipe: Recipe, tokenizer: Tokenizer, seed: int, knowledge: dict[str, Any]) -> _Masker:
    special = special_ids(tokenizer)
    for objective in parts_of(build_objectives(recipe, special, seed, knowledge)):
        if getattr(objective, "hides", False):
            return _Masker(recipe.architecture, objective, tokenizer, special)
    raise ConfigError(
        f"{recipe.architecture} masks nothing",
        got=", ".join(recipe.objectives),
        expected="bert, modernbert or ernie",
    )


def _store(tokens: TextTokens, tokenizer: Tokenizer) -> TokenStore:
    """The text as a corpus of one document."""
    return TokenStore(
        tokens=tokens.ids.astype(np.uint32),
        word_starts=tokens.word_starts.astype(np.uint8),
        sentences=np.append(0, np.cumsum(tokens.sentence_lengths)),
        documents=np.array([0, len(tokens.sentence_lengths)]),
        counts=np.bincount(tokens.ids, minlength=tokenizer.vocab_size),
    )


def _rows(tokens: TextTokens, special: SpecialTokens) -> Rows:
    """The text as one row: [CLS] tokens [SEP]."""
    ids = np.array([special.cls, *tokens.ids, special.sep], np.int64)
    words = np.array([True, *tokens.word_starts, True])
    return collate([[Example(ids, np.zeros_like(ids), words)]], len(ids), special)


def _line(masker: _Masker, text: str, tokens: TextTokens, rows: Rows, stage: str) -> dict[str, Any]:
    ids, positions, _ = masker.objective.prepare(rows)
    chosen = (positions - 1).tolist()  # without [CLS]
    after = ids[0, 1:-1]
    cut: list[list[Any]] = []
    all_units: RowUnits | None = (
        masker.objective.find(rows) if isinstance(masker.objective, _HidesUnits) else None
    )
    if all_units is not None:
        unit = all_units.unit[0, 1:-1] - 1
        for first in np.unique(unit[unit >= 0]).tolist():
            members = np.flatnonzero(unit == first)
            kind = KINDS[all_units.kind[0, 1 + first]]
            if kind != "basic" or len(members) > 1:
                cut.append([tokens.offsets[members[0]][0], tokens.offsets[members[-1]][1], kind])
    elif masker.whole_words:
        unit = np.flatnonzero(tokens.word_starts)[np.cumsum(tokens.word_starts) - 1]
    else:
        unit = np.arange(len(tokens.ids))
    groups: dict[int, list[int]] = {}
    for place in chosen:
        groups.setdefault(int(unit[place]), []).append(place)
    units = [_unit(masker, text, tokens, all_units, after, members) for members in groups.values()]
    return {
        "model": masker.model,
        "stage": stage,
        "rate": getattr(masker.config, "rate", len(chosen) / len(tokens.ids)),
        "tokens": len(tokens.ids),
        "hidden": len(chosen),
        "masked": _masked_text(masker.tokenizer, text, tokens, after, chosen),
        "cut": cut,
        "units": units,
    }


def _unit(
    masker: _Masker,
    text: str,
    tokens: TextTokens,
    all_units: RowUnits | None,
    after: IntArray,
    members: list[int],
) -> dict[str, Any]:
    start, end = tokens.offsets[members[0]][0], tokens.offsets[members[-1]][1]
    before, replacements = tokens.ids[members], after[members]
    if (replacements == masker.special.mask).all():
        outcome = "masked"
    else:
        outcome = "kept" if (replacements == before).all() else "random"
    kind, source, label = _why(masker, text[start:end], tokens, all_units, members)
    return {
        "start": start,
        "end": end,
        "text": text[start:end],
        "kind": kind,
        "source": source,
        "type": label,
        "outcome": outcome,
        "shown": [masker.tokenizer.display(int(i)) for i in replacements],
    }


def _why(
    masker: _Masker, shown: str, tokens: TextTokens, all_units: RowUnits | None, members: list[int]
) -> tuple[str, str, str]:
    """(kind, source, type) of a unit."""
    if all_units is not None and isinstance(masker.objective, _HidesUnits):
        entry, kind = int(all_units.entry[0, members[0] + 1]), int(all_units.kind[0, members[0] + 1])
        if entry >= 0:
            pattern = masker.objective.units.patterns[entry]
            return "word" if pattern.kind == "basic" else pattern.kind, pattern.source, pattern.type
        if kind == PHRASE:
            return "phrase", "segmenter", ""
    elif masker.whole_words:
        return "word", "segmenter" if is_cjk(shown) else "spaces", ""
    if is_cjk(shown):
        return "character", "", ""
    after_it = members[-1] + 1
    whole = tokens.word_starts[members[0]] and (
        after_it == len(tokens.ids) or bool(tokens.word_starts[after_it])
    )
    if not any(map(str.isalnum, shown)):
        return "mark", "", ""
    return "word" if whole else "piece", "", ""


def _masked_text(
    tokenizer: Tokenizer, text: str, tokens: TextTokens, after: IntArray, chosen: list[int]
) -> str:
    """The text with what the model sees at the chosen places."""
    parts, at = [], 0
    for place in chosen:
        start, end = tokens.offsets[place]
        if after[place] == tokens.ids[place]:
            continue
        shown = tokenizer.display(int(after[place]))
        parts += [
            text[at:start],
            shown.removeprefix("##").strip() if after[place] != tokenizer.mask_id else "[MASK]",
        ]
        at = end
    return "".join([*parts, text[at:]])
