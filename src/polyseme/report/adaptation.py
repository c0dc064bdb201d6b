"""An adapted run in a dozen figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polyseme.report.figures import count, duration, measure

if TYPE_CHECKING:
    from polyseme.train.run import RunDirectory

_BAR = 30


def summarize(run: RunDirectory) -> dict[str, Any]:
    """Gather what a task was learned from and how well, JSON-able.

    Returns task, path, model, from, feature_based, examples {train, dev}, dev {figure: value}, seeds, mix (weights of
    the layers and γ, where they were learned), decoding, steps, seconds, problems and notes.
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
        lines.append(f"  dev {name:<24}{measure(value)}{seeds}")
    if summary["mix"]:
        lines += ["layer mix", *mix_lines(summary["mix"])]
    return "\n".join(lines)


def mix_lines(mix: Mapping[str, Any]) -> list[str]:
    """The weight of every layer as a bar, and γ."""
    weights = mix["weights"]
    most = max(weights)
    lines = [
        f"  layer {number:<3}{weight:.3f} {'█' * max(1, round(_BAR * weight / most))}"
        for number, weight in enumerate(weights)
    ]
    return [*lines, f"  γ {mix['gamma']:.3f}"]
