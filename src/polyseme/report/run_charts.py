"""Pictures of what a run has: its losses, the layers that its tasks mix, the labels that it confuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from polyseme.core.entries import FREQUENCY
from polyseme.errors import InputError
from polyseme.report.charts import SKY, VERMILION, Axis, Chart, Rule, Series, heatmap, lines

if TYPE_CHECKING:
    from polyseme.train.run import RunDirectory

__all__ = ["LARGEST", "confusion_chart", "confusion_rows", "loss_chart", "loss_rows", "mix_chart", "mix_rows"]

LARGEST = 80
"""Labels of a confusion matrix that are drawn at most; of more, those with the most errors."""

_COUNTED = 26
"""Labels up to which every cell has its count written in it; beyond, the cells are too small."""

_POINTS = 200
"""Train losses shown at most: beyond that a line is a band of noise that hides the others."""


def loss_chart(
    records: Iterable[Mapping[str, Any]],
    title: str = "Loss",
    unit: str = "nats per predicted token",
    alone: str | None = None,
) -> Chart:
    """Train and held-out loss over minutes, with the unigram baseline as a line to pass.

    Args:
        records: lines of metrics.jsonl; uses seconds, loss, heldout_loss and unigram_loss.
        title: stands above the chart.
        unit: of the losses.
        alone: what gives the baseline, as the objective's entry says it; None = word frequency.

    Raises:  InputError: no record has a loss, so there is nothing to draw.
    """
    rows, unigram = loss_rows(records)
    if not rows:
        raise InputError("there is no loss to draw yet", fix="train for a few steps more")
    minutes, loss = Axis("minutes", "minutes of training", ".2f"), Axis("loss", f"loss ({unit})", ".3f")
    curves = Series("curve", ["train", "held-out"], [SKY, VERMILION])
    name = "unigram baseline" if alone in (None, FREQUENCY) else f"loss {alone}"
    baseline = None if unigram is None else Rule(unigram, f"{name} {unigram:.2f}")
    return lines(rows, minutes, loss, curves, baseline, ends=["held-out"], title=title)


def loss_rows(records: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], float | None]:
    """Points of curves, {"curve", "minutes", "loss"}, and the last baseline that was logged.

    Train losses beyond what a chart can show are averaged over equal shares of the run.
    """
    train: list[tuple[float, float]] = []
    heldout: list[tuple[float, float]] = []
    unigram: float | None = None
    for record in records:
        if "seconds" not in record:
            continue
        minutes = float(record["seconds"]) / 60
        if record.get("loss") is not None:
            train.append((minutes, float(record["loss"])))
        if record.get("heldout_loss") is not None:
            heldout.append((minutes, float(record["heldout_loss"])))
        if record.get("unigram_loss") is not None:
            unigram = float(record["unigram_loss"])
    rows = [
        {"curve": name, "minutes": round(minutes, 4), "loss": round(loss, 5)}
        for name, points in (("train", _thin(train, _POINTS)), ("held-out", heldout))
        for minutes, loss in points
    ]
    return rows, unigram


def _thin(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    if len(points) <= most:
        return list(points)
    edges = [round(i * len(points) / most) for i in range(most + 1)]
    shares = [points[a:b] for a, b in pairwise(edges)]
    return [
        (sum(minutes for minutes, _ in share) / len(share), sum(loss for _, loss in share) / len(share))
        for share in shares
    ]


def mix_chart(runs: Sequence[RunDirectory], title: str = "Layer mix") -> Chart:
    """The learned mixes of runs, side by side: a column a run, a row a layer, the embedding layer at the bottom.

        s_j = softmax(w)_j,   h = γ Σ_j s_j h_j

    Source:  Peters et al. (2018), equation 1 and Figure 2. Departures: weights are shaded by their size and written in
    the cells, where the paper hatches those below 1/3 and speckles those above 2/3; deeper models have more layers.

    Args:
        runs: adapted with --feature-based, to any tasks, from any models.
        title: stands above the chart.
    Raises:  InputError: a run has learned no mix.
    """
    names, rows = mix_rows(runs)
    layers = sorted({row["layer"] for row in rows}, reverse=True)
    most = max(row["weight"] for row in rows)
    return heatmap(
        [{**row, "text": f"{row['weight']:.2f}"} for row in rows],
        Axis("run"),
        Axis("layer", "layer (0 = embeddings)"),
        Axis("weight", "softmax(w)", ".4f", (0.0, max(most, 1e-6))),
        names,
        layers,
        text="text",
        more=[Axis("gamma", format=".3f")],
        cell=(84, 34),
        title=title,
    )


def mix_rows(runs: Sequence[RunDirectory]) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns, and a cell a row: {"run", "layer", "weight", "gamma"}.

    A column is named task and model; the folder is added where two would be called the same.
    Raises:  InputError: a run has learned no mix.
    """
    plain = [f"{_task(run.meta)}, {run.meta['model']}" for run in runs]
    times = Counter(plain)
    names = [
        name if times[name] == 1 else f"{name}: {run.path.name}"
        for name, run in zip(plain, runs, strict=True)
    ]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    rows = []
    for name, run in zip(names, runs, strict=True):
        mix = (run.meta.get("results") or {}).get("mix")
        if not mix:
            raise InputError(
                "the run has learned no mix of layers",
                where=run.path,
                fix="polyseme finetune TASK RUN --train FILE --feature-based -o RUN2",
            )
        for layer, weight in enumerate(mix["weights"]):
            rows.append({"run": name, "layer": layer, "weight": round(weight, 6), "gamma": mix["gamma"]})
    return names, rows


def _task(meta: Mapping[str, Any]) -> str:
    return str((meta.get("adapted") or {}).get("task", "no task"))


def confusion_chart(confusion: Mapping[str, Any], title: str = "Confusion") -> Chart:
    """A confusion matrix: rows are gold labels, columns what was predicted, shades the share of the row.

    Args:
        confusion: {"labels", "counts"}; counts[gold][predicted].
        title: stands above the chart.
    """
    labels, rows = confusion_rows(confusion)
    n = len(labels)
    left = len(confusion["labels"]) - n
    shown = f", the {n} labels with the most errors ({left:,} are not shown)" if left else ""
    cell = 72 if n <= 4 else 44 if n <= 12 else 30 if n <= _COUNTED else 16
    return heatmap(
        [{**row, "text": f"{row['count']:,}" if row["count"] else ""} for row in rows],
        Axis("predicted", "predicted"),
        Axis("gold", "gold"),
        Axis("share", "share of the gold label", ".0%"),
        labels,
        labels,
        text="text" if n <= _COUNTED else "",
        more=[Axis("count", format=",")],
        cell=(cell, cell),
        title=title + shown,
    )


def confusion_rows(confusion: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """The labels that are drawn, and a cell a row: {"gold", "predicted", "count", "share" of the gold label}.

    Every share is of all examples of that gold label, those in columns that are not drawn among them.
    """
    labels, counts = list(confusion["labels"]), confusion["counts"]
    chosen: Sequence[int] = range(len(labels))
    if len(labels) > LARGEST:
        errors = [
            sum(counts[i]) + sum(row[i] for row in counts) - 2 * counts[i][i] for i in range(len(labels))
        ]
        chosen = sorted(sorted(chosen, key=lambda i: -errors[i])[:LARGEST])
    names = [labels[i] or "(no name)" for i in chosen]
    rows = []
    for g, gold in zip(chosen, names, strict=True):
        total = sum(counts[g])
        for p, predicted in zip(chosen, names, strict=True):
            count = counts[g][p]
            rows.append(
                {
                    "gold": gold,
                    "predicted": predicted,
                    "count": count,
                    "share": round(count / total, 4) if total else 0.0,
                }
            )
    return names, rows
