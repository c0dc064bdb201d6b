"""Pictures of attention: what every head does as small heat maps, and one head as lines between two columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from polyseme.report.charts import data, ink
from polyseme.report.figures import width
from polyseme.report.head_view import COLOURS, label
from polyseme.report.language import Speaker

__all__ = ["head_chart", "measures_chart"]

_SHADES = ["#F7FBFF", "#C6DBEF", "#6BAED6", "#2171B5", "#08306B"]
"""One hue from light to dark: read alike with every kind of colour blindness, and in grey."""

_WRITTEN = 6
"""Heads of a layer up to which every cell has its figure written in it."""

_TOKENS = 80
"""Tokens that a picture shows at most."""

_FAINT = 0.02
"""Smaller shares are not drawn in a picture."""


def measures_chart(
    document: Mapping[str, Any], names: Mapping[str, str], say: Speaker, columns: int = 3
) -> Any:
    """A heat map for every measure between 0 and 1: a row a layer, a column a head.

    Args:
        document: `Attention.document`.
        names: the measures that are drawn, and what they are called.
        say: speaks the page's language.
        columns: maps side by side.
    """
    import altair as alt

    n_layers, n_heads = document["layers"], document["heads"]
    rows = [
        {
            "measure": name,
            "layer": one["layer"],
            "head": one["head"],
            "value": round(one[key]["value"], 4),
            "low": one[key]["low"],
            "high": one[key]["high"],
            "shown": f"{one[key]['value']:.2f}".removeprefix("0"),
        }
        for key, name in names.items()
        for one in document["figures"]
        if one[key]["value"] is not None
    ]
    written = n_heads <= _WRITTEN
    cell = 40 if written else max(13, min(26, 250 // n_heads))
    tall = 28 if written else max(13, min(26, 250 // n_heads))
    axis: dict[str, Any] = {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "ticks": False,
        "domain": False,
        "grid": False,
        "labelOverlap": True,
    }
    x = alt.X(
        "head:O",
        title=say("head"),
        scale=alt.Scale(domain=list(range(1, n_heads + 1))),
        axis=alt.Axis(orient="bottom", labelAngle=0, **axis),
    )
    y = alt.Y(
        "layer:O",
        title=say("layer"),
        scale=alt.Scale(domain=list(range(1, n_layers + 1))),
        axis=alt.Axis(titleAngle=0, titleAlign="right", titlePadding=6, **axis),
    )
    shade = alt.Color(
        "value:Q",
        scale=alt.Scale(domain=[0, 1], range=_SHADES, interpolate="lab", clamp=True),
        legend=alt.Legend(title=None, gradientLength=120, tickCount=5),
    )
    tooltip = [
        alt.Tooltip("measure:N", title=say("measure")),
        alt.Tooltip("layer:O", title=say("layer")),
        alt.Tooltip("head:O", title=say("head")),
        alt.Tooltip("value:Q", title=say("value"), format=".3f"),
        alt.Tooltip("low:Q", title=say("95 % from"), format=".3f"),
        alt.Tooltip("high:Q", title=say("to"), format=".3f"),
    ]
    base = alt.Chart().encode(x=x, y=y)
    layers: list[Any] = [base.mark_rect(stroke="white").encode(color=shade, tooltip=tooltip)]
    if written:
        figures = base.mark_text(fontSize=12)
        layers.append(figures.encode(text="shown:N", color=ink("value", 0.62), tooltip=tooltip))
    header = alt.Header(labelFontSize=13, labelFontWeight="bold", title=None, labelLimit=280)
    return (
        alt.layer(*layers, data=data(rows))
        .properties(width=cell * n_heads, height=tall * n_layers)
        .facet(facet=alt.Facet("measure:N", sort=list(names.values()), header=header), columns=columns)
        .resolve_axis(x="independent", y="independent")
        .properties(background="white", padding=12)
        .configure_legend(labelFontSize=12)
        .configure_view(stroke=None, fill="#E8E8E8")
    )


def head_chart(document: Mapping[str, Any], title: str, say: Speaker) -> Any:
    """The chosen head as lines from each token on the left to those that it looks at, on the right.

    Args:
        document: `Attention.document`, with a view.
        title: stands above the picture.
        say: speaks the page's language.
    """
    import altair as alt

    view, chosen = document["view"], document["chosen"]
    head = view["heads"][(chosen["layer"] - 1) * document["heads"] + chosen["head"] - 1]
    shown = [label(token, view["texts"]) for token in view["tokens"]][:_TOKENS]
    kinds = [2 if token["text"] is None else token["text"] for token in view["tokens"]][:_TOKENS]
    n = len(shown)
    of = [say("token of A"), say("token of B"), say("separator")]
    lines = [
        {"x": 0.0, "y": i, "x2": 1.0, "y2": j, "share": share, "kind": of[kinds[i]]}
        for i, j, share in _edges(head)
        if i < n and j < n and share >= _FAINT
    ]
    words = [
        {"x": side, "y": i, "token": token, "kind": of[kinds[i]]}
        for side in (0.0, 1.0)
        for i, token in enumerate(shown)
    ]
    there = sorted(set(kinds))
    margin = 0.1 + max(map(width, shown), default=1) * 8 / 260
    x = alt.X("x:Q", scale=alt.Scale(domain=[-margin, 1 + margin], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[-0.7, n - 0.3], reverse=True, nice=False), axis=None)
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=[of[k] for k in there], range=[COLOURS[k] for k in there]),
        legend=alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolStrokeWidth=4)
        if len(there) > 1
        else None,
    )
    drawn = (
        alt.Chart(data(sorted(lines, key=lambda one: float(one["share"]))))
        .mark_rule(strokeCap="round")
        .encode(
            x=x,
            y=y,
            x2="x2:Q",
            y2="y2:Q",
            color=colour,
            opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 0.95]), legend=None),
            strokeWidth=alt.StrokeWidth(
                "share:Q", scale=alt.Scale(domain=[0, 1], range=[0.8, 4.8]), legend=None
            ),
            tooltip=[alt.Tooltip("share:Q", format=".1%")],
        )
    )
    sides: list[tuple[float, Literal["left", "right"], int]] = [(0.0, "right", -8), (1.0, "left", 8)]
    texts = [
        alt.Chart(data([one for one in words if one["x"] == side]))
        .mark_text(align=align, dx=dx, fontSize=14, baseline="middle")
        .encode(x=x, y=y, text="token:N", color=alt.value("#1f2328"))
        for side, align, dx in sides
    ]
    return (
        alt.layer(drawn, *texts)
        .properties(
            title=title, width=round(260 * (1 + 2 * margin)), height=23 * n, background="white", padding=12
        )
        .configure_title(fontSize=15, anchor="start", offset=8)
        .configure_legend(labelFontSize=12)
        .configure_view(stroke=None)
    )


def _edges(head: Mapping[str, Sequence[Any]]) -> list[tuple[int, int, float]]:
    return list(zip(head["from"], head["to"], head["share"], strict=True))
