"""Seconds that polyseme needs to reach the final held-out loss of ten minutes of transformers.

    python bench/mlm_time_to_loss.py     the peers (about an hour, or kept results), then ours for 0.5, 1.5, 10 minutes
    python bench/mlm_time_to_loss.py --model bert --minutes 30

English novels, 8,000 WordPiece tokens, the same training text and the same held-out masked positions for
everyone (_novels.py). Each peer counts with the best of three learning rates (_peers_mlm.py).

Ours is `pretrain` with the model's default recipe in float32, as the peers are; a budget of minutes sets its sizes and
its schedule, so several budgets are tried. Both sides' clocks are the same: the step time of a quiet machine (20th
percentile of the steps) times the number of steps, plus what ours counts before its first step; evaluations and saves
are outside. The wall column is the time that ours really spent in steps, with whatever else the machine was doing.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

import _novels
import _peers_mlm

BUDGETS = (0.5, 1.5, 10.0)
WARM_UP_STEPS = 5
SECONDS_BETWEEN_POINTS = 5.0
MOST_POINTS = 100

Curve = list[dict[str, float]]


def best_peers(only_finished: bool) -> list[dict[str, Any]]:
    """Choose each peer's best learning rate, of those that were run before or of all three."""
    results = _peers_mlm.all_finished() if only_finished else _peers_mlm.sweep()
    found = [[run for run in results if run["model"] == name] for name in _peers_mlm.MODELS]
    return [min(runs, key=lambda run: run["heldout_loss"]) for runs in found if runs]


def store(novels: _novels.Novels) -> Path:
    """Prepare the novels for polyseme once, with the tokenizer that the peers use."""
    from polyseme.data.prepare import prepare
    from polyseme.text.config import TextConfig
    from polyseme.text.tokenizers import Tokenizer

    folder = _novels.CACHE / "store"
    if not folder.is_dir():
        prepare(
            [str(novels.train_text)],
            folder,
            text=TextConfig(documents="blank", language="en"),
            tokenizer=Tokenizer.from_file(novels.tokenizer),
            valid_files=[str(novels.valid_text)],
        )
    return folder


def heldout(novels: _novels.Novels) -> list[Any]:
    """Make polyseme's batches of the held-out blocks with the masks that the peers are scored on."""
    from polyseme.core.types import Batch, Targets

    nothing = Targets(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long))
    batches = []
    for start in range(0, len(novels.valid_ids), 50):
        ids = torch.from_numpy(novels.valid_ids[start : start + 50])
        labels = torch.from_numpy(novels.valid_labels[start : start + 50]).flatten()
        positions = (labels != _novels.IGNORE).nonzero().squeeze(1)
        batches.append(
            Batch(
                ids=ids,
                segment=torch.ones_like(ids),
                position=torch.arange(_novels.BLOCK).expand_as(ids).contiguous(),
                type=torch.zeros_like(ids),
                first=torch.arange(0, ids.numel(), _novels.BLOCK),
                packed=False,
                targets={"masked_lm": Targets(positions, labels[positions]), "next_sentence": nothing},
            )
        )
    return batches


def ours(
    model: str, minutes: float, points: int, precision: str, novels: _novels.Novels
) -> list[dict[str, Any]]:
    """Run `pretrain` for so many minutes, judged on the fixed masks; return the records of metrics.jsonl."""
    from polyseme.train.pretrain import pretrain
    from polyseme.train.request import Budget, PretrainRequest

    fixed = heldout(novels)
    with (
        tempfile.TemporaryDirectory(dir=_novels.CACHE) as folder,
        patch("polyseme.train.heldout.heldout_batches", lambda *_: fixed),
    ):
        request = PretrainRequest(
            model=model,
            corpus=[str(store(novels))],
            output=Path(folder) / "run",
            budget=Budget(minutes=minutes),
            settings={"train.precision": precision, "train.evaluations": points},
        )
        return pretrain(request).metrics()


def step_seconds(records: list[dict[str, Any]]) -> np.ndarray:
    """Seconds of each step, without evaluations and saves, from the tokens and tokens/s in its record."""
    steps = [record for record in records if "tokens_per_second" in record]
    tokens = np.diff([0, *(record["tokens"] for record in steps)])
    return tokens / np.array([record["tokens_per_second"] for record in steps])


def curve_of(records: list[dict[str, Any]], step_time: float) -> Curve:
    """Held-out loss by step, tokens, nominal seconds (steps x step time) and wall seconds of the steps."""
    startup = records[0]["seconds"]  # counting co-occurrences before the first step is training time too
    wall = startup + np.concatenate([[0.0], step_seconds(records).cumsum()])
    return [
        {
            "step": record["step"],
            "tokens": record["tokens"],
            "nominal_seconds": startup + record["step"] * step_time,
            "wall_seconds": float(wall[record["step"]]),
            "heldout_loss": record["heldout_loss"],
        }
        for record in records
        if "heldout_loss" in record
    ]


def passes(curves: list[Curve], loss: float, clock: str) -> float:
    """When ours first has `loss`: the earliest point of any run at or below it (infinite where none is)."""
    times = (point[clock] for curve in curves for point in curve if point["heldout_loss"] <= loss)
    return min(times, default=math.inf)


def main() -> None:
    """Run or reuse the peers, run ours, print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="modernbert", help="polyseme's model (default: modernbert)")
    parser.add_argument("--minutes", type=float, nargs="+", default=BUDGETS, help="budgets of ours")
    parser.add_argument("--precision", default="float32", help="float32 as the peers, or bfloat16")
    parser.add_argument("--finished", action="store_true", help="compare with finished runs of peers only")
    options = parser.parse_args()
    novels = _novels.load()
    peers = best_peers(options.finished)
    n_masked = (novels.valid_labels != _novels.IGNORE).sum()
    print(f"unigram {novels.unigram:.3f} nats on {n_masked:,} masked positions")

    curves = []
    for minutes in options.minutes:
        points = min(MOST_POINTS, max(1, round(60 * minutes / SECONDS_BETWEEN_POINTS)))
        records = ours(options.model, minutes, points, options.precision, novels)
        step_time = float(np.quantile(step_seconds(records)[WARM_UP_STEPS:], 0.2))
        curve = curve_of(records, step_time)
        name = f"{options.model}_{options.precision}_{minutes:g}min.json"
        _novels.write_atomic(_novels.BENCH / "results" / "ours" / name, json.dumps(curve, indent=1).encode())
        curves.append(curve)
        print(
            f"\nours: {options.model}, {minutes:g} minutes: {curve[-1]['step']:,} steps of {step_time:.4f} s"
        )
        print(f"{'seconds':>9}{'wall':>9}{'tokens':>13}{'held-out':>10}")
        for point in curve[:: max(1, len(curve) // 20)] + curve[-1:]:
            print(
                "{nominal_seconds:>9.1f}{wall_seconds:>9.1f}{tokens:>13,}{heldout_loss:>10.3f}".format(
                    **point
                )
            )

    print(
        f"\n{'peer':<12}{'best lr':>9}{'tokens':>13}{'at':>9}{'held-out':>10}{'ours passes':>16}{'wall':>11}"
    )
    cases = []
    for peer in peers:
        loss = peer["heldout_loss"]
        at, wall = (passes(curves, loss, clock) for clock in ("nominal_seconds", "wall_seconds"))
        print(
            f"{peer['model']:<12}{peer['learning_rate']:>9g}{peer['tokens']:>13,}{peer['seconds']:>7g} s"
            f"{loss:>10.3f}{at:>14.1f} s{wall:>9.1f} s"
        )
        cases.append(
            {
                "case": f"{peer['model']} loss {loss:.3f}",
                "ours": at if math.isfinite(at) else None,
                "peer": peer["seconds"],
                "ratio": peer["seconds"] / at,
                "unit": "s",
            }
        )
    print(json.dumps({"bench": "mlm_time_to_loss", "cases": cases}))


if __name__ == "__main__":
    main()
