"""Tiny runs on disk, trained in a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from polyseme import Budget, PretrainRequest, RunDirectory, pretrain

WORDS = ["the", "a", "cat", "dog", "bird", "sees", "likes", "old", "small", "river", "good", "bad", "day"]
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}


def make_run(folder: Path, model: str = "bert", steps: int = 2, **settings: Any) -> Path:
    """A run of a model on 30 texts of a few English words, in folder/run."""
    texts = folder / "texts"
    texts.mkdir(parents=True)
    random = np.random.default_rng(3)
    for number in range(30):
        lines = [" ".join(random.choice(WORDS, 8)) for _ in range(40)]
        (texts / f"{number}.txt").write_text("\n".join(lines))
    sizes = SIZES if model in ("bert", "gpt") else {"hidden_size": 16} if model == "word2vec" else {}
    neural = {"data.sequence_length": 32, "train.batch_size": 4, "train.heldout_tokens": 300}
    run: RunDirectory = pretrain(
        PretrainRequest(
            model=model,
            corpus=[str(texts)],
            output=folder / "run",
            budget=Budget(steps=steps),
            settings={
                "text.valid_share": 0.2,
                **sizes,
                **(neural if model in ("bert", "gpt") else {}),
                **settings,
            },
        )
    )
    return run.path
