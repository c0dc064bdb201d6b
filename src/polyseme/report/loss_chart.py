"""The loss curve of a run: train and held-out loss over minutes, with the unigram baseline as a line to pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.errors import InputError
from polyseme.report.charts import check_formats, data, save

if TYPE_CHECKING:
    import altair as alt

# Okabe and Ito's palette: told apart with every common kind of colour blindness, and in grey.
_COLOURS = {"train": "#56B4E9", "held-out": "#D55E00", "unigram baseline": "#4D4D4D"}
_DASHES = {"train": [1, 0], "held-out": [1, 0], "unigram baseline": [6, 4]}
UNIT = "nats per predicted token"
_POINTS = 200  # train losses shown at most: beyond that a line is a band of noise that hides the others


def loss_chart(records: Iterable[Mapping[str, Any]], title: str = "Loss", unit: str = UNIT) -> alt.LayerChart:
    """Draw the losses of a run.

    Args:
        records: lines of metrics.jsonl; uses seconds, loss, heldout_loss and unigram_loss (nats per predicted token).
        title: stands above the chart.
        unit: of the losses.

    Raises:  InputError: no record has a loss, so there is nothing to draw.
    """
    import altair as alt

    rows = curve_rows(records)
    if not rows:
        raise InputError("there is no loss to draw yet", fix="train for a few steps more")
    shown = [name for name in _COLOURS if any(row["curve"] == name for row in rows)]
    x = alt.X("minutes:Q", title="minutes of training", scale=alt.Scale(nice=False, zero=True))
    y = alt.Y("loss:Q", title=f"loss ({unit})", scale=alt.Scale(zero=False, padding=12))
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolSize=300)
    colour = alt.Color(
        "curve:N",
        scale=alt.Scale(domain=shown, range=[_COLOURS[name] for name in shown]),
        sort=shown,
        legend=legend,
    )
    dash = alt.StrokeDash(
        "curve:N",
        scale=alt.Scale(domain=shown, range=[_DASHES[name] for name in shown]),
        sort=shown,
        legend=legend,
    )
    tooltip: list[str | alt.Tooltip] = [
        "curve:N",
        alt.Tooltip("minutes:Q", format=".2f"),
        alt.Tooltip("loss:Q", format=".3f"),
    ]
    base = alt.Chart(data(rows)).encode(x=x, y=y, color=colour, tooltip=tooltip)
    train = base.transform_filter("datum.curve == 'train'").mark_line(strokeWidth=1.5, opacity=0.85)
    heldout = base.transform_filter("datum.curve == 'held-out'").mark_line(
        strokeWidth=3, point=alt.OverlayMarkDef(filled=True, size=36)
    )
    baseline = base.transform_filter("datum.curve == 'unigram baseline'").mark_line(strokeWidth=2)
    ends = [row for row in _last_of_each(rows) if row["curve"] != "train"]
    label: dict[str, Any] = {"align": "right", "dy": -14, "fontSize": 14, "fontWeight": "bold"}
    text = alt.Chart(data(ends)).encode(x=x, y=y, text=alt.Text("loss:Q", format=".2f"))
    halo = text.mark_text(**label, stroke="white", strokeWidth=5, color="white")
    layers = (layer.encode(strokeDash=dash) for layer in (train, baseline, heldout))
    chart: alt.LayerChart = (
        alt.layer(*layers, halo, text.mark_text(**label).encode(color=colour))
        .properties(title=title, width=640, height=360, background="white", padding=16)
        .configure_axis(labelFontSize=13, titleFontSize=14, titleFontWeight="normal", gridColor="#E6E6E6")
        .configure_legend(labelFontSize=13, labelLimit=300)
        .configure_title(fontSize=16, anchor="start", offset=8)
        .configure_view(stroke=None)
    )
    return chart


def curve_rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turn metrics into points of curves: {"curve", "minutes", "loss"}.

    The baseline is one number, the last one logged, drawn from the first to the last minute. Train losses beyond
    what a chart can show are averaged over equal shares of the run.
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
    curves = {"train": _thin(train, _POINTS), "held-out": heldout}
    times = [minutes for points in curves.values() for minutes, _ in points]
    if times and unigram is not None:
        curves["unigram baseline"] = [(0.0, unigram), (max(times), unigram)]
    return [
        {"curve": name, "minutes": round(minutes, 4), "loss": round(loss, 5)}
        for name, points in curves.items()
        for minutes, loss in points
    ]


def _thin(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    if len(points) <= most:
        return list(points)
    edges = [round(i * len(points) / most) for i in range(most + 1)]
    shares = [points[a:b] for a, b in pairwise(edges)]
    return [
        (sum(minutes for minutes, _ in share) / len(share), sum(loss for _, loss in share) / len(share))
        for share in shares
    ]


def _last_of_each(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({row["curve"]: row for row in rows}.values())


def write_loss_chart(
    records: Iterable[Mapping[str, Any]], paths: Sequence[Path], title: str = "Loss", unit: str = UNIT
) -> list[Path]:
    """Draw the losses of a run into files.

    Args:
        records: lines of metrics.jsonl.
        paths: files to write; the ending says the format: .svg, .png or .html.
        title: stands above the chart.
        unit: of the losses.

    Raises:
        ConfigError: another ending.
        InputError: there is no loss to draw yet.
    """
    check_formats(paths)
    return save(loss_chart(records, title, unit), paths)
