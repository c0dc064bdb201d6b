"""How good an adapted run is on a labelled file, with intervals; and whether it is better than a second run.

labelled file ─► records ─► predictions ─► the task's measures ─► figures with 95 % intervals
                                │                                       │
                                └─► errors, tables by label             └─► with a second run: differences, p
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polyseme.core import registry
from polyseme.core.paths import PathLike, path_of
from polyseme.core.protocols import Task
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.result import Result
from polyseme.errors import ConfigError
from polyseme.infer.inputs import at_least_one
from polyseme.infer.predict import Predictor, gold_records, with_progress
from polyseme.study import Run, opened, reading
from polyseme.study.stats import ROUNDS, compare, mcnemar
from polyseme.tasks.figures import label_of, labels_of, number_of, probability_measures
from polyseme.tasks.metrics.intervals import bootstrap_interval, measured
from polyseme.tasks.metrics.measure import Resampled
from polyseme.text.labelled.opening import name_of
from polyseme.text.labelled.records import Problems, QuestionRecord, TagRecord, TextRecord
from polyseme.train.examples import task_described

__all__ = ["Evaluation", "confusions", "evaluate", "mistakes"]

RESAMPLES = 1000
_COMPARED = ("value", "low", "high", "p", "p_randomisation")
FEW = 30
"""Examples below which the bootstrap's interval is said to be too narrow."""
_DRAWS = 200_000_000
"""Examples drawn for one paired test at most; of large files fewer rounds are enough."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result):
    """What `evaluate` found.

    Args:
        task: registry key.
        run, file: what was measured on what; `against` the second run.
        figures: {"metric": {"value", "low", "high", "n"}}, the main one first; with a second run each also has
            "against" (the same of the second run) and "difference" (see `stats.compare`); with one label an
            example, the accuracy's difference has "mcnemar" (see `stats.mcnemar`).
        per_class: a row a label: label, precision, recall, f1, support, predicted.
        confusion: {"labels", "counts"}: [gold][predicted], where one of the labels is predicted.
        confusions: the most frequent ones: gold, predicted, count.
        errors: see `mistakes`.
        predictions: of every example, in order.
        examples: how many.
        threshold: of questions without an answer.
        unknown_labels: labels of the file that the run has not learned, with their numbers.
        problems: what was wrong with the file.
        notes: what a person should know.
        read: one line on how the file was read: its form, the kind of its labels, rows read and left out.
    """

    kind = "evaluate"

    task: str
    run: str
    file: str
    figures: dict[str, dict[str, Any]]
    per_class: list[dict[str, Any]]
    confusion: dict[str, Any] | None
    confusions: list[dict[str, Any]]
    errors: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    examples: int
    threshold: float | None
    unknown_labels: dict[str, int]
    problems: dict[str, Any]
    notes: list[str]
    against: str | None = None
    read: str = ""

    def document(self) -> dict[str, Any]:
        """Everything but the predictions and the errors themselves, JSON-able."""
        return {
            "task": self.task,
            "run": self.run,
            "file": self.file,
            "examples": self.examples,
            "wrong": len(self.errors),
            **({"against": self.against} if self.against is not None else {}),
            "figures": self.figures,
            **({"threshold": self.threshold} if self.threshold is not None else {}),
            "unknown_labels": self.unknown_labels,
            "per_class": self.per_class,
            "confusion": self.confusion,
            "confusions": self.confusions,
            "problems": self.problems,
            "read": self.read,
            "notes": self.notes,
        }

    def headline(self) -> str:
        """The run, how many examples, and how many are wrong."""
        of = f"{self.examples:,} examples of {Path(self.file).name}"
        return f"{Path(self.run).name}, {self.task}, {len(self.errors):,} of {of} wrong"

    def rows(self) -> list[dict[str, Any]]:
        """A row a figure; with a second run also its value and the difference."""
        return [
            {
                "metric": name,
                **{key: figure[key] for key in ("value", "low", "high", "n")},
                **({"against": figure["against"]["value"]} if "against" in figure else {}),
                **(
                    {f"difference_{key}": figure["difference"][key] for key in _COMPARED}
                    if "difference" in figure
                    else {}
                ),
            }
            for name, figure in self.figures.items()
        ]


def evaluate(
    run: Run,
    file: PathLike,
    *,
    columns: Mapping[str, str] | None = None,
    against: Run | None = None,
    threshold: float | None = None,
    separator: str = "auto",
    encoding: str = "auto",
    resamples: int = RESAMPLES,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Measure an adapted run on a labelled file.

    Args:
        run: what `finetune` made.
        file: labelled examples.
        columns: our names of columns to the file's; None = as in training.
        against: a second run of the same task, of any architecture: both are measured on the same examples and
            every difference is tested.
        threshold: of questions without an answer, in place of the one tuned on dev; for `run` alone.
        resamples: draws of the intervals; paired tests take ten times as many.
        seed: of the draws.
        reporter: receives the progress.
        encoding: of the file; "auto" to detect it.
        separator: what stands between the fields of a table; "auto" = as the file shows.
    Raises:  ConfigError: a run was not adapted to a task, or the two to different ones; CorpusError: the file holds no
             labelled example, or its labels are not of the kind that the run gives.

    Example:
        result = evaluate("runs/sentiment", "test.tsv")
        print(result.figures["accuracy"], result.errors[:3])
    """
    reporter, problems = reporter or NullReporter(), Problems()
    path, asked = path_of(file, "the file"), reading(columns, separator, encoding)
    at_least_one("resamples", resamples)
    first = Predictor(opened(run), threshold)
    second = None if against is None else Predictor(opened(against))
    task = first.task if second is None else _joint(first, second)
    read = first.read(
        path, asked.columns or None, problems, encoding=asked.encoding, separator=asked.separator
    )
    records = gold_records(read, file)
    predictions = list(with_progress(first.predict(records), reporter, len(records)))
    measures = _measures(task, records, predictions)
    figures = _figures(measures, resamples, seed)
    if second is not None:
        their_predictions = list(with_progress(second.predict(records), reporter, len(records)))
        other = _measures(task, records, their_predictions)
        theirs = _figures(other, resamples, seed)
        rounds = _rounds(resamples, len(records))
        for name in (name for name in figures if name in theirs):
            figures[name]["against"] = theirs[name]
            figures[name]["difference"] = _plain(compare(measures[name], other[name], rounds, seed))
        if _one_label(task):
            figures["accuracy"]["difference"]["mcnemar"] = mcnemar(
                _right(records, predictions), _right(records, their_predictions)
            )
    details = _details(task, records, predictions)
    unknown = dict(first.task.unknown_labels(records).most_common())
    return Evaluation(
        task=first.name,
        run=str(first.loaded.run.path),
        file=name_of(file),
        figures=figures,
        per_class=details.get("per_class", []),
        confusion=details.get("confusion"),
        confusions=confusions(details),
        errors=mistakes(first.task, records, predictions),
        predictions=predictions,
        examples=len(records),
        threshold=_threshold(first),
        unknown_labels=unknown,
        problems=problems.report(),
        read=task_described(first.task, file, records, problems),
        notes=[*problems.summary(), *_notes(unknown, len(records)), *_absent(measures)],
        against=str(second.loaded.run.path) if second is not None else None,
    )


def _measures(
    task: Task, records: Sequence[Any], predictions: Sequence[Mapping[str, Any]]
) -> dict[str, Resampled]:
    """The task's measures; if some questions have no answer, also those of answering all questions, and none."""
    measures: dict[str, Resampled] = dict(task.measures(records, predictions))
    if _one_label(task):
        measures |= probability_measures(task.config.labels, records, predictions)
    if _asks(task) and any(not record.answers for record in records):
        best = [p.get("best", p)["answer"] for p in predictions]
        for name, answers in (("answer_all", best), ("answer_none", [""] * len(predictions))):
            trivial = task.measures(records, [{"answer": answer} for answer in answers])
            measures |= {f"{name}_{key}": trivial[key] for key in ("f1", "exact_match")}
    return measures


def _asks(task: Task) -> bool:
    """Whether its examples are questions."""
    return registry.tasks.load(task.name).records == "question"


def _one_label(task: Task) -> bool:
    """Whether every example has one label with its probability."""
    return getattr(task.config, "kind", "") == "single"


def _right(records: Sequence[Any], predictions: Sequence[Mapping[str, Any]]) -> list[bool]:
    return [p["label"] == label_of(r) for r, p in zip(records, predictions, strict=True)]


def _figures(measures: Mapping[str, Resampled], resamples: int, seed: int) -> dict[str, dict[str, Any]]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            name: _nothing()
            if _empty(name, m)
            else measured(m.value, bootstrap_interval(m, resamples, seed), m.n)
            for name, m in measures.items()
        }


def _empty(name: str, measure: Resampled) -> bool:
    """Whether the file has nothing that a figure counts. Precision is no such figure: it counts predictions."""
    return measure.n == 0 and name != "precision"


def _nothing() -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "n": 0}


def _rounds(resamples: int, n: int) -> int:
    return max(resamples, min(ROUNDS * resamples // RESAMPLES, _DRAWS // max(1, n)))


def _plain(difference: Mapping[str, Any]) -> dict[str, Any]:
    """NaN, which JSON does not have, becomes None."""
    return {key: None if math.isnan(value) else value for key, value in difference.items()}


def _joint(first: Predictor, second: Predictor) -> Any:
    """The task of the first run with the labels of both, so that every figure counts the same things.

    Raises:  ConfigError: they predict different things.
    """
    a, b = first.task.config, second.task.config
    kinds = [getattr(config, "kind", "") for config in (a, b)]
    if first.name != second.name or kinds[0] != kinds[1]:
        raise ConfigError(
            "the two runs predict different things",
            got=f"{first.name} {kinds[0]}".strip() + " and " + f"{second.name} {kinds[1]}".strip(),
            where=f"{first.loaded.run.path} and {second.loaded.run.path}",
        )
    if not hasattr(a, "labels"):
        return first.task
    labels = tuple(dict.fromkeys((*a.labels, *b.labels)))
    changes: dict[str, Any] = {"labels": labels} | (
        {"weights": ()} if hasattr(a, "weights") else {}
    )  # of the loss
    return type(first.task)(type(a).of({**a.model_dump(), **changes}, first.name))


def _details(task: Task, records: Sequence[Any], predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The task's tables; for questions, a table of whether there is an answer and whether one was predicted."""
    if not _asks(task) or all(record.answers for record in records):
        return dict(task.details(records, predictions))
    counts = [[0, 0], [0, 0]]
    for record, prediction in zip(records, predictions, strict=True):
        counts[not record.answers][not prediction["answer"]] += 1
    return {"confusion": {"labels": ["answer", "no answer"], "counts": counts}}


def _threshold(predictor: Predictor) -> float | None:
    if predictor.entry.records != "question" or not predictor.config.unanswerable:
        return None
    return float(predictor.decoding.get("threshold", 0.0))


def _absent(measures: Mapping[str, Resampled]) -> list[str]:
    absent = [name for name, measure in measures.items() if _empty(name, measure)]
    return [f"the file has nothing that {', '.join(absent)} could count: not known"] if absent else []


def _notes(unknown: Mapping[str, int], n: int) -> list[str]:
    notes = []
    if unknown:
        most = ", ".join(f"{label!r} ({count:,})" for label, count in list(unknown.items())[:5])
        others = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        notes.append(f"labels that the run has not learned count as errors: {most}{others}")
    if n < FEW:
        notes.append(f"{n} examples are few: the true intervals are wider than the bootstrap's")
    return notes


def mistakes(
    task: Task, records: Sequence[Any], predictions: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The wrong predictions, JSON-able, the most confident ones first.

    Each has id, where, gold, predicted and probability, and the text (text, text_b; question, context); with several
    labels the probability is that of the worst label; with tags it is that of the worst token, and `tokens` lists the
    wrong ones. A number has its `difference` instead; it counts as an error if that is above the mean.

    Args:
        task: the task that made the predictions.
        records, predictions: gold and predictions, in the same order.
    """
    if getattr(task.config, "kind", None) == "number":
        return _distances(records, predictions)
    errors = [
        {"id": r.id, "where": r.where, "gold": task.gold_of(r), **_of(r, p)}
        for r, p in zip(records, predictions, strict=True)
        if task.wrong(r, p)
    ]
    return sorted(errors, key=lambda error: -error["probability"])


def confusions(details: Mapping[str, Any], most: int = 10) -> list[dict[str, Any]]:
    """The most frequent confusions: [{"gold", "predicted", "count"}]."""
    if "confusion" not in details:
        return []
    labels, counts = details["confusion"]["labels"], details["confusion"]["counts"]
    pairs = [
        {"gold": labels[g], "predicted": labels[p], "count": count}
        for g, row in enumerate(counts)
        for p, count in enumerate(row)
        if count and g != p
    ]
    return sorted(pairs, key=lambda pair: -pair["count"])[:most]


def _of(record: Any, prediction: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(record, TagRecord):
        return _of_tags(record, prediction)
    if isinstance(record, QuestionRecord):
        return {
            "predicted": prediction["answer"],
            "probability": prediction["probability"],
            "question": record.question,
            "context": record.context,
        }
    if "labels" in prediction:
        return {
            "predicted": prediction["labels"],
            "probability": _worst_label(record, prediction),
            **_texts(record),
        }
    return {"predicted": prediction["label"], "probability": prediction["probability"], **_texts(record)}


def _texts(record: TextRecord) -> dict[str, str]:
    return {"text": record.text} | ({"text_b": record.text_b} if record.text_b is not None else {})


def _worst_label(record: TextRecord, prediction: Mapping[str, Any]) -> float:
    """The probability of the worst wrong label; 1 if a gold label is unknown to the run."""
    gold, chosen = set(labels_of(record)), set(prediction["labels"])
    chances = prediction["probabilities"]
    if gold - set(chances):
        return 1.0
    return float(max(chances[label] if label in chosen else 1 - chances[label] for label in gold ^ chosen))


def _of_tags(record: TagRecord, prediction: Mapping[str, Any]) -> dict[str, Any]:
    tags = record.tags or ()
    wrong = [
        {**token, "gold": gold}
        for token, gold in zip(prediction["tokens"], tags, strict=True)
        if token["tag"] != gold
    ]
    return {
        "predicted": [token["tag"] for token in prediction["tokens"]],
        "probability": max(token["probability"] for token in wrong),
        "text": record.text,
        "tokens": wrong,
    }


def _distances(
    records: Sequence[TextRecord], predictions: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    distances = []
    for record, prediction in zip(records, predictions, strict=True):
        gold = number_of(record)
        distances.append(
            {
                "id": record.id,
                "where": record.where,
                "gold": gold,
                "predicted": prediction["value"],
                "difference": prediction["value"] - gold,
                **_texts(record),
            }
        )
    mean = sum(abs(distance["difference"]) for distance in distances) / max(1, len(distances))
    far = [distance for distance in distances if abs(distance["difference"]) > mean]
    return sorted(far, key=lambda distance: -abs(distance["difference"]))
