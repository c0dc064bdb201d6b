"""Runs with random weights, and foreign directories, for tests of interchange."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from polyseme.core import registry
from polyseme.formats.runs import Imported, write_run
from polyseme.text.config import TokenizerConfig
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer
from polyseme.train.build import build_encoder, build_heads, special_ids
from polyseme.train.recipe import from_dict
from polyseme.train.run import RunDirectory

TEXTS = [
    "It was a good day, and the weather was fine. The file is read line by line.",
    "Größe, naïve café — 3.14 % of “quoted” words; e-mail@example.org!",
    "今天天气很好，我们去公园散步。北京是中国的首都。",
] * 12
SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "local_attention": 6,
    "num_key_value_heads": 1,
    "head_dim": 10,
}
HEADS = {
    "bert": ["masked_lm", "next_sentence"],
    "ernie": ["knowledge_masking", "dialogue"],
    "modernbert": ["masked_lm"],
    "gpt": ["causal_lm"],
    "qwen3": ["causal_lm"],
}


def small_tokenizer(kind: Any = "wordpiece") -> Tokenizer:
    return train_tokenizer(TEXTS, TokenizerConfig(kind=kind, vocab_size=400), 0)


def random_imported(
    name: str,
    objectives: list[str],
    kind: Any = "wordpiece",
    scale: float = 0.15,
    sections: dict[str, Any] | None = None,
    **changes: Any,
) -> Imported:
    """A model with random weights, biases and norms included.

    Args:
        sections: of the recipe, for objectives and tasks that cannot do with their defaults.
    """
    tokenizer = small_tokenizer(kind)
    fields = registry.models.load(name).config.model_fields
    sizes = {**SIZES, "vocab_size": tokenizer.vocab_size, **changes}
    model = {key: value for key, value in sizes.items() if key in fields}
    described = {"architecture": name, "objectives": objectives, "model": model}
    recipe = from_dict({**described, **(sections or {})})
    encoder = build_encoder(recipe, tokenizer)
    heads = build_heads(recipe, encoder, special_ids(tokenizer))
    generator = torch.Generator().manual_seed(1)
    named = {f"encoder.{k}": p for k, p in encoder.named_parameters()}
    named |= {f"heads.{k}": p for k, p in heads.named_parameters()}
    tensors = {}
    for key, p in named.items():
        noise = torch.randn(p.shape, generator=generator) * scale
        tensors[key] = noise + 1.0 if key.endswith("norm.weight") else noise
    source = {"kind": "test", "path": "nowhere", "files": {}}
    return Imported(name, model, objectives, tensors, tokenizer, source, sections or {})


def random_run(folder: Path, name: str, **changes: Any) -> RunDirectory:
    return write_run(random_imported(name, HEADS[name], **changes), folder)


def gpt2_like(folder: Path) -> Any:
    """A random GPT-2 with a tokenizer of GPT-2's kind: its only special token is <|endoftext|>, the last of all."""
    model = small_tokenizer("byte-bpe").as_json()["model"]
    words = [w for w in model["vocab"] if not (w.startswith("[") and w.endswith("]") and len(w) > 2)]
    import transformers

    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate([*words, "<|endoftext|>"])}))
    merges = "\n".join(m if isinstance(m, str) else " ".join(m) for m in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    size = len(words) + 1
    torch.manual_seed(3)
    config = transformers.GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=48, bos_token_id=size - 1, eos_token_id=size - 1,
        initializer_range=0.4,
    )  # fmt: skip
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(folder)
    return theirs
