"""The peers of mlm_time_to_loss: transformers' BERT and ModernBERT under transformers.Trainer.

    python bench/_peers_mlm.py --sweep                               all six runs, one after another
    python bench/_peers_mlm.py --model bert --learning-rate 1e-3     one run of 600 seconds

Both have 4 layers, hidden 256, 4 heads, vocabulary 8,000, no dropout, and train in float32 on batches of 32
blocks of 128 tokens with AdamW, weight decay 0.01, 5 % warm-up and linear decay to 0. BERT's feed-forward is
1,024 wide; ModernBERT's gated one has three matrices, not two, and is 768 wide (5.53 M parameters, 5.32 M).

The budget is training time on a quiet machine. A neighbour's load must not cost the peer anything, so its
step time is calibrated once (the 20th percentile of 40 steps) and a run makes exactly seconds / step_time
steps, however long that takes. Evaluation is outside the clock. Results: bench/results/peers/MODEL_LR.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

import _novels

MODELS = ("bert", "modernbert")
LEARNING_RATES = (3e-4, 1e-3, 2e-3)
SECONDS = 600
BATCH = 32
WARM_UP = 0.05
EVALUATIONS = 20
CALIBRATION_STEPS = 40
RESULTS = _novels.BENCH / "results" / "peers"
CALIBRATION = _novels.CACHE / "calibration.json"


def build(name: str, vocab_size: int = _novels.VOCAB_SIZE) -> transformers.PreTrainedModel:
    """Build one peer with fresh weights."""
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": _novels.BLOCK,
        "pad_token_id": _novels.PAD,
        "attn_implementation": "sdpa",
    }
    if name == "bert":
        config = transformers.BertConfig(
            intermediate_size=1024, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **sizes
        )
        return transformers.BertForMaskedLM(config)
    special = {"cls_token_id": _novels.CLS, "sep_token_id": _novels.SEP}
    special |= {"bos_token_id": _novels.CLS, "eos_token_id": _novels.SEP}
    config = transformers.ModernBertConfig(intermediate_size=768, sparse_prediction=True, **special, **sizes)
    return transformers.ModernBertForMaskedLM(config)


class Blocks(torch.utils.data.Dataset):
    """The training blocks as the collator wants them; the special tokens are marked in advance."""

    def __init__(self, blocks: np.ndarray) -> None:
        self.blocks = blocks
        self.special = np.zeros(blocks.shape[1], dtype=np.int64)
        self.special[[0, -1]] = 1

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        return {"input_ids": self.blocks[i].astype(np.int64), "special_tokens_mask": self.special}


@torch.no_grad()
def heldout_loss(model: transformers.PreTrainedModel, novels: _novels.Novels) -> float:
    """Mean cross-entropy in nats over the fixed masked positions; the head runs at those alone."""
    was_training = model.training
    model.eval()
    total = 0.0
    for start in range(0, len(novels.valid_ids), 50):
        ids = torch.from_numpy(novels.valid_ids[start : start + 50])
        labels = torch.from_numpy(novels.valid_labels[start : start + 50])
        hidden = model.base_model(input_ids=ids).last_hidden_state[labels != _novels.IGNORE]
        logits = model.cls(hidden) if hasattr(model, "cls") else model.decoder(model.head(hidden))
        total += float(
            torch.nn.functional.cross_entropy(logits, labels[labels != _novels.IGNORE], reduction="sum")
        )
    model.train(was_training)
    return total / int((novels.valid_labels != _novels.IGNORE).sum())


class Recorder(transformers.TrainerCallback):
    """Times every step and scores the model every `every` steps, outside the clock (0: never)."""

    def __init__(self, novels: _novels.Novels, step_time: float, every: int) -> None:
        self.novels, self.step_time, self.every = novels, step_time, every
        self.seconds: list[float] = []
        self.curve: list[dict[str, float]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self.mark = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Stop the clock, score the model where it is due, start the clock."""
        self.seconds.append(time.perf_counter() - self.mark)
        if self.every and (state.global_step % self.every == 0 or state.global_step == state.max_steps):
            point = {
                "step": state.global_step,
                "tokens": state.global_step * BATCH * _novels.BLOCK,
                "nominal_seconds": state.global_step * self.step_time,
                "wall_seconds": sum(self.seconds),
                "heldout_loss": heldout_loss(model, self.novels),
            }
            self.curve.append(point)
            print("  step {step:5d}  {nominal_seconds:6.1f} s ({wall_seconds:6.1f} wall)  "
                  "held-out {heldout_loss:.3f}".format(**point), flush=True)  # fmt: skip
        self.mark = time.perf_counter()


def train(name: str, learning_rate: float, steps: int, recorder: Recorder, novels: _novels.Novels) -> int:
    """Train one peer for exactly `steps` steps; return its number of parameters."""
    transformers.set_seed(0)
    model = build(name)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(novels.tokenizer), pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    arguments = transformers.TrainingArguments(
        output_dir=str(_novels.CACHE / "trainer"),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=learning_rate,
        weight_decay=0.01,
        optim="adamw_torch_fused",
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(WARM_UP * steps)),
        seed=0,
        use_cpu=True,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=Blocks(novels.blocks),
        data_collator=transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
        callbacks=[recorder],
    ).train()
    return sum(parameter.numel() for parameter in model.parameters())


def calibrate(novels: _novels.Novels) -> dict[str, float]:
    """Step time of each peer in seconds, measured once and kept: delete the file to measure again."""
    if not CALIBRATION.is_file():
        times: dict[str, float] = {}
        for name in MODELS:
            recorder = Recorder(novels, step_time=0.0, every=0)
            train(name, 1e-3, CALIBRATION_STEPS + 5, recorder, novels)
            steps = recorder.seconds[5:]
            times[name] = float(np.quantile(steps, 0.2))
            print(f"{name}: {times[name]:.4f} s a step (median {np.median(steps):.4f}), "
                  f"{BATCH * _novels.BLOCK / times[name]:,.0f} tokens/s", flush=True)  # fmt: skip
        _novels.write_atomic(CALIBRATION, json.dumps(times).encode())
    return json.loads(CALIBRATION.read_text())


def result_file(name: str, learning_rate: float) -> Path:
    """Where the result of one run lies."""
    return RESULTS / f"{name}_{learning_rate:g}.json"


def machine() -> str:
    """Name this machine well enough to tell a result of another one apart."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        fields = dict(
            line.split(":", 1) for line in info.read_text().split("\n\n")[0].split("\n") if ":" in line
        )
        fields = {key.strip(): value.strip() for key, value in fields.items()}
        cpu = f"{fields.get('model name', cpu)} family {fields.get('cpu family')} model {fields.get('model')}"
    return f"{cpu}, {os.cpu_count()} cores"


def run(name: str, learning_rate: float, seconds: float, steps: int | None = None) -> dict[str, Any]:
    """Run one peer for its budget and write its result."""
    novels = _novels.load()
    step_time = calibrate(novels)[name]
    steps = steps or round(seconds / step_time)
    print(f"{name} {learning_rate:g}: {steps} steps of {step_time:.4f} s", flush=True)
    recorder = Recorder(novels, step_time, max(1, steps // EVALUATIONS))
    parameters = train(name, learning_rate, steps, recorder, novels)
    result = {
        "model": name,
        "learning_rate": learning_rate,
        "seconds": seconds,
        "step_time": step_time,
        "steps": steps,
        "tokens": steps * BATCH * _novels.BLOCK,
        "parameters": parameters,
        "unigram": novels.unigram,
        "heldout_loss": recorder.curve[-1]["heldout_loss"],
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "curve": recorder.curve,
    }
    _novels.write_atomic(result_file(name, learning_rate), json.dumps(result, indent=1).encode())
    return result


def finished(name: str, learning_rate: float) -> dict[str, Any] | None:
    """Read the kept result of one run, or None where there is none from this machine."""
    path = result_file(name, learning_rate)
    result = json.loads(path.read_text()) if path.is_file() else {}
    return result if result.get("machine") == machine() else None


LEARNING_RATES = (1e-3, 2e-3, 3e-4)


def all_finished() -> list[dict[str, Any]]:
    """Give the results that exist, without running anything."""
    found = [finished(name, learning_rate) for learning_rate in LEARNING_RATES for name in MODELS]
    return [result for result in found if result]


def sweep(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Give the results of both peers with every learning rate; only what is missing is run."""
    calibrate(_novels.load())
    return [
        finished(name, learning_rate) or run(name, learning_rate, seconds)
        for learning_rate in LEARNING_RATES
        for name in MODELS
    ]


def main() -> None:
    """Read the command line and run one peer or all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--model", choices=MODELS, default="bert")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    if options.sweep:
        sweep(options.seconds)
    else:
        run(options.model, options.learning_rate, options.seconds, options.steps)


if __name__ == "__main__":
    main()
