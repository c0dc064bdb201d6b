"""An adapted run in a dozen figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polyseme.report.figures import count, duration, measure
from polyseme.study.standings import above

if TYPE_CHECKING:
    from polyseme.train.run import RunDirectory

_BAR = 30


def summarize(run: RunDirectory) -> dict[str, Any]:
    """Gather what a task was learned from and how well, JSON-able.

    Returns task, path, model, from, feature_based, examples {train, dev}, dev {figure: value}, dev_intervals {figure:
    {low, high, n}}, dev_chance {main figure: without any knowledge of the text}, seeds, mix (weights of the layers and
    γ, where they were learned), decoding, steps, seconds, problems and notes.
    """
    meta = run.meta
    adapted, results = meta["adapted"], meta.get("results") or {}
    return {
        "task": adapted["task"],
        "path": str(run.path),
        "model": meta["model"],
        "status": meta.get("status"),
        "from": adapted["from"],
        "from_scratch": adapted["from_scratch"],
        "feature_based": adapted["feature_based"],
        "parameters": meta.get("parameters"),
        "trained_parameters": meta.get("trained_parameters"),
        "examples": {part: adapted[part]["examples"] for part in ("train", "dev")},
        "dev": results.get("dev"),
        "dev_intervals": results.get("dev_intervals") or {},
        "dev_chance": results.get("dev_chance") or {},
        "seeds": meta.get("seeds"),
        "mix": results.get("mix"),
        "decoding": {k: v for k, v in meta.get("decoding", {}).items() if k != "crf"},
        "steps": results.get("steps"),
        "seconds": results.get("seconds"),
        "problems": adapted["problems"],
        "notes": adapted["notes"],
    }


def summary_text(summary: Mapping[str, Any]) -> str:
    """The same for people."""
    how = "frozen encoder, learned mix" if summary["feature_based"] else "whole model trained"
    start = "random weights" if summary["from_scratch"] else summary["from"]
    lines = [
        f"{summary['task']} on {summary['model']}, from {start}: {how}",
        f"{summary['trained_parameters']:,} of {summary['parameters']:,} parameters trained on "
        f"{count(summary['examples']['train'])} examples in {duration(summary['seconds'] or 0)}",
    ]
    spread = ((summary.get("seeds") or {}).get("dev")) or {}
    for name, value in (summary["dev"] or {}).items():
        over = spread.get(name)
        seeds = f"   seeds {measure(over['mean'])} ± {measure(over['deviation'])}" if over else ""
        lines.append(f"  dev {name:<24}{dev_figure(summary, name, value)}{seeds}")
    if (note := useless(summary)) is not None:
        lines.append(f"  {note}")
    if summary["mix"]:
        lines += ["layer mix", *mix_lines(summary["mix"], (summary.get("seeds") or {}).get("mix"))]
    return "\n".join(lines)


def dev_figure(summary: Mapping[str, Any], name: str, value: float | None) -> str:
    """A figure on dev and its 95 % interval."""
    found = (summary.get("dev_intervals") or {}).get(name) or {}
    if value is None or found.get("low") is None or found.get("high") is None:
        return measure(value)
    return f"{measure(value)} ({measure(found['low'])} … {measure(found['high'])})"


def useless(summary: Mapping[str, Any]) -> str | None:
    """What is said of a head that is not above chance on dev: its layer weights, too, are luck; None of others."""
    for name, chance in (summary.get("dev_chance") or {}).items():
        value = (summary["dev"] or {}).get(name)
        if chance is not None and value is not None and not above(value, chance, name):
            mix = ": the layer mix is luck" if summary["mix"] else ""
            return f"not above {measure(chance)}, which no knowledge of the text gives{mix}"
    return None


def mix_lines(mix: Mapping[str, Any], seeds: Mapping[str, Any] | None = None) -> list[str]:
    """The weight of every layer as a bar, and γ; of several seeds the means with Student's intervals over them."""
    weights = mix["weights"] if seeds is None else [one["mean"] for one in seeds["weights"]]
    most = max(weights)
    lines = []
    for number, weight in enumerate(weights):
        over = (
            ""
            if seeds is None
            else f" ({seeds['weights'][number]['low']:.3f} … {seeds['weights'][number]['high']:.3f})"
        )
        lines.append(f"  layer {number:<3}{weight:.3f}{over} {'█' * max(1, round(_BAR * weight / most))}")
    if seeds is None:
        return [*lines, f"  γ {mix['gamma']:.3f}"]
    gamma = seeds["gamma"]
    n = len(gamma["values"])
    return [*lines, f"  γ {gamma['mean']:.3f} ({gamma['low']:.3f} … {gamma['high']:.3f}), means of {n} seeds"]
