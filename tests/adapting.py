"""Runs of every model with random weights, and labelled files of a few lines, for tests of tasks."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polyseme.core import registry
from polyseme.text.config import TokenizerConfig
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer
from polyseme.train.build import build_encoder
from polyseme.train.finetune import finetune
from polyseme.train.recipe import from_dict
from polyseme.train.request import FinetuneRequest
from polyseme.train.run import RunDirectory
from small import SMALL

MODELS = registry.models.names()
TASKS = registry.tasks.names()
WORD_LEVEL = ("elmo", "onehot", "word-classes", "word2vec")
WORDS = [
    *("the", "a", "cat", "dog", "bird", "sees", "likes", "old", "small", "river"),
    *("good", "bad", "day", "night", "unbelievable"),
]
NOUNS = ("cat", "dog", "bird", "river", "day", "night")
COLUMNS = {"classify": "text\tlabel", "pair": "text\ttext_b\tlabel"}


@cache
def tokenizer_of(kind: Any = "wordpiece") -> Tokenizer:
    """A tokenizer that knows WORDS, some of them in pieces."""
    size = 64 if kind in ("wordpiece", "unigram") else 330
    return train_tokenizer([" ".join(WORDS)] * 20, TokenizerConfig(kind=kind, vocab_size=size), 0)


def kind_of(model: str) -> str:
    return "words" if model in WORD_LEVEL else "wordpiece"


def start_run(folder: Path, model: str = "bert", kind: Any = None, **changes: Any) -> Path:
    """A run of a model with random weights; it has learned nothing."""
    tokenizer = tokenizer_of(kind or kind_of(model))
    fields = registry.models.load(model).config.model_fields
    sizes = {**SMALL, "vocab_size": tokenizer.vocab_size, "num_classes": 24, **changes}
    recipe = from_dict(
        {
            "architecture": model,
            "objectives": [],
            "model": {key: value for key, value in sizes.items() if key in fields},
        }
    )
    torch.manual_seed(1)
    encoder = build_encoder(recipe, tokenizer)
    run = RunDirectory.create(folder, {"model": model, "recipe": recipe.as_dict()})
    tokenizer.save(folder / "tokenizer.json")
    run.publish({f"encoder.{name}": p.detach().clone() for name, p in encoder.named_parameters()})
    return folder


def sentence(random: np.random.Generator, *words: str, length: int = 6) -> str:
    """Random words with these among them."""
    others = [w for w in WORDS if w not in ("good", "bad", "river")]
    chosen = [*random.choice(others, length - len(words)), *words]
    return " ".join(str(w) for w in random.permutation(chosen))


def write_examples(path: Path, task: str, n: int = 8, seed: int = 0) -> Path:
    """A file of n labelled examples that every model can learn, each from its words alone."""
    random = np.random.default_rng(seed)
    lines: list[str] = [COLUMNS.get(task, "")]
    for number in range(n):
        mood = ("good", "bad")[number % 2]
        length = 16 if number == 1 else int(random.integers(3, 7))
        if task == "classify":
            lines.append(f"{sentence(random, mood, length=length)}\t{mood}")
        elif task == "pair":
            lines.append(f"{sentence(random, length=length)}\t{sentence(random, mood)}\t{mood}")
        elif task == "tag":
            words = sentence(random, mood, length=length).split()
            lines += [f"{w}\t{'B-N' if w in NOUNS else 'O'}" for w in words] + [""]
        else:
            context = sentence(random, "river", length=length)
            answer = {"text": ["river"], "answer_start": [context.index("river")]}
            question = sentence(random, mood, length=4)
            row = {"id": f"q{number}", "question": question, "context": context, "answers": answer}
            lines.append(json.dumps(row))
    path = path.with_suffix({"tag": ".conll", "qa": ".jsonl"}.get(task, ".tsv"))
    path.write_text("\n".join(lines[0 if task in COLUMNS else 1 :]) + "\n", "utf-8")
    return path


def adapt(task: str, run: Path, train: Path, output: Path, **changes: Any) -> RunDirectory:
    """Fine-tune with settings that suit tiny models; `settings` are added to them."""
    settings = {"train.evaluations": 1, "train.warmup": 0.0, f"{task}.dropout": 0.0}
    settings |= changes.pop("settings", {})
    asked: dict[str, Any] = {"dev": train, "epochs": 3, "batch_size": 4, "learning_rate": 1e-2} | changes
    return finetune(
        FinetuneRequest(task=task, run=run, train=train, output=output, settings=settings, **asked)
    )
