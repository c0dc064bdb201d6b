"""The peer of finetune_vs_trainer.py: transformers.Trainer on BertForSequenceClassification and its siblings.

It gets the very token ids that ours gets, made in advance, so that no side pays for a tokenizer, and pads every
batch to its longest example (transformers' own collators). Its scores of the test examples go through the same
decoding and the same measures as ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from _finetune_tasks import CLIP, WEIGHT_DECAY, Case

IGNORED = -100
CLASSES = {
    "classify": "AutoModelForSequenceClassification",
    "pair": "AutoModelForSequenceClassification",
    "tag": "AutoModelForTokenClassification",
    "qa": "AutoModelForQuestionAnswering",
}
JUDGED_AT_ONCE = 4096


class Examples(torch.utils.data.Dataset):
    """Examples of a task as transformers' collators want them.

    Args:
        task: its registry key.
        data: what ours trains on.
    """

    def __init__(self, task: str, data: Any) -> None:
        self.rows = [self._row(task, data, number) for number in range(len(data.examples))]

    @staticmethod
    def _row(task: str, data: Any, number: int) -> dict[str, Any]:
        example, places, gold = data.examples[number], data.places[number], data.gold[number]
        row: dict[str, Any] = {
            "input_ids": [int(i) for i in example.ids],
            "token_type_ids": [int(t) for t in example.type],
        }
        if task == "tag":
            labels = np.full(len(example.ids), IGNORED)
            labels[places] = np.where(gold < 0, IGNORED, gold)
            row["labels"] = labels.tolist()
        elif task == "qa":
            row["start_positions"], row["end_positions"] = (int(g) for g in gold[0])
        else:
            row["labels"] = int(gold[0])
        return row

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return dict(self.rows[i])


class Recorder(transformers.TrainerCallback):
    """Times every step, the making of its batch included, and keeps losses and rates where they are logged."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self.rates: list[float] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self.mark = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the time of a step."""
        now = time.perf_counter()
        self.seconds.append(now - self.mark)
        self.mark = now

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep what was logged."""
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))
            self.rates.append(float(logs["learning_rate"]))


class Same(transformers.Trainer):
    """A Trainer whose learning rate is ours at every step, and whose order may be.

    transformers' own linear schedule differs in the first update of the warm-up: 0 in place of 1 % of the peak.
    """

    factors: Sequence[float] = ()
    order: Sequence[int] | None = None

    def compute_loss(self, model: Any, inputs: Any, *arguments: Any, **named: Any) -> Any:
        """In the self-check answers are not looked for in the padding, as transformers' own loss does."""
        if self.order is None or "start_positions" not in inputs:
            return super().compute_loss(model, inputs, *arguments, **named)
        said, padding = model(**inputs), inputs["attention_mask"] == 0
        losses = [
            torch.nn.functional.cross_entropy(logits.masked_fill(padding, -torch.inf), gold)
            for logits, gold in (
                (said.start_logits, inputs["start_positions"]),
                (said.end_logits, inputs["end_positions"]),
            )
        ]
        return sum(losses) / 2

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Give the factors that ours has."""
        last = len(self.factors) - 1
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda step: self.factors[min(step, last)]
        )
        return self.lr_scheduler

    def _get_train_sampler(self, *arguments: Any) -> Any:
        return super()._get_train_sampler(*arguments) if self.order is None else _Fixed(self.order)


class _Fixed(torch.utils.data.Sampler):
    def __init__(self, order: Sequence[int]) -> None:
        self.order = order

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


def build(case: Case, labels: int, weights: Path, seed: int, dropout: bool = True) -> Any:
    """The peer's model with the published weights and a fresh head."""
    transformers.set_seed(seed)
    changes: dict[str, Any] = {} if case.task == "qa" else {"num_labels": labels}
    if not dropout:
        changes |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return getattr(transformers, CLASSES[case.task]).from_pretrained(weights, **changes)


def train(
    case: Case,
    model: Any,
    examples: Examples,
    tokenizer: Any,
    factors: Sequence[float],
    seed: int,
    folder: Path,
    order: Sequence[int] | None = None,
) -> Recorder:
    """Train for as many updates as there are factors; losses are logged where the order is given."""
    recorder = Recorder()
    trainer = Same(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(folder),
            max_steps=len(factors),
            per_device_train_batch_size=case.batch_size,
            learning_rate=case.learning_rate,
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=CLIP,
            optim="adamw_torch_fused",
            seed=seed,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no" if order is None else "steps",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=examples,
        data_collator=_collator(case.task, tokenizer),
        callbacks=[recorder],
    )
    trainer.factors, trainer.order = factors, order
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    trainer.train()
    return recorder


def _collator(task: str, tokenizer: Any) -> Any:
    if task == "tag":
        return transformers.DataCollatorForTokenClassification(tokenizer)
    return transformers.DataCollatorWithPadding(tokenizer)


@torch.inference_mode()
def outputs(task: str, model: Any, examples: Examples, data: Any, tokenizer: Any) -> list[np.ndarray]:
    """Scores of every example in the form that our tasks decode.  Shapes: -> N × (K,), (p, K) or (n, 2)"""
    model.eval()
    collate = transformers.DataCollatorWithPadding(tokenizer)
    order = sorted(range(len(examples)), key=lambda i: len(examples.rows[i]["input_ids"]))
    size = max(1, JUDGED_AT_ONCE // max(len(row["input_ids"]) for row in examples.rows))
    found: list[Any] = [None] * len(examples)
    for start in range(0, len(order), size):
        numbers = order[start : start + size]
        batch = collate([_inputs(examples.rows[i]) for i in numbers])
        said = model(**batch)
        for row, number in enumerate(numbers):
            if task == "qa":
                n = len(examples.rows[number]["input_ids"])
                found[number] = torch.stack([said.start_logits[row, :n], said.end_logits[row, :n]], 1).numpy()
            elif task == "tag":
                found[number] = said.logits[row].numpy()[data.places[number]]
            else:
                found[number] = said.logits[row].numpy()
    return found


def _inputs(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k in ("input_ids", "token_type_ids")}


def load_ours(case: Case, model: Any, head: Mapping[str, torch.Tensor]) -> None:
    """Give the peer's head the weights of ours."""
    target = model.qa_outputs if case.task == "qa" else model.classifier
    with torch.no_grad():
        target.weight.copy_(head["classifier.weight"])
        target.bias.copy_(head["classifier.bias"])
