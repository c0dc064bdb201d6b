"""`polyseme score --choices`: classify the lines of a file by the likelihood of labels."""

from __future__ import annotations

import json as json_module
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.cli.output import emit, emit_json, say
from polyseme.errors import ConfigError, InputError

if TYPE_CHECKING:
    from polyseme.infer.loaded import Loaded
    from polyseme.infer.zero_shot import Normalize
    from polyseme.text.labelled.opening import ReadOptions
    from polyseme.text.labelled.records import Problems, TextRecord

TEXTS_AT_ONCE = 256


def read_choices(given: Sequence[str]) -> dict[str, str]:
    """Labels and the words for them: one list with commas, or one choice an item.

    Raises:  ConfigError: a label twice.

    Example:
        >>> read_choices(["0=bad,1=good"]), read_choices(["yes, please", "no"])
        ({'0': 'bad', '1': 'good'}, {'yes, please': 'yes, please', 'no': 'no'})
    """
    items = given[0].split(",") if len(given) == 1 else list(given)
    choices: dict[str, str] = {}
    for item in items:
        label, equals, words = (part.strip() for part in item.partition("="))
        if label in choices:
            raise ConfigError("a label is there twice", got=label, where="--choices")
        choices[label] = words if equals else label
    return choices


def choose_lines(
    loaded: Loaded,
    file: Path,
    given: Sequence[str],
    template: str,
    normalize: Normalize,
    neutral: str,
    how: ReadOptions,
    json: bool,
) -> None:
    """Print every text's choice and probabilities; where texts are labelled, say how many are right.

    Raises:  ConfigError, InputError: as `Chooser`; a label of the file is no choice.
             CorpusError: the file cannot be read.
    """
    from polyseme.infer.zero_shot import Chooser
    from polyseme.tasks.metrics.intervals import wilson
    from polyseme.text.labelled.opening import name_of

    choices = read_choices(given)
    labels = list(choices)
    chooser = Chooser(loaded, list(choices.values()), template, normalize, neutral)
    records, problems = _records(file, chooser.paired, how, labels)
    lines: list[dict[str, Any]] = []
    right: Counter[str] = Counter()
    gold: Counter[str] = Counter()
    count = 0
    while chunk := list(islice(records, TEXTS_AT_ONCE)):
        known = [_label(record, labels) for record in chunk]
        texts_b = [record.text_b or "" for record in chunk] if chooser.paired else None
        found = chooser.probabilities([record.text for record in chunk], texts_b)
        for record, label, row in zip(chunk, known, found.tolist(), strict=True):
            choice = labels[row.index(max(row))]
            line: dict[str, Any] = {"id": record.id, "text": record.text}
            line |= {"text_b": record.text_b} if chooser.paired else {}
            line |= {"choice": choice, "probabilities": dict(zip(labels, row, strict=True))}
            if label is not None:
                line["label"] = label
                gold[label] += 1
                right[label] += label == choice
            if json:
                lines.append(line)
            else:
                emit(json_module.dumps(line, ensure_ascii=False))
        count += len(chunk)
    _tell(count, gold, right)
    say(f"read {name_of(file)}: {problems.file(name_of(file)).described()}")
    for sentence in problems.summary():
        say(f"note: {sentence}")
    if json:
        document: dict[str, Any] = {
            "choices": choices,
            "template": template,
            "normalize": normalize,
            "lines": lines,
        }
        if n := gold.total():
            low, high = wilson(right.total(), n)
            document |= {"accuracy": right.total() / n, "low": low, "high": high, "n": n}
            document["majority"] = max(gold.values()) / n
        emit_json(document)


def _tell(count: int, gold: Counter[str], right: Counter[str]) -> None:
    """Say how it went, with Wilson's 95 % interval (stderr)."""
    if n := gold.total():
        from polyseme.tasks.metrics.intervals import wilson

        most, times = gold.most_common(1)[0]
        low, high = wilson(right.total(), n)
        say(
            f"{right.total():,} of {n:,} right: accuracy {right.total() / n:.3f} ({low:.3f} … {high:.3f}); "
            f"always {most!r} would be {times / n:.3f}"
        )
    else:
        say(f"{count:,} texts")


def _label(record: TextRecord, labels: Sequence[str]) -> str | None:
    """A record's label, if it has one.

    Raises:  InputError: it is none of the choices.
    """
    if record.label is None:
        return None
    if isinstance(record.label, str) and record.label in labels:
        return record.label
    shown = record.label if isinstance(record.label, str) else repr(record.label)
    raise InputError(
        "a label of the file is none of the choices",
        got=shown,
        expected=", ".join(labels),
        where=record.where,
        fix=f'--choices "{shown}=words for it,…": the file\'s label, then the words for the template',
    )


def _records(
    file: Path, pair: bool, how: ReadOptions, labels: Sequence[str]
) -> tuple[Iterator[TextRecord], Problems]:
    """The texts of a file, with their labels where it has them, and what was found wrong.

    Raises:  ConfigError: its columns cannot be told.  CorpusError: it cannot be read.
    """
    from polyseme.text.labelled.records import Problems
    from polyseme.text.labelled.tables import read_texts

    named = "label" in how.columns
    read = partial(
        read_texts,
        file,
        pair=pair,
        columns=how.columns,
        encoding=how.encoding,
        separator=how.separator,
        known=labels,
    )
    again = not file.is_fifo()  # a pipe is read once only
    problems = Problems()
    if named or again:
        records = read(problems=problems)
        try:
            first = next(records, None)
        except ConfigError as error:
            if named:
                raise
            missing = error
        else:
            return chain([] if first is None else [first], records), problems
    problems = Problems()
    records = read(problems=problems, labelled=False)
    try:
        first = next(records, None)
    except ConfigError:
        if again:
            raise missing from None
        raise
    return chain([] if first is None else [first], records), problems
