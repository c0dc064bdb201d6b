"""Tokens per second of a whole training step (forward, backward, clipping, optimiser), against transformers.

    python bench/mlm_vs_transformers.py

Same architecture (BERT, 4 layers, hidden 256, 4 heads, feed-forward 1,024, dropout 0), same batch (32 x 128
random tokens, 19 labels a row), AdamW. The two take turns in one process and medians are compared, because
absolute figures drift with the machine's load. Peak memory is that of a process of its own for each side. The
share is the matrix-product FLOPs that a side computes in a step, over the rate of a 2048^3 product measured
in the same rounds: the best of torch's, oneDNN's and oneDNN's with a matrix laid out before. bfloat16 (autocast
on both sides) is shown where it multiplies faster than float32.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from polyseme.kernels import products

VOCABULARIES = (8_000, 30_522)
LAYERS, HIDDEN, INTERMEDIATE = 4, 256, 1024
ROWS, LENGTH, MASKED = 32, 128, 19
ROUNDS, STEPS_A_TURN, WARM_UP_STEPS = 8, 2, 2
IGNORE, MASK = -100, 4
CLIP = 1.0

Step = Callable[[], Any]


def random_batches(vocab_size: int, n: int = 4) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Make n batches of ids and labels (32, 128), 19 labels a row and -100 elsewhere, for both sides."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(n):
        ids = torch.randint(5, vocab_size, (ROWS, LENGTH), generator=generator)
        masked = torch.zeros(ROWS, LENGTH, dtype=torch.bool)
        masked.scatter_(1, torch.rand(ROWS, LENGTH, generator=generator).argsort(1)[:, :MASKED], True)
        batches.append((ids.masked_fill(masked, MASK), ids.masked_fill(~masked, IGNORE)))
    return batches


def peer(vocab_size: int, dtype: torch.dtype) -> Step:
    """One training step of transformers' BertForMaskedLM with torch's fused AdamW."""
    import _peers_mlm

    torch.manual_seed(0)
    model = _peers_mlm.build("bert", vocab_size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    batches = itertools.cycle(random_batches(vocab_size))

    def step() -> None:
        ids, labels = next(batches)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def ours(vocab_size: int, dtype: torch.dtype) -> Step:
    """One update of polyseme's bert with its masked-LM head and AdamW, on the same batches as the peer."""
    from polyseme.core.types import Batch, Targets
    from polyseme.data.examples import SpecialTokens
    from polyseme.models.bert import Bert, BertConfig
    from polyseme.objectives.masked_lm import MaskedLM, MaskedLMConfig
    from polyseme.train.config import TrainConfig
    from polyseme.train.gradient import GradientLearner

    def batch(ids: torch.Tensor, labels: torch.Tensor) -> Batch:
        positions = (labels.flatten() != IGNORE).nonzero().squeeze(1)
        return Batch(
            ids=ids,
            segment=torch.ones_like(ids),
            position=torch.arange(LENGTH).expand_as(ids).contiguous(),
            type=torch.zeros_like(ids),
            first=torch.arange(0, ids.numel(), LENGTH),
            packed=False,
            targets={"masked_lm": Targets(positions, labels.flatten()[positions])},
        )

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=INTERMEDIATE,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=LENGTH,
    )
    special = SpecialTokens(pad=0, cls=2, sep=3, mask=MASK, special=np.arange(vocab_size) <= MASK)
    learner = GradientLearner(
        encoder=Bert(config),
        objectives=[MaskedLM(MaskedLMConfig(), special, seed=0)],
        config=TrainConfig(
            learning_rate=1e-3,
            clip_norm=CLIP,
            precision="bfloat16" if dtype == torch.bfloat16 else "float32",
        ),
        device=torch.device("cpu"),
        counts=torch.zeros(vocab_size),
        seed=0,
    )
    batches = itertools.cycle([batch(*pair) for pair in random_batches(vocab_size)])
    return lambda: learner.step([next(batches)], progress=0.5)


def step_flops(vocab_size: int, predicted: int) -> float:
    """Matrix-product FLOPs of a step (backward: twice forward).

    The head, and of the last block all but keys and values, run at `predicted` positions a row.
    """
    keys_and_values = 2 * 2 * HIDDEN * HIDDEN
    the_rest = 2 * (2 * HIDDEN * HIDDEN + 2 * HIDDEN * INTERMEDIATE) + 2 * 2 * LENGTH * HIDDEN
    head = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * vocab_size
    everywhere = (LAYERS - 1) * (keys_and_values + the_rest) + keys_and_values
    return 3.0 * ROWS * (LENGTH * everywhere + predicted * (the_rest + head))


def matrix_rate(dtype: torch.dtype, seconds: float = 0.5) -> float:
    """FLOP/s of a 2048^3 matrix product on all threads: the best of those that fit into half a second."""
    a, b = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    out = torch.empty_like(a)
    ways: list[Callable[[], Any]] = [lambda: torch.mm(a, b, out=out)]
    if products.available():
        packed = torch.ops.mkldnn._reorder_linear_weight(b, 2048)
        ways += [lambda: products.product(a, b), lambda: products.product(a, packed)]
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        for way in ways:
            start = time.perf_counter()
            way()
            best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best


def timed(step: Step, n: int) -> float:
    """Seconds of one step, over n."""
    start = time.perf_counter()
    for _ in range(n):
        step()
    return (time.perf_counter() - start) / n


def peak_memory() -> int:
    """Peak resident bytes of this process. Not ru_maxrss on Linux: a child inherits its parent's there."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().split("\n") if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory_of(side: str, vocab_size: int, dtype: torch.dtype) -> tuple[float, float]:
    """MiB of a fresh process after four steps of one side: in all, and what came on top of its imports."""
    command = [sys.executable, __file__, "--memory", side, str(vocab_size), str(dtype).removeprefix("torch.")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    total, imports = json.loads(output.strip().split("\n")[-1])
    return total / 2**20, (total - imports) / 2**20


def print_memory(side: str, vocab_size: int, dtype: torch.dtype) -> None:
    """Take four steps and print [peak bytes, peak bytes before the model was made], for memory_of."""
    make = {"ours": ours, "peer": peer}[side]
    make(100, dtype)  # imports everything
    imports = peak_memory()
    step = make(vocab_size, dtype)
    for _ in range(4):
        step()
    print(json.dumps([peak_memory(), imports]))


def compare(vocab_size: int, dtype: torch.dtype) -> dict[str, dict[str, float]]:
    """Let the two sides take turns; return tokens/s, share of the matrix rate and memory for each."""
    steps = {"ours": ours(vocab_size, dtype), "peer": peer(vocab_size, dtype)}
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    rates: list[float] = []
    for step in steps.values():
        timed(step, WARM_UP_STEPS)
    for _ in range(ROUNDS):
        rates.append(matrix_rate(dtype))
        for side, step in steps.items():
            seconds[side].append(timed(step, STEPS_A_TURN))
    rows = {}
    for side, predicted in (("ours", MASKED), ("peer", LENGTH)):
        middle = median(seconds[side])
        memory, on_top = memory_of(side, vocab_size, dtype)
        flops = step_flops(vocab_size, predicted) / middle
        rows[side] = {
            "tokens/s": ROWS * LENGTH / middle,
            "share": flops / median(rates),
            "GFLOP/s": flops / 1e9,
            "matrix": median(rates) / 1e9,
            "MiB": memory,
            "on top": on_top,
        }
    return rows


def main() -> None:
    """Compare every vocabulary in float32, and in bfloat16 where it pays; print table and JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--memory", nargs=3, metavar=("SIDE", "VOCAB", "DTYPE"), help="used by the bench itself"
    )
    options = parser.parse_args()
    if options.memory:
        side, vocab_size, dtype_name = options.memory
        print_memory(side, int(vocab_size), getattr(torch, dtype_name))
        return
    dtypes = [torch.float32]
    if matrix_rate(torch.bfloat16) > matrix_rate(torch.float32):
        dtypes.append(torch.bfloat16)
    print(f"batch {ROWS} x {LENGTH}, {LAYERS} layers, hidden {HIDDEN}, {torch.get_num_threads()} threads")
    print(
        f"{'case':<24}{'side':<6}{'tokens/s':>9}{'GFLOP/s':>9}{'of matrix':>11}{'peak MiB':>10}{'on top':>8}"
    )
    cases = []
    for dtype in dtypes:
        for vocab_size in VOCABULARIES:
            name = f"vocab={vocab_size}" + (" bfloat16" if dtype == torch.bfloat16 else "")
            rows = compare(vocab_size, dtype)
            for side, row in rows.items():
                share = f"{row['share']:.0%} of {row['matrix']:.0f}"
                print(f"{name:<24}{side:<6}{row['tokens/s']:>9,.0f}{row['GFLOP/s']:>9.0f}{share:>11}"
                      f"{row['MiB']:>10,.0f}{row['on top']:>8,.0f}", flush=True)  # fmt: skip
            mine, theirs = rows["ours"], rows["peer"]
            for key, label, unit, better in (
                ("tokens/s", "", "tokens/s", 1),
                ("MiB", " peak memory", "MiB", -1),
            ):
                cases.append({
                    "case": name + label,
                    "ours": mine[key],
                    "peer": theirs[key],
                    "ratio": (mine[key] / theirs[key]) ** better,
                    "unit": unit,
                    **({"ours_share": mine["share"], "peer_share": theirs["share"]} if not label else {}),
                })  # fmt: skip
    print(json.dumps({"bench": "mlm_vs_transformers", "cases": cases}))


if __name__ == "__main__":
    main()
