"""Seconds to a validation loss of 1.88 on Shakespeare's characters, in nanoGPT's CPU setting, beside transformers.

    python bench/gpt_vs_transformers.py

Both sides: GPT-2 with 4 layers, 4 heads, width 128, no dropout; batches of 12 windows of 64 characters, the same
windows; the first 90 % of the text to learn from, the last 10 % to judge by (256 windows spread over it while training,
all of it at the end); float32. The peer is transformers' GPT2LMHeadModel under its Trainer with nanoGPT's settings:
2,000 steps, AdamW 1e-3, 100 steps of warm-up, cosine decay to 1e-4, betas 0.9 and 0.99, weight decay 0.1, gradients cut
at 1. Ours is `gpt` with its recipe's optimiser, at a rate that suits this width (RATES), over STEPS steps.
Then qwen3, of the same width and depth, with its recipe's optimiser, for the time that the peer took.

The two sides take turns. A step's time on a busy machine is mostly its neighbours': the clock is the number of steps
times the 20th percentile of the side's step times; what was really spent in steps stands beside it. Judging and
starting are outside the clock on both sides. A peer that ends above the target counts with its whole run, a lower bound
(peer_reached: false). Last line: JSON.
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
PEER_STEPS, STEPS, EVERY, WINDOWS = 2_000, 500, 50, 256
TRAIN = {"train.warmup": 0.05, "train.weight_decay": 0.1}
RATES = {"gpt": {"train.learning_rate": 1e-2, "train.clip_norm": 0.0}, "qwen3": {"train.learning_rate": 3e-3}}
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
    from polyseme.core import registry
    from polyseme.data.loader import special_tokens
    from polyseme.train.build import build_objectives
    from polyseme.train.gradient import GradientLearner
    from polyseme.train.recipe import resolve

    sizes: dict[str, Any] = {**SHAPE, "max_position_embeddings": BLOCK}
    if model == "gpt":
        sizes |= {"intermediate_size": 512}
    else:  # its gated feed-forward has three matrices, not two
        sizes |= {"intermediate_size": 344, "head_dim": 32, "num_key_value_heads": 4}
    recipe = resolve(
        model,
        settings={
            **sizes,
            "data.sequence_length": BLOCK,
            "train.precision": "float32",
            **TRAIN,
            **RATES[model],
            **settings,
        },
    )
    config = recipe.with_model(vocab_size=data.vocabulary).section("model")
    special = special_tokens(data.vocabulary, 0, 2, 3, 4, list(range(FIRST)))
    torch.manual_seed(seed)
    encoder = registry.models.load(model).build(config)
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


class _Windows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The same windows for transformers' Trainer; each position's label is given, not shifted there."""

    def __init__(self, data: Shakespeare, steps: int, seed: int) -> None:
        self.rows = data.train[data.order(steps, seed).reshape(-1)] - FIRST

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[i, :-1], "labels": self.rows[i, 1:], "shift_labels": self.rows[i, 1:]}


def peer(data: Shakespeare, steps: int = PEER_STEPS, seed: int = 1) -> Iterator[Course]:
    """Train transformers' GPT2LMHeadModel under its Trainer; gives way every EVERY steps, as `ours` does."""
    import queue
    import threading

    course = Course("transformers GPT2LMHeadModel")
    turn, done = threading.Semaphore(0), queue.Queue[bool]()
    thread = threading.Thread(target=_train_peer, args=(data, steps, seed, course, turn, done), daemon=True)
    thread.start()
    going = True
    while going:
        turn.release()
        going = done.get()
        yield course
    thread.join()


def _train_peer(data: Shakespeare, steps: int, seed: int, course: Course, turn: Any, done: Any) -> None:
    import transformers

    class Watch(transformers.TrainerCallback):  # type: ignore[misc]
        """Times the steps, judges the model outside the clock, waits for its turn."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            turn.acquire()
            self.mark = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            course.seconds.append(time.perf_counter() - self.mark)
            if state.global_step % EVERY == 0 and state.global_step < steps:
                course.curve.append((state.global_step, peer_loss(model, data.some)))
                done.put(True)
                turn.acquire()
            self.mark = time.perf_counter()

    transformers.set_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=data.vocabulary - FIRST, n_positions=BLOCK, n_embd=128, n_layer=4, n_head=4,
        embd_pdrop=0.0, resid_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, use_cache=False,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    arguments = transformers.TrainingArguments(
        output_dir=str(Path(__file__).parent / ".cache" / "trainer"),
        max_steps=steps,
        per_device_train_batch_size=ROWS,
        learning_rate=1e-3,
        adam_beta2=0.99,
        weight_decay=0.1,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr": 1e-4},
        warmup_steps=100,
        seed=seed,
        use_cpu=True,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    transformers.Trainer(
        model=model, args=arguments, train_dataset=_Windows(data, steps, seed), callbacks=[Watch()]
    ).train()
    course.curve.append((steps, peer_loss(model, data.some)))
    course.final = peer_loss(model, data.valid)
    done.put(False)


@torch.no_grad()
def peer_loss(model: Any, windows: torch.Tensor) -> float:
    """Mean cross-entropy in nats over all 64 characters of every window."""
    model.eval()
    total = 0.0
    for part in (windows - FIRST).split(64):
        logits = model(input_ids=part[:, :-1]).logits
        labels = part[:, 1:].reshape(-1)
        total += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, reduction="sum"))
    model.train()
    return total / (len(windows) * BLOCK)


def side_by_side(*runs: Iterator[Course]) -> list[Course]:
    """Let runs take turns of EVERY steps until all have ended; return how each went."""
    courses: list[Course | None] = [None] * len(runs)
    going = set(range(len(runs)))
    while going:
        for i in sorted(going):
            try:
                courses[i] = next(runs[i])
            except StopIteration:
                going.remove(i)
    return [course for course in courses if course is not None]


def main() -> None:
    """Compare the two, then train qwen3 for the peer's time; print a table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    data = Shakespeare()
    mine, theirs = side_by_side(ours("gpt", data, STEPS), peer(data))
    rows = []
    print(
        f"{'':<30}{'step':>9}{'steps to ' + str(TARGET):>15}{'seconds':>9}{'wall':>7}{'loss at the end':>17}"
    )
    for course in (mine, theirs):
        steps = course.steps_to(TARGET)
        rows.append(
            (steps or len(course.seconds)) * course.step_time
        )  # never: it needs at least its whole run
        show(course, steps, rows[-1])
    if mine.steps_to(TARGET) is None:
        raise SystemExit(f"polyseme's gpt did not reach {TARGET} in {STEPS} steps")
    budget = rows[1]
    (probe,) = side_by_side(ours("qwen3", data, 60))
    steps = round(budget / probe.step_time)
    (modern,) = side_by_side(ours("qwen3", data, steps))
    show(modern, steps, steps * modern.step_time)
    steps = round(budget / mine.step_time)
    (longer,) = side_by_side(ours("gpt", data, steps))
    show(longer, steps, steps * longer.step_time)
    print(f"after {budget:.0f} s of each: qwen3 {modern.final:.3f}, gpt {longer.final:.3f}, "
          f"transformers {theirs.final:.3f} (whole run, {len(theirs.seconds) * theirs.step_time:.0f} s)")  # fmt: skip
    cases = [
        {
            "case": f"seconds to {TARGET}",
            "peer_reached": theirs.steps_to(TARGET) is not None,
            "ours": rows[0],
            "peer": rows[1],
            "ratio": rows[1] / rows[0],
            "unit": "s",
        },
        {
            "case": "qwen3 in the peer's time",
            "ours": modern.final,
            "peer": theirs.final,
            "ratio": theirs.final / modern.final,
            "unit": "nats per character",
        },
    ]  # fmt: skip
    print(json.dumps({"bench": "gpt_vs_transformers", "cases": cases}))


def show(course: Course, steps: int | None, seconds: float) -> None:
    """One line of the table."""
    reached = "never" if steps is None else f"{steps:,}"
    wall = sum(course.seconds[:steps])
    print(f"{course.name:<30}{course.step_time * 1e3:>6.1f} ms{reached:>15}{seconds:>9.1f}{wall:>7.0f}"
          f"{course.final:>17.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
