"""The weights of every layer in learned mixes, side by side: the picture of the ELMo paper.

    s_j = softmax(w)_j,   h = γ Σ_j s_j h_j

Source:  Peters et al. (2018), equation 1 and Figure 2. Departures: weights are shaded by their size and written in the
cells, where the paper hatches those below 1/3 and speckles those above 2/3; deeper models have more layers than three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.errors import InputError
from polyseme.report.charts import boxes_for, check_formats, data, ink, save

if TYPE_CHECKING:
    import altair as alt

    from polyseme.train.run import RunDirectory

__all__ = ["SHADES", "mix_chart", "mix_rows", "write_mix_chart"]

SHADES = ["#FFF7EC", "#FDD49E", "#FC8D59", "#D7301F", "#7F0000"]
"""Light to dark in one hue: read alike with every kind of colour blindness, and in grey."""


def mix_chart(runs: Sequence[RunDirectory], title: str = "Layer mix") -> alt.LayerChart:
    """Draw the learned mixes of runs: a column a run, a row a layer, the embedding layer at the bottom.

    Args:
        runs: adapted with --feature-based, to any tasks, from any models.
        title: stands above the chart.
    Raises:  InputError: a run has learned no mix.
    """
    import altair as alt

    names, rows = mix_rows(runs)
    layers = sorted({row["layer"] for row in rows}, reverse=True)
    most = max(row["weight"] for row in rows)
    axis: dict[str, Any] = {
        "labelFontSize": 13,
        "titleFontSize": 14,
        "titleFontWeight": "normal",
        "labelLimit": 260,
        "labelPadding": 6,
        "ticks": False,
        "domain": False,
    }
    x = alt.X(
        "run:N",
        sort=names,
        title=None,
        axis=alt.Axis(orient="bottom", labelAngle=0 if max(map(len, names)) < 11 else -35, **axis),
    )
    y = alt.Y("layer:O", sort=layers, title="layer (0 = embeddings)", axis=alt.Axis(**axis))
    shade = alt.Color(
        "weight:Q",
        scale=alt.Scale(domain=[0, max(most, 1e-6)], range=SHADES, interpolate="lab"),
        legend=alt.Legend(title="softmax(w)", format=".2f", tickCount=5),
    )
    tooltip = [
        "run:N",
        "layer:O",
        alt.Tooltip("weight:Q", format=".4f"),
        alt.Tooltip("gamma:Q", format=".3f"),
    ]
    base = alt.Chart(data(rows)).encode(x=x, y=y)
    cells = base.mark_rect(stroke="white").encode(color=shade, tooltip=tooltip)
    figures = base.mark_text(fontSize=12).encode(
        text=alt.Text("weight:Q", format=".2f"), color=ink("weight", 0.6 * most), tooltip=tooltip
    )
    chart: alt.LayerChart = (
        alt.layer(cells, figures)
        .properties(
            title=title, width=84 * len(names), height=34 * len(layers), background="white", padding=16
        )
        .configure_legend(labelFontSize=12, titleFontSize=13, titleFontWeight="normal")
        .configure_title(fontSize=16, anchor="start", offset=10)
        .configure_view(stroke=None)
    )
    return chart


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


def write_mix_chart(
    runs: Sequence[RunDirectory], paths: Sequence[Path], title: str = "Layer mix"
) -> str | None:
    """Draw learned mixes into files.

    Args:
        runs: adapted with --feature-based.
        paths: files to write; the ending says the format: .svg, .png or .html.
        title: stands above the chart.
    Returns what a person should know of the pictures, if anything.
    Raises:  ConfigError: another ending.  InputError: a run has learned no mix.
    """
    check_formats(paths)
    save(mix_chart(runs, title), paths)
    return boxes_for([run.path.name for run in runs], paths)
