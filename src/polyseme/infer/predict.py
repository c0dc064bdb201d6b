"""The predictions of an adapted run for records: labels, tags, answers, with probabilities and places in the text.

By default a file is read as the training file was, as far as possible:

    columns      those of training
    separator    that of training, if it occurs in the file's first line
    encoding     that of training, unless the file is in UTF-8

Memory does not grow with the file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import torch

from polyseme.core import registry
from polyseme.core.config import escaped
from polyseme.core.files import make_folder, new_file, suffix_of
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.shell import typed
from polyseme.data.labelled import ExampleLoader
from polyseme.data.wrapping import Wrapper
from polyseme.errors import ConfigError, CorpusError, InputError, PolysemeError
from polyseme.infer.hidden import packed
from polyseme.infer.inputs import Truncated, texts_of, warn_of_cut
from polyseme.infer.loaded import Loaded
from polyseme.text.clean import replace_surrogates
from polyseme.text.encodings import detect
from polyseme.text.labelled.dialects import SEPARATORS, fields_of
from polyseme.text.labelled.opening import ReadOptions, form_suffix, numbered_lines
from polyseme.text.labelled.records import Problems, QuestionRecord, TagRecord, TextRecord
from polyseme.text.labelled.spans import tokens_of
from polyseme.text.sources import ARROW, STDIN, read_chunks
from polyseme.train.adaptation import decoding_of, outputs_of
from polyseme.train.gradient import read_layers

__all__ = [
    "Predictor",
    "gold_records",
    "inherited",
    "inherited_options",
    "predict_file",
    "records_of",
    "task_of",
    "with_progress",
]

RECORDS_AT_ONCE = 1024
CUTTING = ("text", "pair")
"""Kinds of records whose ends are left out where texts are long; the others are read in windows."""
GOLD = ("label", "tags", "answers")
"""The fields of records that hold gold labels."""
GOLD_COLUMNS = ("label", "tag", "tags", "spans", "answer", "start")
"""The columns of files, by our names, that hold gold labels."""
_TABLES = (".tsv", ".csv")
_ROWS = (".jsonl", ".ndjson", ".json")


class Predictor:
    """An adapted run, ready to predict.

    Memory does not grow with the records. oneDNN, which multiplies the matrices, keeps what it has compiled for the
    last 1,024 sizes of batches in a process: some hundred megabytes, after which it keeps no more. Nothing but the
    environment can bound that, before torch first multiplies, as `polyseme predict` does:
    ONEDNN_PRIMITIVE_CACHE_CAPACITY=16 LRU_CACHE_CAPACITY=16.

    Args:
        loaded: a run that `finetune` made.
        threshold: of questions without an answer, in place of the one that was tuned on dev; with it, a run that always
            answers (one that was imported, say) may say that there is none.
        detail: say more of every prediction: of tags the probability of each, of answers where they may begin and end,
            the five best and whether there is one; of labels all is said already.
    Attributes:
        cut: texts so far whose ends were not read, as they are longer than `max_length` or than the model reads.
        truncated: which of the texts of the last `predict` these were, and how many tokens they lost.
    Raises:  ConfigError: the run was not adapted to a task.

    Example:
        predictor = Predictor(load("runs/sentiment"))
        list(predictor.predict(predictor.read("reviews.txt", labelled=False)))
    """

    def __init__(self, loaded: Loaded, threshold: float | None = None, detail: bool = False) -> None:
        self.loaded = loaded
        self.name = task_of(loaded)
        self.entry = registry.tasks.load(self.name)
        recipe = loaded.recipe
        if threshold is not None and self.entry.records == "question":
            recipe = recipe.with_section(self.name, unanswerable=True)
        self.config = recipe.section(self.name)
        self.task = self.entry.build(self.config, loaded.special, 0)
        self.head = loaded.heads[self.name]
        self.cut, self.truncated = 0, Truncated()
        self._n_read = 0  # records of this call
        self.decoding: dict[str, Any] = {**loaded.run.meta.get("decoding", {}), **decoding_of(self.head)}
        if threshold is not None:
            self.decoding["threshold"] = threshold
        if detail:
            self.decoding["detail"] = True

    def __repr__(self) -> str:
        labels = ", ".join(map(str, getattr(self.config, "labels", ())))
        return f"Predictor({str(self.loaded.run.path)!r}: {self.name}{' of ' if labels else ''}{labels[:80]})"

    def read(
        self,
        path: Path | str,
        columns: Mapping[str, str] | None = None,
        problems: Problems | None = None,
        labelled: bool = True,
        *,
        encoding: str = "auto",
        separator: str = "auto",
    ) -> Iterator[Any]:
        """Records of a file, one by one; `-` is the standard input.

        Args:
            columns: our names of columns to the file's; None = those that the run was trained with, where the file
                can have them.
            problems: counts what is wrong.
            labelled: records without a label are of no use.
            encoding: of the file; "auto" = in training, unless the file is in UTF-8; else it is detected.
            separator: what stands between the fields of a table; "auto" = as in training where the file's first line
                has it, else as the file shows.
        """
        adapted = self.loaded.run.meta.get("adapted", {})
        asked = ReadOptions(encoding=encoding, separator=separator)
        reading = inherited_options(adapted, path, labelled, columns, asked)
        problems = Problems() if problems is None else problems
        return self.task.read(path, self.config, reading, problems, labelled)  # type: ignore[no-any-return]

    def predict(self, records: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """The predictions for all records, in their order; about a thousand records are in memory at once.

        Texts that are longer than what is read are counted in a warning at the end; in their predictions "cut" says how
        many tokens were not read.
        """
        source, n = iter(records), 0
        self.truncated, self._n_read = Truncated(), 0
        while chunk := list(islice(source, RECORDS_AT_ONCE)):
            n += len(chunk)
            yield from self.predict_all(chunk)
        if (cut := self.truncated).texts:
            longest = min(self.config.max_length, int(self.loaded.encoder.max_length))
            added = Wrapper.of(self.loaded.tokenizer).added(self.entry.records == "pair")
            warn_of_cut(cut, n, max(1, longest - added), stacklevel=2)

    @torch.inference_mode()
    def predict_all(self, records: Sequence[Any]) -> list[dict[str, Any]]:
        """The predictions for a list of records at once; their own labels are not used."""
        loaded = self.loaded
        records = [_without_gold(record) for record in records]
        data = self.task.encode(records, loaded.tokenizer, loaded.encoder)
        self.task.use(data)
        if self.entry.records in CUTTING:
            self.cut += len(data.cut)
            for number, lost in zip(data.cut, data.lost, strict=False):
                self.truncated.add_one(self._n_read + number, lost)
        self._n_read += len(records)
        spelled = data.unknown if loaded.reads_letters else None
        loader = ExampleLoader(
            data.examples, [self.task], loaded.special, None, spelled, loaded.tokenizer.vocab_size
        )
        encoder = packed(loaded.encoder)
        outputs, _ = outputs_of(
            self.task, loader, partial(read_layers, encoder, [self.head]), self.head, loaded.device
        )
        predictions: list[dict[str, Any]] = self.task.predictions(data, outputs, self.decoding)
        for number, lost in zip(data.cut, data.lost, strict=False):
            predictions[number]["cut"] = lost
        return predictions


def task_of(loaded: Loaded) -> str:
    """The task that a run was adapted to.

    Raises:  ConfigError: to none.
    """
    for name in loaded.recipe.objectives:
        if name in registry.tasks:
            return name
    raise ConfigError(
        "the run was not adapted to a task",
        got=f"{loaded.recipe.architecture}, trained with {', '.join(loaded.recipe.objectives) or 'nothing'}",
        where=loaded.run.path,
        fix=f"polyseme finetune classify {typed(loaded.run.path)} --train FILE -o RUN2",
    )


def records_of(task: str, given: Any) -> tuple[list[Any], bool]:
    """Make records without labels from the caller's texts; also whether it was a single one.

    Args:
        task: registry key.
        given: a text or several; of the tasks on two texts, a tuple of two or several such tuples.
    Raises:  InputError: it is neither.

    Example:
        >>> records, single = records_of("pair", ("A dog runs.", "An animal moves."))
        >>> records[0].text_b, single
        ('An animal moves.', True)
    """
    kind = registry.tasks.load(task).records
    if kind in ("pair", "question"):
        pairs, single = _text_pairs(task, given)
        if kind == "pair":
            return [TextRecord(str(n), a, b) for n, (a, b) in enumerate(pairs, 1)], single
        return [QuestionRecord(str(n), a, b, None) for n, (a, b) in enumerate(pairs, 1)], single
    texts, single = texts_of(given)
    texts = [replace_surrogates(text) for text in texts]
    if kind == "tags":
        return [TagRecord(str(n), text, tuple(tokens_of(text))) for n, text in enumerate(texts, 1)], single
    return [TextRecord(str(n), text) for n, text in enumerate(texts, 1)], single


def _text_pairs(task: str, given: Any) -> tuple[list[tuple[str, str]], bool]:
    """Raises:  InputError: neither a tuple of two texts nor several of them."""
    single = isinstance(given, tuple) and len(given) == 2 and all(isinstance(text, str) for text in given)
    wanted = "(question, context)" if registry.tasks.load(task).records == "question" else "(text, text)"
    several = [given] if single else given
    if isinstance(several, str | bytes | Mapping) or not isinstance(several, Iterable):
        raise InputError(f"{task} reads tuples {wanted}", got=type(given).__name__)
    pairs = []
    for place, pair in enumerate(several):
        if not (
            isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        ):
            raise InputError(f"{task} reads tuples {wanted}", got=f"{str(pair)[:80]!r} as item {place}")
        pairs.append((replace_surrogates(pair[0]), replace_surrogates(pair[1])))
    return pairs, single


def _without_gold(record: Any) -> Any:
    """The record without its labels: in training, gold decides how a question's windows are cut."""
    known = {name: None for name in GOLD if getattr(record, name, None) is not None}
    return replace(record, **known) if known else record


def gold_records(records: Iterable[Any], path: Path | str) -> list[Any]:
    """The records with labels.

    Raises:  CorpusError: there are none.
    """
    labelled = [r for r in records if any(getattr(r, name, None) is not None for name in GOLD)]
    if not labelled:
        raise CorpusError(
            "the file holds no labelled example", where=path, fix="name the column of the labels"
        )
    return labelled


def predict_file(
    predictor: Predictor,
    path: Path | str,
    output: Path | TextIO,
    columns: Mapping[str, str] | None = None,
    problems: Problems | None = None,
    reporter: Reporter | None = None,
    *,
    encoding: str = "auto",
    separator: str = "auto",
) -> int:
    """Write a JSON object a record, in the file's order.

    Args:
        predictor: of an adapted run.
        path: the file, with or without labels; "-" for the standard input.
        output: a file, which is there when it is complete; or an open stream.
        columns: see `Predictor.read`.
        problems: counts the rows that cannot be used.
        reporter: receives the progress.
        encoding, separator: see `Predictor.read`.
    Returns the number of records.
    Raises:  CorpusError, ConfigError: as the file's reader says, or the output is the file itself.
             StorageError: the disk refuses.

    Example:
        predict_file(Predictor(load("runs/sentiment")), "reviews.txt", Path("said.jsonl"))
    """
    reporter = reporter or NullReporter()
    reading = ReadOptions(encoding=encoding, separator=separator).recorded
    records = predictor.read(path, columns, problems, labelled=False, **reading)
    predictions = with_progress(predictor.predict(records), reporter)
    if not isinstance(output, Path):
        return _write(predictions, output.write)
    if output.exists() and Path(path) != STDIN and Path(path).exists() and output.samefile(path):
        raise ConfigError("the predictions would replace the texts", where=output, fix="another -o")
    make_folder(output.parent)
    with new_file(output) as file:
        return _write(predictions, lambda line: file.write(line.encode()))


def with_progress(
    predictions: Iterable[dict[str, Any]], reporter: Reporter, total: int | None = None
) -> Iterator[dict[str, Any]]:
    """Pass predictions on as they come, and report the progress.

    Args:
        total: how many there will be, where that is known.
    """
    began, n = time.perf_counter(), 0
    reporter.stage("predicting", 0, total)

    def rate() -> str:
        return f"{n:,} examples, {n / max(1e-9, time.perf_counter() - began):,.0f}/s"

    for n, prediction in enumerate(predictions, 1):
        yield prediction
        if n % 64 == 0:
            reporter.stage("predicting", n, total, rate())
    reporter.stage("predicting", n, n or total, rate())


def _write(predictions: Iterable[dict[str, Any]], write: Callable[[str], object]) -> int:
    n = 0
    for prediction in predictions:
        write(escaped(json.dumps(prediction, ensure_ascii=False, allow_nan=False)) + "\n")
        n += 1
    return n


def inherited_options(
    adapted: Mapping[str, Any],
    path: Path | str,
    labelled: bool,
    columns: Mapping[str, str] | None,
    asked: ReadOptions,
) -> ReadOptions:
    """How a file is read: as it is asked for, else as the training file was.

    Args:
        adapted: what run.json says of the training files: "columns", "separator", "encoding".
        path: the file to read.
        labelled: whether labels are read.
        columns: our names of columns to the file's; None = those of training.
        asked: for its encoding and separator; "auto" = those of training.
    """
    trained = adapted.get("columns", {})
    encoding, separator = asked.encoding, asked.separator
    if encoding == "auto" and "encoding" in adapted and not _is_unicode(path):
        encoding = adapted["encoding"]
    if separator == "auto" and "separator" in adapted:
        known = trained if columns is None else columns
        separator = _separator(adapted["separator"], known, path, labelled, encoding)
    if columns is None:
        columns = inherited(trained, path, labelled, encoding, separator)
    return ReadOptions(columns, encoding, separator)


def _is_unicode(path: Path | str) -> bool:
    """Whether a file shows its encoding: it is in UTF-8, or has a byte order mark; a pipe is not read.

    Tables of Parquet and Arrow say it themselves.
    """
    if not Path(path).is_file() or suffix_of(path) in ARROW:
        return True
    try:
        detected = detect(next(read_chunks(Path(path)), b""))
    except PolysemeError:  # the reader of the file reports it
        return True
    return detected is not None and (detected[0] in ("utf-8", "ascii") or detected[1] > 0)


def _separator(
    trained: str, columns: Mapping[str, str], path: Path | str, labelled: bool, encoding: str
) -> str:
    """The separator of training where the file's first line has it, else "auto"."""
    suffix = form_suffix(path)
    if suffix in (*_ROWS, ".conllu"):
        return "auto"
    if Path(path) == STDIN:
        return trained if labelled else "auto"
    fields = [field.strip() for field in fields_of(_first_line(path, encoding), trained)]
    if len(fields) < 2 or fields[0].startswith(("{", "[")):
        return "auto"
    if suffix in _TABLES or labelled:
        return trained
    wanted = {
        theirs for ours, theirs in columns.items() if ours not in GOLD_COLUMNS
    }  # else it may be plain text
    return trained if (wanted or {"text"}) <= set(fields) or any(map(str.isdecimal, wanted)) else "auto"


def inherited(
    trained: Mapping[str, str],
    path: Path | str,
    labelled: bool,
    encoding: str = "auto",
    separator: str = "auto",
) -> dict[str, str]:
    """The columns of training, without those that a file of another form cannot have.

    Numbers mean a table, names a table or JSON; CoNLL-U and SQuAD's JSON have fixed ones. A file that may be plain
    text is a table if its first line has all the names, or for numbers a tab. The standard input is not read for this.

    Args:
        trained: our names to the training file's.
        path: the file to read.
        labelled: whether labels are read; without them, their columns need not be there.
        encoding, separator: of the file; "auto" = as it shows.
    """
    columns = {ours: theirs for ours, theirs in trained.items() if labelled or ours not in GOLD_COLUMNS}
    numbers = any(theirs.isdecimal() for theirs in columns.values())
    suffix = form_suffix(path)
    if not columns or suffix == ".conllu":
        return {}
    if suffix in _TABLES or (labelled and suffix not in _ROWS):
        return columns
    if suffix in _ROWS:
        return {} if numbers or ({"question", "context"} & set(columns) and suffix == ".json") else columns
    if Path(path) == STDIN:
        return {}
    first = _first_line(path, encoding)
    if numbers:
        return columns if separator != "auto" or "\t" in first else {}
    marks = SEPARATORS if separator == "auto" else (separator,)
    has_names = any(set(columns.values()) <= set(fields_of(first, mark)) for mark in marks)
    return columns if has_names else {}


def _first_line(path: Path | str, encoding: str) -> str:
    """The first line of a regular file that is no comment; "" where it cannot be read: its reader says why."""
    if not Path(path).is_file():
        return ""
    try:
        first = islice(numbered_lines(path, encoding, Problems()), 100)
        return next((line for _, line in first if line and not line.startswith("#")), "")
    except PolysemeError:
        return ""
