"""Tokens per second of a whole ELMo training step, against a straightforward one with torch.nn.LSTM.

    python bench/elmo_vs_torch_lstm.py

Same sizes (recipes/elmo.toml: two layers, both directions, 512 cells projected to 256, 32,000 words), same
batch (32 x 64 words drawn by Zipf's law), AdamW, clipping. The peer is what one writes first:
torch.nn.LSTM(proj_size=…) for each layer and direction, the character network for every token, the full
softmax. Ours computes the character network once per distinct word, the recurrence with one product for what
does not depend on time, and the softmax over a sample. `ours, full softmax` shows what the recurrence alone
gains. The sides take turns in one process and medians are compared. The share is the matrix-product FLOPs
that a side computes in a step, over the rate of a 2048^3 product measured in the same rounds.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from mlm_vs_transformers import matrix_rate, timed

VOCABULARY = 32_000
ROWS, LENGTH = 32, 64
CELLS, PROJECTION, LAYERS = 512, 256, 2
FILTERS = ((1, 16), (2, 32), (3, 64), (4, 64), (5, 64))
CHARACTER_SIZE, HIGHWAYS, SAMPLES, CHARACTERS = 16, 1, 4096, 64
ROUNDS, WARM_UP_STEPS = 4, 1

Step = Callable[[], Any]


def words() -> list[str]:
    """Spellings of a vocabulary: five special tokens, then words of 1 to 14 letters, longer ones rarer."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    lengths = np.clip(2 + random.poisson(5, VOCABULARY), 1, 14)
    spelled = ["".join(random.choice(letters, n)) + str(i) for i, n in enumerate(lengths)]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *spelled[5:]]


def batches(n: int = 4) -> list[np.ndarray]:
    """Ids (32, 64): [CLS], words drawn by Zipf's law, [SEP]."""
    random = np.random.default_rng(1)
    shares = 1.0 / np.arange(1, VOCABULARY - 4)
    made = []
    for _ in range(n):
        ids = 5 + random.choice(VOCABULARY - 5, (ROWS, LENGTH), p=shares / shares.sum())
        ids[:, 0], ids[:, -1] = 2, 3
        made.append(ids)
    return made


class Straightforward(nn.Module):
    """The peer: every token spelled, one torch.nn.LSTM for each layer and direction, the full softmax."""

    def __init__(self, spelling: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("spelling", spelling)
        self.characters = nn.Embedding(CHARACTERS, CHARACTER_SIZE, padding_idx=0)
        self.filters = nn.ModuleList(nn.Conv1d(CHARACTER_SIZE, number, width) for width, number in FILTERS)
        total = sum(number for _, number in FILTERS)
        self.highways = nn.ModuleList(nn.Linear(total, 2 * total) for _ in range(HIGHWAYS))
        self.projection = nn.Linear(total, PROJECTION)
        self.table = nn.Embedding(VOCABULARY, PROJECTION)
        self.lstms = nn.ModuleList(
            nn.ModuleList(
                nn.LSTM(PROJECTION, CELLS, proj_size=PROJECTION, batch_first=True) for _ in range(LAYERS)
            )
            for _ in range(2)
        )
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        letters = self.characters(self.spelling[ids.flatten()]).transpose(1, 2)
        y = torch.cat([f(letters).amax(2) for f in self.filters], dim=1).relu()
        for layer in self.highways:
            changed, gate = layer(y).chunk(2, dim=1)
            t = gate.sigmoid()
            y = t * changed.relu() + (1 - t) * y
        x = self.projection(y).view(*ids.shape, -1) + self.table(ids)
        loss = torch.zeros(())
        for direction, lstms in enumerate(self.lstms):
            h, labels = (x, ids) if direction == 0 else (x.flip(1), ids.flip(1))
            for k, lstm in enumerate(lstms):
                r, _ = lstm(h)
                h = r + h if k else r
            logits = nn.functional.linear(h[:, :-2], self.table.weight, self.bias)
            loss = loss + nn.functional.cross_entropy(
                logits.reshape(-1, VOCABULARY).float(), labels[:, 1:-1].flatten()
            )
        return loss / 2


def peer(dtype: torch.dtype) -> Step:
    """One training step of the peer."""
    from polyseme.layers.charcnn import Spelling, table_of

    spelled = words()
    spelling = Spelling(spelled, spelled[:5], 50)
    torch.manual_seed(0)
    model = Straightforward(table_of([spelling.of_token(w) for w in spelled])[0])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    turns = itertools.cycle([torch.from_numpy(ids) for ids in batches()])

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = model(next(turns))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def ours(dtype: torch.dtype, samples: int) -> Step:
    """One update of polyseme's elmo on the same batches."""
    from polyseme.data.examples import Example, SpecialTokens
    from polyseme.data.loader import collate, to_batch
    from polyseme.models.elmo import Elmo, ElmoConfig
    from polyseme.objectives.bidirectional_lm import BidirectionalLM, BidirectionalLMConfig
    from polyseme.train.config import TrainConfig
    from polyseme.train.gradient import GradientLearner

    torch.manual_seed(0)
    encoder = Elmo(
        ElmoConfig(
            vocab_size=VOCABULARY,
            hidden_size=2 * PROJECTION,
            num_hidden_layers=LAYERS,
            intermediate_size=CELLS,
            input="both",
            filters=FILTERS,
            character_size=CHARACTER_SIZE,
            highway_layers=HIGHWAYS,
            hidden_dropout_prob=0.0,
            cell_clip=0.0,
            projection_clip=0.0,
        )
    )
    encoder.read_vocabulary(words())
    special = SpecialTokens(pad=0, cls=2, sep=3, mask=4, special=np.arange(VOCABULARY) <= 4)
    objective = BidirectionalLM(BidirectionalLMConfig(samples=samples), special, seed=0)
    learner = GradientLearner(
        encoder,
        [objective],
        TrainConfig(learning_rate=1e-3, precision="bfloat16" if dtype == torch.bfloat16 else "float32"),
        torch.device("cpu"),
        torch.arange(VOCABULARY, 0, -1),
        seed=0,
    )
    zeros, starts = np.zeros(LENGTH, np.int64), np.ones(LENGTH, np.bool_)
    turns = itertools.cycle(
        [
            to_batch(collate([[Example(row, zeros, starts)] for row in ids], LENGTH, special), [objective])
            for ids in batches()
        ]
    )
    return lambda: learner.step([next(turns)], progress=0.5)


def step_flops(classes: float) -> float:
    """Matrix-product FLOPs of one of our steps but for the character network (backward: twice forward)."""
    lstm = 2 * (4 * CELLS * PROJECTION * 2 + CELLS * PROJECTION)
    return 3.0 * ROWS * LENGTH * 2 * (LAYERS * lstm + 2 * PROJECTION * classes * (LENGTH - 2) / LENGTH)


def sampled_classes() -> float:
    """Distinct classes of a sample, on average."""
    from polyseme.layers.cross_entropy import log_uniform

    draws = np.random.default_rng(0).random((8, SAMPLES))
    return float(np.mean([len(log_uniform(row, VOCABULARY - 4)[0]) for row in draws]))


def main() -> None:
    """Compare in float32, and in bfloat16 where it pays; print table and JSON line."""
    dtypes = [torch.float32]
    if matrix_rate(torch.bfloat16) > matrix_rate(torch.float32):
        dtypes.append(torch.bfloat16)
    print(f"batch {ROWS} x {LENGTH}, {LAYERS} layers, {CELLS} cells, projection {PROJECTION}, "
          f"{VOCABULARY:,} words, {torch.get_num_threads()} threads")  # fmt: skip
    print(f"{'case':<12}{'side':<24}{'tokens/s':>9}{'GFLOP/s':>9}{'of matrix':>14}")
    cases = []
    classes = {
        "ours": sampled_classes(),
        "ours, full softmax": float(VOCABULARY),
        "torch.nn.LSTM": float(VOCABULARY),
    }
    for dtype in dtypes:
        name = str(dtype).removeprefix("torch.")
        steps = {
            "ours": ours(dtype, SAMPLES),
            "ours, full softmax": ours(dtype, 0),
            "torch.nn.LSTM": peer(dtype),
        }
        seconds: dict[str, list[float]] = {side: [] for side in steps}
        rates = []
        for step in steps.values():
            timed(step, WARM_UP_STEPS)
        for _ in range(ROUNDS):
            rates.append(matrix_rate(dtype))
            for side, step in steps.items():
                seconds[side].append(timed(step, 2 if side == "ours" else 1))
        speed, share = {}, {}
        for side in steps:
            middle = median(seconds[side])
            flops = step_flops(classes[side]) / middle
            speed[side], share[side] = ROWS * LENGTH / middle, flops / median(rates)
            of = f"{share[side]:.0%} of {median(rates) / 1e9:.0f}"
            print(f"{name:<12}{side:<24}{speed[side]:>9,.0f}{flops / 1e9:>9.0f}{of:>14}", flush=True)
        for side, case in (("ours", name), ("ours, full softmax", f"{name} full softmax on both sides")):
            cases.append({
                "case": case,
                "ours": speed[side],
                "peer": speed["torch.nn.LSTM"],
                "ratio": speed[side] / speed["torch.nn.LSTM"],
                "unit": "tokens/s",
                "ours_share": share[side],
                "peer_share": share["torch.nn.LSTM"],
            })  # fmt: skip
    print(json.dumps({"bench": "elmo_vs_torch_lstm", "cases": cases}))


if __name__ == "__main__":
    main()
