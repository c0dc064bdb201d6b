"""The labelled examples that a fine-tune learns from and is judged on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from polyseme.core import registry
from polyseme.core.files import sha256_of
from polyseme.core.protocols import Task
from polyseme.core.rng import Random
from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.opening import files_of, name_of
from polyseme.text.labelled.records import Problems
from polyseme.train.recipe import Recipe
from polyseme.train.request import FinetuneRequest

__all__ = ["facts_of", "read_examples", "subset_of", "task_described"]

DEV_SHARE = 0.1
"""Share of the training examples that is held out where no dev file is given."""


def read_examples(
    request: FinetuneRequest, recipe: Recipe, problems: Problems
) -> tuple[list[Any], list[Any]]:
    """Training and dev records.

    Raises:  CorpusError: a file holds no labelled record.  ConfigError: it is no file.
    """
    task, config = registry.tasks.load(request.task).build, recipe.section(request.task)

    def labelled(path: str | Path, config: Any) -> list[Any]:
        if str(path) == "-":
            raise ConfigError("labelled examples are read from files", got="the standard input")
        records = [r for r in task.read(path, config, request.reading, problems) if _has_label(r)]
        if not records:
            raise CorpusError(
                "the file holds no labelled example", where=path, fix="name the column of the labels"
            )
        return records

    train = labelled(request.train, config)
    if hasattr(task, "of_one_kind"):
        n = len(train)
        config, train = task.of_one_kind(config, train, problems)
        read = problems.file(name_of(request.train))
        read.rows, read.left_out = read.rows - n + len(train), read.left_out + n - len(train)
    if request.dev is not None:
        return subset_of(train, request.examples), subset_of(
            labelled(request.dev, config), request.dev_examples
        )
    dev = _chosen(train, _group) or _chosen(train, _key) or _chosen(train, _place)
    if not dev:
        raise CorpusError(
            "too few examples to hold some out",
            got=f"{len(train)} examples",
            where=request.train,
            fix="--dev FILE",
        )
    chosen = {id(r) for r in dev}
    kept = [r for r in train if id(r) not in chosen]
    return subset_of(kept, request.examples), subset_of(dev, request.dev_examples)


def subset_of(records: list[Any], most: int | None) -> list[Any]:
    """At most `most` records, drawn at random but always the same ones, in their own order."""
    if most is None or len(records) <= most:
        return records
    return [records[i] for i in sorted(Random(0, "subset").permutation(len(records))[:most].tolist())]


def _has_label(record: Any) -> bool:
    return any(getattr(record, name, None) is not None for name in ("label", "tags", "answers"))


def _key(record: Any) -> bytes:
    """What makes two records the same input."""
    return _hash([getattr(record, name, None) for name in ("text", "text_b", "question", "context")])


def _group(record: Any) -> bytes:
    """The same for records that stay together: questions go with their article or passage."""
    group = getattr(record, "group", "") or getattr(record, "context", None)
    return _hash(group) if group else _key(record)


def _place(record: Any) -> bytes:
    """A key that differs for every record."""
    return _hash([record.id, record.where])


def _held_out(key: bytes) -> bool:
    """Whether the hash of a key falls into the held-out share, whatever else is in the file."""
    return int.from_bytes(key, "big") / 2**64 < DEV_SHARE


def _chosen(records: Sequence[Any], key: Callable[[Any], bytes]) -> list[Any]:
    """The records to hold out, in their order: those whose hash is in the share, so that equal inputs are on one side.

    Of few records the share may be nearly none: then those with the next hashes go with them. Never are more than twice
    the share (of equal inputs a quarter of all), or all records of a label, unless nearly each has one of its own.
    """
    parts: dict[bytes, list[Any]] = {}
    for record in records:
        parts.setdefault(key(record), []).append(record)
    left = Counter(label for record in records for label in _labels(record))
    classes = 2 * len(left) <= left.total()
    n_dev = max(1, round(DEV_SHARE * len(records)))
    chosen_ids: set[int] = set()

    def hold(part: list[Any]) -> None:
        gone = Counter(label for record in part for label in _labels(record))
        most = min(2 * n_dev if chosen_ids else max(2 * n_dev, len(records) // 4), len(records) - 1)
        last = classes and any(left[label] == n for label, n in gone.items())
        if len(chosen_ids) + len(part) <= most and not last:
            chosen_ids.update(map(id, part))
            left.subtract(gone)

    ordered = sorted(parts)
    for part_key in filter(_held_out, ordered):
        hold(parts[part_key])
    if 2 * len(chosen_ids) < n_dev:
        for part_key in ordered:
            if len(chosen_ids) < n_dev and not _held_out(part_key):
                hold(parts[part_key])
    return [record for record in records if id(record) in chosen_ids]


def _hash(value: Any) -> bytes:
    return hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def facts_of(
    request: FinetuneRequest, recipe: Recipe, train: Sequence[Any], dev: Sequence[Any], problems: Problems
) -> dict[str, Any]:
    """The facts about the files for run.json, and the notes for the user.

    Raises:  CorpusError: dev has none of the labels that train has.
    """
    known = {_key(r) for r in train}
    shared = sum(_key(r) in known for r in dev)
    task = registry.tasks.load(request.task).build(recipe.section(request.task))
    unknown = task.unknown_labels(dev)
    if unknown and unknown.total() == sum(len(_labels(r)) for r in dev):
        raise CorpusError(
            "dev has none of the labels that train has"
            if request.dev
            else "the examples that were held out have none of the labels of the others",
            got=", ".join(map(repr, list(unknown)[:5])),
            expected=", ".join(map(repr, recipe.section(request.task).labels[:5])),
            where=request.dev or request.train,
            fix="the same names of labels in both files"
            if request.dev
            else "more examples of each label, or --dev FILE",
        )
    read = {"train": task_described(task, request.train, train if request.dev else [*train, *dev], problems)}
    if request.dev is not None:
        read["dev"] = task_described(task, request.dev, dev, problems)
    notes = [*read.values(), *problems.summary()]
    if request.dev is None:
        notes.append(f"no --dev: {len(dev):,} of {len(dev) + len(train):,} examples of --train are held out")
    if shared:
        notes.append(
            f"{shared:,} of {len(dev):,} dev examples are also training examples: the figures flatter"
        )
    if unknown:
        most = ", ".join(f"{label!r} ({n:,})" for label, n in unknown.most_common(5))
        notes.append(
            f"dev has {len(unknown):,} labels that train does not have and that count as errors: {most}"
        )
    return {
        "train": {
            "path": str(request.train),
            "examples": len(train),
            "sha256": sha256_of(*files_of(request.train)),
        },
        "dev": {
            "path": str(request.dev or request.train),
            "examples": len(dev),
            "sha256": sha256_of(*files_of(request.dev or request.train)),
            "also_in_train": shared,
            "unknown_labels": dict(unknown),
        },
        "columns": dict(request.columns),
        **request.reading.recorded,
        "read": read,
        "problems": problems.report(),
        "notes": notes,
    }


def task_described(task: Task, path: str | Path, records: Sequence[Any], problems: Problems) -> str:
    """One line on how a file was read: its form, the kind of its labels, rows read and left out.

    Args:
        task: with what it learned.
        records: of the file.
        problems: that were counted while it was read.
    """
    kind = task.described(records) if records and hasattr(task, "described") else ""
    return f"read {name_of(path)}: {problems.file(name_of(path)).described(kind=kind)}"


def _labels(record: Any) -> Sequence[Any]:
    """A record's labels, or its tags; questions have none."""
    labels = getattr(record, "tags", None) or getattr(record, "label", None)
    return labels if isinstance(labels, tuple) else () if labels is None else (labels,)
