"""What is probed: a study's tasks and settings, and its labelled files as numbers.

records ─► texts, tokenized and cut ─► tokens that lie in spans, numbered in one row after another
              └─► targets: rows of their spans, labels as zeros and ones
                     └─► random labels, a "control task": each word type has one random label, and labels keep their
                         frequencies. A probe can only memorise them; selectivity is the score on the real labels minus
                         the score on these

Source: Hewitt and Liang (2019), section 2, for the random labels. Departures: a type is the whole text of a span, of
pairs that of the first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.core.config import Config, read_toml
from polyseme.core.paths import PathLike
from polyseme.core.rng import Random
from polyseme.errors import ConfigError, CorpusError
from polyseme.text.clean import replace_surrogates
from polyseme.text.labelled.edges import edge_task_of, read_edges
from polyseme.text.labelled.records import EdgeRecord, Problems
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.tokens import meeting
from polyseme.train.examples import subset_of

__all__ = [
    "PARTS",
    "Part",
    "ProbeConfig",
    "ProbeTask",
    "Spans",
    "Targets",
    "TokenizedText",
    "aligned",
    "random_labels",
    "read_parts",
    "read_probes",
    "tasks_of_files",
]

Stored = Literal["float16", "float32"]


class ProbeTask(Config):
    """One task: [tasks.NAME] of a TOML file.

    Args:
        task: pos, dependencies, chunks, ner, relations, edges; "auto" = as the training file shows.
        train, dev, test: labelled files; what is absent is held out of train, a tenth of its texts each.
        column, columns, encoding: see `read_edges`.
        examples: the largest number of texts of each file; None = as the study says.
    """

    task: str = "auto"
    train: str
    dev: str | None = None
    test: str | None = None
    column: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: str = "auto"
    examples: int | None = Field(None, ge=1)


class ProbeConfig(Config):
    """How probes are made and learned; the same for every task and every control.

    Args:
        projection: dimensions of a token before spans are pooled.
        hidden: dimensions of the classifier's hidden layer.
        dropout: of its hidden layer.
        batch_size: targets of an update.
        learning_rate: Adam's, at the start; it decays to 0 linearly.
        mix_learning_rate: that of the layer weights and their scale.
        updates: the approximate number of updates; decides the epochs where they are not given.
        epochs: passes over the training targets; None = 3 … 50, by `updates`.
        patience: epochs without a better figure on dev before learning ends.
        seeds: probes of each kind; they differ in first weights, order and dropout.
        seed: of the first one.
        controls: also probe layer 0, a random encoder and random labels.
        cumulative: also probe layers 0 … l for every l.
        examples: the largest number of texts of each file, a random but fixed choice; None = all.
        max_length: tokens of a text that are read; None = as many as the model can.
        cache_bytes: hidden states kept in memory; beyond, they go into a temporary file.
        stored: the number type of that file.
        resamples: draws of the intervals.
    """

    projection: int = Field(256, ge=1)
    hidden: int = Field(256, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    mix_learning_rate: float = Field(2e-2, gt=0)
    updates: int = Field(1500, ge=1)
    epochs: int | None = Field(None, ge=1)
    patience: int = Field(3, ge=1)
    seeds: int = Field(3, ge=1)
    seed: int = Field(1, ge=0)
    controls: bool = True
    cumulative: bool = True
    examples: int | None = Field(None, ge=1)
    max_length: int | None = Field(None, ge=1)
    cache_bytes: int = Field(1 << 30, ge=0)
    stored: Stored = "float16"
    resamples: int = Field(1000, ge=1)

    def epochs_of(self, targets: int) -> int:
        """The number of passes over a number of training targets."""
        if self.epochs is not None:
            return self.epochs
        steps = -(-targets // self.batch_size)
        return max(3, min(50, -(-self.updates // max(1, steps))))


def read_probes(path: Path, changes: Mapping[str, Any]) -> tuple[dict[str, ProbeTask], ProbeConfig]:
    """A study as a TOML file: [tasks.NAME], and above them what `ProbeConfig` has. Its paths are relative to it.

    Args:
        changes: options that override those of the file.
    Raises:  ConfigError: a missing file, an unknown key, or no task.
    """
    settings = read_toml(path)
    tables = settings.pop("tasks", {})
    if (
        not isinstance(tables, dict)
        or not tables
        or not all(isinstance(table, dict) for table in tables.values())
    ):
        raise ConfigError(
            "a study without tasks", where=path, expected='[tasks.NAME] with task = "pos", train = "FILE"'
        )
    tasks = {}
    for name, table in tables.items():
        files = {key: _beside(path, table[key]) for key in ("train", "dev", "test") if key in table}
        tasks[name] = ProbeTask.of({**table, **files}, f"{path}: tasks.{name}")
    return tasks, ProbeConfig.of({**settings, **changes}, str(path))


def _beside(path: Path, file: Any) -> Any:
    return str(path.parent / file) if isinstance(file, str) else file


def tasks_of_files(
    files: Sequence[Path],
    task: str,
    dev: PathLike | None,
    test: PathLike | None,
    column: str | None,
    encoding: str = "auto",
) -> dict[str, ProbeTask]:
    """A task of each file, named as its file where there are several.

    Raises:  ConfigError: dev or test for several files.
    """
    if len(files) > 1 and (dev is not None or test is not None):
        raise ConfigError(
            "one --dev and --test for several files",
            got=f"{len(files)} files",
            fix="a TOML file with [tasks.NAME] train, dev and test",
        )
    tasks: dict[str, ProbeTask] = {}
    for file in files:
        name = replace_surrogates(file.stem) if len(files) > 1 or task == "auto" else task
        while name in tasks:
            name += "'"
        tasks[name] = ProbeTask(
            task=task,
            train=str(file),
            dev=None if dev is None else str(dev),
            test=None if test is None else str(test),
            column=column,
            encoding=encoding,
        )
    return tasks


PARTS = ("train", "dev", "test")
MOST_LABELS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedText:
    """A text as the encoder reads it, and which of its tokens are kept.

    Args:
        ids: token ids without separators, cut to the model's length.
        pieces: what each token is in the text.
        kept: indices of the tokens that lie in a span.
        row: the row in which the first of them is kept.
    """

    ids: list[int]
    pieces: list[str]
    kept: IntArray
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Rows start … start + length - 1 of what is kept.  Shapes:  start, length: (M,)"""

    start: IntArray
    length: IntArray

    def rows(self, chosen: IntArray) -> tuple[IntArray, IntArray]:
        """The rows of some spans one after another, and the span that each row belongs to.

        Shapes:  chosen: (B,) -> (N,), (N,)
        """
        length = self.length[chosen]
        owner = np.repeat(np.arange(len(chosen)), length)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)
        return self.start[chosen][owner] + within, owner


@dataclass(frozen=True, eq=False)
class Part:
    """The targets of one file.

    Args:
        first, second: their spans; second None where each target has one.
        gold: true where a target has a label.
        types: the text of each target's first span.
        sentence: the number of the text each belongs to, 0 … sentences - 1.
        sentences: texts with a target.
        left_out: how many targets lie "beyond" what the model reads, or on no token ("no_token").

    Shapes:  gold: (M, C).  sentence: (M,)
    """

    first: Spans
    second: Spans | None
    gold: BoolArray
    types: tuple[str, ...]
    sentence: IntArray
    sentences: int
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.gold)


@dataclass(frozen=True, eq=False)
class Targets:
    """Everything that is probed in one task.

    Args:
        labels: those of all parts.
        parts: train, dev, test.
        texts: of all parts, in the order of their rows.
        rows: tokens that are kept.
        single: every target has one label.
    """

    labels: tuple[str, ...]
    parts: dict[str, Part]
    texts: list[TokenizedText]
    rows: int
    single: bool


@dataclass
class _Collected:
    """Columns of the targets of a part while they are collected."""

    starts: tuple[list[IntArray], list[IntArray]] = field(default_factory=lambda: ([], []))
    lengths: tuple[list[IntArray], list[IntArray]] = field(default_factory=lambda: ([], []))
    labels: list[tuple[str, ...]] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    sentence: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_parts(
    spec: ProbeTask, examples: int | None, problems: Problems
) -> tuple[str, dict[str, list[EdgeRecord]], list[str]]:
    """The task, the texts of train, dev and test that have targets, and what a person should know.

    A part without a file is a tenth of the training texts, chosen by their hash: equal texts are on one side.

    Raises:  CorpusError: a file has no target, or too few texts to hold some out.  ConfigError: see `read_edges`.
    """
    paths = {"train": spec.train, "dev": spec.dev, "test": spec.test}
    if "-" in paths.values():
        raise ConfigError("probing reads labelled files", got="the standard input")
    task = edge_task_of(spec.train, spec.encoding) if spec.task == "auto" else spec.task
    parts: dict[str, list[EdgeRecord]] = {}
    for name, path in paths.items():
        if path is not None:
            read = read_edges(
                path,
                task,
                column=spec.column,
                columns=spec.columns,
                encoding=spec.encoding,
                problems=problems,
            )
            parts[name] = [record for record in read if record.targets]
            if not parts[name]:
                got = "; ".join(problems.summary()) or None
                raise CorpusError("the file holds no labelled span", got=got, where=path, expected=task)
    notes = []
    absent = [name for name in ("dev", "test") if name not in parts]
    for number, name in enumerate(absent):
        parts[name] = [r for r in parts["train"] if _tenth(r.text) == number]
    if absent:
        kept = [r for r in parts["train"] if _tenth(r.text) >= len(absent)]
        if not kept or not all(parts[name] for name in absent):
            raise CorpusError(
                "too few texts to hold some out",
                got=f"{len(parts['train']):,} texts with targets",
                where=spec.train,
                fix="--dev FILE and --test FILE",
            )
        notes.append(f"no {' and no '.join(absent)} file: held out of {spec.train}")
        parts["train"] = kept
    most = spec.examples if spec.examples is not None else examples
    return task, {name: subset_of(parts[name], most) for name in PARTS}, notes


def _tenth(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 10


def aligned(
    parts: Mapping[str, Sequence[EdgeRecord]], tokenizer: Tokenizer, max_content: int, where: str = ""
) -> Targets:
    """Find the tokens of every span, and number the tokens that must be kept.

    A token belongs to a span if they share a character. Targets that reach beyond what the model reads, or lie on no
    token at all, are left out and counted.

    Args:
        parts: texts with their targets.
        max_content: tokens of a text that are read, without separators.
        where: the file, for errors.
    Raises:  CorpusError: nothing to train or test on, fewer than two labels, or far too many; one span in some targets
             and two in others.
    """
    texts: list[TokenizedText] = []
    collected = {name: _Collected() for name in parts}
    rows = 0
    several = {
        target.span2 is not None for records in parts.values() for r in records for target in r.targets
    }
    if len(several) > 1:
        raise CorpusError("some targets have one span and others two", where=where, fix="a file for each")
    pairs = several == {True}
    for name, records in parts.items():
        tokens = tokenizer.encode_batch([record.text for record in records])
        for record, encoded in zip(records, tokens, strict=True):
            ids = list(encoded.ids[:max_content])
            kept = _collect(collected[name], record, encoded.offsets, len(ids), rows, pairs)
            pieces = [record.text[start:end] for start, end in encoded.offsets[: len(ids)]]
            texts.append(TokenizedText(ids, pieces, kept, rows))
            rows += len(kept)
    for name, columns in collected.items():
        if not columns.labels:
            raise CorpusError(
                f"no target of {name} lies on a token that the model reads",
                got=", ".join(f"{n:,} {why}" for why, n in columns.left_out.items()),
                where=where,
            )
    labels = sorted({label for columns in collected.values() for names in columns.labels for label in names})
    if not 2 <= len(labels) <= MOST_LABELS:
        raise CorpusError(
            "too few labels to probe" if len(labels) < 2 else "nearly every target has a label of its own",
            got=f"{len(labels):,} labels: {', '.join(labels[:6])}",
            where=where,
            fix="--task and --column name what is probed",
        )
    number = {label: i for i, label in enumerate(labels)}
    made = {name: _part(columns, number, pairs) for name, columns in collected.items()}
    single = all(len(names) == 1 for columns in collected.values() for names in columns.labels)
    return Targets(tuple(labels), made, texts, rows, single)


def _collect(
    columns: _Collected, record: EdgeRecord, offsets: Any, read: int, row: int, pairs: bool
) -> IntArray:
    """Add the targets of a text; returns the indices of the tokens that they cover."""
    places = np.asarray(offsets, np.int64).reshape(-1, 2)
    sides = [[target.span1 for target in record.targets]]
    if pairs:
        sides.append([target.span2 or (0, 0) for target in record.targets])
    first, behind = [], []
    on_token = np.ones(len(record.targets), bool)
    for side in sides:
        begins, ends = meeting(places, np.asarray(side, np.int64).reshape(-1, 2))
        first.append(begins)
        behind.append(ends)
        on_token &= begins < ends
    inside = on_token & (np.max(behind, axis=0) <= read)
    columns.left_out["no_token"] += int((~on_token).sum())
    columns.left_out["beyond"] += int((on_token & ~inside).sum())
    chosen = np.flatnonzero(inside)
    covered = np.zeros(read + 1, np.int64)  # +1 where a span begins, -1 behind its end
    for a, b in zip(first, behind, strict=True):
        np.add.at(covered, a[chosen], 1)
        np.add.at(covered, b[chosen], -1)
    within = np.cumsum(covered)[:read] > 0
    place = np.asarray(np.cumsum(within) - within + row, np.int64)
    for which, (a, b) in enumerate(zip(first, behind, strict=True)):
        columns.starts[which].append(place[a[chosen]] if len(place) else a[chosen])
        columns.lengths[which].append(b[chosen] - a[chosen])
    if len(chosen):
        sentence = columns.sentence[-1] + 1 if columns.sentence else 0
        columns.sentence.extend([sentence] * len(chosen))
    for i in chosen.tolist():
        target = record.targets[i]
        columns.labels.append(target.labels)
        columns.types.append(record.text[slice(*target.span1)])
    return np.flatnonzero(within)


def _part(columns: _Collected, number: Mapping[str, int], pairs: bool) -> Part:
    gold = np.zeros((len(columns.labels), len(number)), np.bool_)
    for row, labels in enumerate(columns.labels):
        gold[row, [number[label] for label in labels]] = True
    empty = np.zeros(0, np.int64)
    first, second = (
        Spans(np.concatenate([empty, *starts]), np.concatenate([empty, *lengths]))
        for starts, lengths in zip(columns.starts, columns.lengths, strict=True)
    )
    sentence = np.asarray(columns.sentence, np.int64)
    left_out = {why: n for why, n in columns.left_out.items() if n}
    sentences = int(sentence[-1]) + 1 if len(sentence) else 0
    return Part(first, second if pairs else None, gold, tuple(columns.types), sentence, sentences, left_out)


def random_labels(parts: dict[str, Part], seed: int) -> dict[str, BoolArray]:
    """Random labels for the targets of every part; they depend on the word type alone.

    A type gets the labels of a randomly drawn target of train, so that labels keep their frequencies. A type has the
    same labels in all parts.
    """
    kinds, counts = np.unique(parts["train"].gold, axis=0, return_counts=True)
    borders = np.cumsum(counts) / counts.sum()
    random = Random(seed, "labels of word types")
    labels = {}
    for name, part in parts.items():
        types = dict.fromkeys(part.types)
        keys = np.array([_key(word_type) for word_type in types], np.int64)
        drawn = np.minimum(np.searchsorted(borders, random.uniform(keys), side="right"), len(kinds) - 1)
        kind_of = dict(zip(types, drawn.tolist(), strict=True))
        labels[name] = kinds[[kind_of[word_type] for word_type in part.types]]
    return labels


def _key(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
