"""Tokens per second of greedy generation, against transformers' `generate`.

    python bench/generate_vs_transformers.py

A GPT-2 of 124 million parameters (12 layers, hidden 768, 50,257 tokens) with the same random weights on both sides,
float32, prompts of 32 tokens, 64 new ones, batch 1 and 8, and a batch of 8 prompts of different lengths. The two take
turns in one process and medians are compared, because absolute figures drift with the machine's load. The tokens
must be equal; the bench fails where they are not. Neither side may end early. The reading of the prompt is part of
the time, and is also shown by itself (one new token).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
import transformers

from polyseme.formats.huggingface import gpt as gpt_format
from polyseme.infer.continuation import Prompt
from polyseme.infer.generate import GenerationConfig, _Work
from polyseme.infer.load import Loaded
from polyseme.models.gpt import Gpt, GptConfig
from polyseme.objectives.causal_lm import CausalLMHead
from polyseme.text.tokenizers import TokenizerConfig, train_tokenizer
from polyseme.train.building import special_ids

NEW, ROUNDS = 64, 5
CASES = {"batch=1": [32], "batch=8": [32] * 8, "batch=8 of 4 to 32 tokens": [4, 8, 12, 16, 20, 24, 28, 32]}
END = 3


def pair() -> tuple[Loaded, Any]:
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
    theirs.load_state_dict(gpt_format.to_theirs(tensors, config.num_hidden_layers), strict=False)
    theirs.tie_weights()
    words = " ".join(f"w{i}" for i in range(config.vocab_size - 5))
    tokenizer = train_tokenizer(
        [words], TokenizerConfig(kind="spaces", vocab_size=config.vocab_size, min_count=1), 0
    )
    recipe: Any = SimpleNamespace(architecture="gpt", objectives=("causal_lm",))
    run: Any = SimpleNamespace(path=Path("bench"), meta={})
    return Loaded(run, encoder, {"causal_lm": head}, tokenizer, recipe, special_ids(tokenizer)), theirs


def our_tokens(loaded: Loaded, prompts: list[list[int]], new: int) -> list[list[int]]:
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


def main() -> int:
    """Compare every case; print table and JSON line."""
    transformers.logging.set_verbosity_error()
    loaded, theirs = pair()
    generator = torch.Generator().manual_seed(1)
    print(f"GPT-2 124 M, float32, greedy, {NEW} new tokens, {torch.get_num_threads()} threads")
    print(
        f"{'case':<28}{'ours':>10}{'peer':>10}{'ratio':>8}   tokens/s; ms for the prompt: ours, peer; equal"
    )
    cases, failed = [], False
    for name, lengths in CASES.items():
        prompts = [torch.randint(5, 50257, (n,), generator=generator).tolist() for n in lengths]
        sides = {
            "ours": lambda new, prompts=prompts: our_tokens(loaded, prompts, new),
            "peer": lambda new, prompts=prompts: their_tokens(theirs, prompts, new),
        }
        equal = sides["ours"](NEW) == sides["peer"](NEW)  # also the warm-up
        failed |= not equal
        seconds: dict[tuple[str, int], list[float]] = {(side, new): [] for side in sides for new in (1, NEW)}
        for _ in range(ROUNDS):
            for new in (1, NEW):
                for side, run in sides.items():
                    begin = time.perf_counter()
                    run(new)
                    seconds[side, new].append(time.perf_counter() - begin)
        middle = {key: median(values) for key, values in seconds.items()}
        ours, peer = (len(prompts) * NEW / middle[side, NEW] for side in sides)
        print(
            f"{name:<28}{ours:>10.1f}{peer:>10.1f}{ours / peer:>8.2f}   "
            f"{1000 * middle['ours', 1]:.0f}, {1000 * middle['peer', 1]:.0f}; {'yes' if equal else 'NO'}",
            flush=True,
        )
        cases.append(
            {
                "case": name,
                "ours": ours,
                "peer": peer,
                "ratio": ours / peer,
                "unit": "tokens/s",
                "equal": equal,
            }
        )
    print(json.dumps({"bench": "generate_vs_transformers", "cases": cases}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
