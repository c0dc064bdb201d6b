"""A small real corpus and a run trained on it, shared by the tests of the verbs."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import pytest

from polyseme.cli import main

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "tokenizer.vocab_size": 700,
    "data.sequence_length": 48,
    "train.precision": "float32",
    "train.heldout_tokens": 1000,
    "train.evaluations": 2,
    "train.batch_size": 8,
    "text.valid_share": 0.15,
}


def tiny(**changes: object) -> list[str]:
    """Options of a model that trains in a second."""
    return [part for key, value in {**TINY, **changes}.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 50 KB of English documentation, one file a topic."""
    folder = tmp_path_factory.mktemp("topics")
    total = 0
    for name in sorted(topics):
        if total > 50_000:
            break
        (folder / f"{name}.txt").write_text(topics[name], "utf-8")
        total += len(topics[name])
    return folder


@pytest.fixture(scope="session")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT after a few updates."""
    folder = tmp_path_factory.mktemp("runs") / "bert"
    assert main(["pretrain", "bert", str(corpus), "-o", str(folder), "--steps", "6", *tiny()]) == 0
    return folder
