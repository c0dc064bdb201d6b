"""Tokens per second of greedy generation, against transformers' `generate`.

    python bench/generate_vs_transformers.py

A GPT-2 of 124 million parameters (12 layers, hidden 768, 50,257 tokens) with the same random weights on both sides,
prompts of 32 tokens, 64 new ones, batch 1 and 8, and a batch of 8 prompts of different lengths; transformers computes
in float32, polyseme in float32 and with int8 weights. The three take turns in one process, and of every case the second
fastest of the rounds counts, because neighbours only ever make a round slower. In float32 the tokens must be equal: the
bench fails where they are not. No side may end early. The reading of the prompt is part of the time, and is also shown
by itself (one new token).

What the memory gives is measured in the same rounds: all threads sum 400 MB of float32. The share is what a step reads,
every weight once, of what could have been read in the time of a step (new tokens 2 … 64).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers

from polyseme.formats.huggingface import gpt as gpt_format
from polyseme.infer.continuation import Prompt
from polyseme.infer.generate import GenerationConfig, _Work
from polyseme.infer.model import Model
from polyseme.models.gpt import Gpt, GptConfig
from polyseme.objectives.causal_lm import CausalLMHead
from polyseme.text.config import TokenizerConfig
from polyseme.text.training import train_tokenizer
from polyseme.train.build import special_ids

NEW, ROUNDS = 64, 5
CASES = {"batch=1": [32], "batch=8": [32] * 8, "batch=8 of 4 to 32 tokens": [4, 8, 12, 16, 20, 24, 28, 32]}
END = 3


def pair() -> tuple[Model, Any]:
    """Both sides with the same weights; the end-of-text token is never the most probable one."""
    torch.manual_seed(0)
    config = GptConfig(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    encoder = Gpt(config).eval()
    head = CausalLMHead(encoder)
    with torch.no_grad():  # larger than at the start of training, so that no two logits are near each other
        for name, p in encoder.named_parameters():
            if p.ndim == 2:
                p.mul_(3.0 if "embeddings" in name else 1.5)
        encoder.word_embeddings.weight[END] = 0.0
    tensors = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**gpt_format.config_to_theirs(config.model_dump()))
    ).eval()
    theirs.load_state_dict(gpt_format.FAMILY.to_theirs(tensors, (), config.model_dump()), strict=False)
    theirs.tie_weights()
    words = " ".join(f"w{i}" for i in range(config.vocab_size - 5))
    tokenizer = train_tokenizer(
        [words], TokenizerConfig(kind="spaces", vocab_size=config.vocab_size, min_count=1), 0
    )
    recipe: Any = SimpleNamespace(architecture="gpt", objectives=("causal_lm",))
    run: Any = SimpleNamespace(path=Path("bench"), meta={})
    return Model(run, encoder, {"causal_lm": head}, tokenizer, recipe, special_ids(tokenizer)), theirs


def our_tokens(loaded: Model, prompts: list[list[int]], new: int) -> list[list[int]]:
    """Greedy continuations by polyseme."""
    work = _Work(loaded, GenerationConfig(max_new_tokens=new, temperature=0))
    rows = work.run([Prompt("", [2, *prompt]) for prompt in prompts])
    return [[loaded.tokenizer.id(t.token) or 0 for t in row[0].generation().tokens] for row in rows]


def their_tokens(theirs: Any, prompts: list[list[int]], new: int) -> list[list[int]]:
    """Greedy continuations by transformers; shorter prompts are padded on the left."""
    width = max(map(len, prompts)) + 1
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) - 1 :] = torch.tensor([2, *prompt])
        mask[row, width - len(prompt) - 1 :] = 1
    with torch.inference_mode():
        out = theirs.generate(
            ids, attention_mask=mask, max_new_tokens=new, do_sample=False, pad_token_id=0, eos_token_id=END,
            suppress_tokens=[0, 1, 2, 4],
        )  # fmt: skip
    return [row[width:].tolist() for row in out]


def weight_bytes(loaded: Model) -> int:
    """What a step reads of the matrices; of the positions it reads a row."""
    modules = loaded.encoder.modules()
    kinds = [getattr(m, "rounded", getattr(m, "weight", None)) for m in modules]
    return sum(
        w.numel() * w.element_size() for w in kinds if w is not None and w.ndim == 2 and len(w) != 1024
    )


def seconds_of(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def good(seconds: list[float]) -> float:
    """The second fastest."""
    return sorted(seconds)[1]


def main() -> int:
    """Compare every case; print table and JSON line."""
    transformers.logging.set_verbosity_error()
    loaded, theirs = pair()
    rounded = loaded.prepared("int8")
    generator = torch.Generator().manual_seed(1)
    much = torch.ones(100_000_000)
    size = {"float32": weight_bytes(loaded), "int8": weight_bytes(rounded)}
    print(f"GPT-2 124 M, greedy, {NEW} new tokens, {torch.get_num_threads()} threads")
    print(
        f"{'case':<36}{'ours':>9}{'peer':>9}{'ratio':>7}   tokens/s; ms for the prompt: ours, peer; "
        "share of the memory's speed; tokens equal"
    )
    cases, failed = [], False
    for name, lengths in CASES.items():
        prompts = [torch.randint(5, 50257, (n,), generator=generator).tolist() for n in lengths]
        sides: dict[str, Callable[[int], list[list[int]]]] = {
            "float32": lambda new, prompts=prompts: our_tokens(loaded, prompts, new),
            "int8": lambda new, prompts=prompts: our_tokens(rounded, prompts, new),
            "peer": lambda new, prompts=prompts: their_tokens(theirs, prompts, new),
        }
        found = {side: run(NEW) for side, run in sides.items()}  # also the warm-up
        failed |= found["float32"] != found["peer"]
        seconds: dict[tuple[str, int], list[float]] = {(side, new): [] for side in sides for new in (1, NEW)}
        reading: list[float] = []
        for _ in range(ROUNDS):
            for new in (1, NEW):
                for side, run in sides.items():
                    seconds[side, new].append(seconds_of(lambda run=run, new=new: run(new)))
            reading.append(seconds_of(much.sum))
        best = {key: good(values) for key, values in seconds.items()}
        memory = 4 * len(much) / good(reading)
        peer = len(prompts) * NEW / best["peer", NEW]
        for side in ("float32", "int8"):
            ours = len(prompts) * NEW / best[side, NEW]
            step = (best[side, NEW] - best[side, 1]) / (NEW - 1)
            share = size[side] / step / memory
            pairs = zip(found[side], found["peer"], strict=True)
            same = [a == b for mine, other in pairs for a, b in zip(mine, other, strict=True)]
            equal = sum(same) / len(same)
            print(
                f"{name + ', ' + side:<36}{ours:>9.1f}{peer:>9.1f}{ours / peer:>7.2f}   "
                f"{1000 * best[side, 1]:.0f}, {1000 * best['peer', 1]:.0f}; "
                f"{share:.2f} of {memory / 1e9:.1f} GB/s; {100 * equal:.0f} %",
                flush=True,
            )
            cases.append(
                {
                    "case": f"{name}, {side}",
                    "ours": ours,
                    "peer": peer,
                    "ratio": ours / peer,
                    "unit": "tokens/s",
                    "equal": equal,
                    "memory_gb_per_second": memory / 1e9,
                    "memory_share": share,
                }
            )
    print(json.dumps({"bench": "generate_vs_transformers", "cases": cases}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
