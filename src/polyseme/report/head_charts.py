"""Pictures of attention: what every head does as small heat maps, and one head as lines between two columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyseme.report.charts import Axis, Chart, Series, beside, heatmap, links
from polyseme.report.head_view import COLOURS, label
from polyseme.report.language import Speaker

__all__ = ["head_chart", "measures_chart"]

_WRITTEN = 6
"""Heads of a layer up to which every cell has its figure written in it."""

_TOKENS = 80
"""Tokens that a picture shows at most."""

_FAINT = 0.02
"""Smaller shares are not drawn in a picture."""


def measures_chart(document: Mapping[str, Any], names: Mapping[str, str], say: Speaker) -> Chart:
    """A heat map for every measure between 0 and 1: a row a layer, a column a head.

    Args:
        document: `Attention.document`.
        names: the measures that are drawn, and what they are called.
        say: speaks the page's language.
    """
    n_layers, n_heads = document["layers"], document["heads"]
    written = n_heads <= _WRITTEN
    small = max(13, min(26, 250 // n_heads))
    maps = []
    for key, name in names.items():
        rows = [
            {
                "layer": one["layer"],
                "head": one["head"],
                "value": round(one[key]["value"], 4),
                "low": one[key]["low"],
                "high": one[key]["high"],
                "text": f"{one[key]['value']:.2f}".removeprefix("0"),
            }
            for one in document["figures"]
            if one[key]["value"] is not None
        ]
        maps.append(
            heatmap(
                rows,
                Axis("head", say("head")),
                Axis("layer", say("layer")),
                Axis("value", "", ".3f"),
                range(1, n_heads + 1),
                range(1, n_layers + 1),
                text="text" if written else "",
                cell=(40, 28) if written else (small, small),
                title=name,
            )
        )
    return beside(maps)


def head_chart(document: Mapping[str, Any], title: str, say: Speaker) -> Chart:
    """The chosen head as lines from each token on the left to those that it looks at, on the right.

    Args:
        document: `Attention.document`, with a view.
        title: stands above the picture.
        say: speaks the page's language.
    """
    view, chosen = document["view"], document["chosen"]
    head = view["heads"][(chosen["layer"] - 1) * document["heads"] + chosen["head"] - 1]
    tokens = view["tokens"][:_TOKENS]
    kinds = [say("token of A"), say("token of B"), say("separator")]
    edges = [
        {
            "from": i,
            "to": j,
            "share": share,
            "kind": kinds[2 if tokens[i]["text"] is None else tokens[i]["text"]],
        }
        for i, j, share in zip(head["from"], head["to"], head["share"], strict=True)
        if i < len(tokens) and j < len(tokens) and share >= _FAINT
    ]
    words = [label(token, view["texts"]) for token in tokens]
    return links(edges, words, Series("kind", kinds, COLOURS), title)
