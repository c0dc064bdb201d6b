"""Seconds to a validation loss of 1.88 on Shakespeare's characters, in nanoGPT's CPU setting, beside transformers.

    python bench/gpt_vs_transformers.py

Both sides: GPT-2 with 4 layers, 4 heads, width 128, no dropout; batches of 12 windows of 64 characters, the same windows;
the first 90 % of the text to learn from, the last 10 % to judge by (256 windows spread over it while training, all of it
at the end); float32. The peer is transformers' GPT2LMHeadModel under its Trainer with nanoGPT's settings: 2,000 steps,
AdamW 1e-3, 100 steps of warm-up, cosine decay to 1e-4, betas 0.9 and 0.99, weight decay 0.1, gradients cut at 1. Ours is
`gpt` with the section [train] of its recipe but for the batch, and as many steps as it needs (STEPS).
Then qwen3, of the same width and depth, with its recipe, for the time that the peer took.

The two sides take turns. A step's time on a busy machine is mostly its neighbours': the clock is the number of steps
times the 20th percentile of the side's step times; what was really spent in steps stands beside it. Judging and starting
are outside the clock on both sides. Last line: JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

TEXT = (
    Path(__file__).resolve().parents[2] / "shared" / "data" / "text" / "en" / "tinyshakespeare" / "input.txt"
)
BLOCK, ROWS, TARGET = 64, 12, 1.88
SHAPE = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
PEER_STEPS, STEPS, EVERY, WINDOWS = 2_000, 900, 50, 256
FIRST = 5  # ids below are special tokens


@dataclass
class Course:
    """How one run went: the time of every step, and the loss where it was judged."""

    name: str
    seconds: list[float] = field(default_factory=list)
    curve: list[tuple[int, float]] = field(default_factory=list)
    final: float = float("nan")

    def steps_to(self, target: float) -> int | None:
        """The first judged step at or below the target."""
        return next((step for step, loss in self.curve if loss <= target), None)

    @property
    def step_time(self) -> float:
        """Seconds of a step on a quiet machine: the 20th percentile."""
        return float(np.quantile(self.seconds, 0.2))


class Shakespeare:
    """Characters as ids from 5 on: windows to learn from, (N, 65) with the character that follows, and to judge by."""

    def __init__(self) -> None:
        text = TEXT.read_text("utf-8")
        characters = sorted(set(text))
        self.vocabulary = FIRST + len(characters)
        table = {c: FIRST + i for i, c in enumerate(characters)}
        ids = np.array([table[c] for c in text], np.int64)
        cut = int(0.9 * len(ids))
        self.train, self.valid = self._windows(ids[:cut]), self._windows(ids[cut:])
        self.some = self.valid[np.linspace(0, len(self.valid) - 1, WINDOWS).astype(int)]

    @staticmethod
    def _windows(ids: np.ndarray) -> torch.Tensor:
        n = (len(ids) - 1) // BLOCK
        return torch.from_numpy(np.stack([ids[i * BLOCK : i * BLOCK + BLOCK + 1] for i in range(n)]))

    def order(self, steps: int, seed: int) -> torch.Tensor:
        """Which windows each step reads: epochs in an order of their own.  Shapes: -> (steps, 12)"""
        generator = torch.Generator().manual_seed(seed)
        epochs = -(-steps * ROWS // len(self.train))
        flat = torch.cat([torch.randperm(len(self.train), generator=generator) for _ in range(epochs)])
        return flat[: steps * ROWS].view(steps, ROWS)


def batch_of(windows: torch.Tensor) -> Any:
    """Whole rows as polyseme's batch.  Shapes: (B, 65)"""
    from polyseme.core.types import Batch, Targets

    ids, labels = windows[:, :-1].contiguous(), windows[:, 1:].reshape(-1)
    position = torch.arange(BLOCK).expand_as(ids).contiguous()
    return Batch(
        ids=ids,
        segment=torch.ones_like(ids),
        position=position,
        type=torch.zeros_like(ids),
        first=torch.arange(len(ids)) * BLOCK,
        packed=False,
        targets={"causal_lm": Targets(torch.arange(ids.numel()), labels)},
    )


def learner_of(model: str, data: Shakespeare, seed: int, settings: dict[str, Any]) -> Any:
    """Our learner with the model's recipe, in this setting's sizes."""
    from polyseme.data.loader import special_tokens
    from polyseme.train.building import build_objectives
    from polyseme.train.gradient import GradientLearner
    from polyseme.train.recipe import resolve
    from polyseme.core import registry

    sizes: dict[str, Any] = {**SHAPE, "max_position_embeddings": BLOCK}
    if model == "gpt":
        sizes |= {"intermediate_size": 512}
    else:  # its gated feed-forward has three matrices, not two
        sizes |= {"intermediate_size": 344, "head_dim": 32, "num_key_value_heads": 4}
    recipe = resolve(
        model, settings={**sizes, "data.sequence_length": BLOCK, "train.precision": "float32", **settings}
    )
    config = recipe.with_model(vocab_size=data.vocabulary).section("model")
    special = special_tokens(data.vocabulary, 0, 2, 3, 4, list(range(FIRST)))
    torch.manual_seed(seed)
    encoder = registry.models.load(model).ENTRY.build(config)
    counts = torch.bincount(data.train[:, 1:].reshape(-1), minlength=data.vocabulary)
    objectives = build_objectives(recipe, special, seed)
    return GradientLearner(encoder, objectives, recipe.section("train"), torch.device("cpu"), counts, seed)


def ours(model: str, data: Shakespeare, steps: int, seed: int = 1, **settings: Any) -> Iterator[Course]:
    """Train one of our models; gives way every EVERY steps."""
    learner = learner_of(model, data, seed, settings)
    course, order = Course(f"polyseme {model}"), data.order(steps, seed)
    judged = [batch_of(part) for part in data.some.split(64)]
    for step in range(steps):
        began = time.perf_counter()
        learner.step([batch_of(data.train[order[step]])], step / steps)
        course.seconds.append(time.perf_counter() - began)
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            course.curve.append((step + 1, learner.evaluate(judged)["causal_lm_loss"]))
            yield course
    course.final = learner.evaluate([batch_of(part) for part in data.valid.split(64)])["causal_lm_loss"]
