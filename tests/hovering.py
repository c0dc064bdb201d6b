"""What a chart shows of a mark when the pointer rests on it, as Vega compiles it: lines of one title become one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import vl_convert


def shown_on_hover(chart: Any) -> set[str]:
    """The expressions of all marks' tooltips."""
    return set(_signals(vl_convert.vegalite_to_vega(chart.to_dict())))


def _signals(spec: Any) -> Iterator[str]:
    if isinstance(spec, dict):
        tooltip = spec.get("tooltip")
        if isinstance(tooltip, dict) and "signal" in tooltip:
            yield tooltip["signal"]
        for value in spec.values():
            yield from _signals(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _signals(value)
