"""Tokens per second of greedy generation, against transformers, OpenVINO and CTranslate2, on one thread and on two.

    python bench/generate_vs_transformers.py [--threads 1 2] [--case NAME …] [--rounds 5]

A GPT-2 of 124 million parameters (12 layers, hidden 768, 50,257 tokens) with the same random weights on all sides:
prompts of 32 tokens and 64 new ones, batch 1 and 8; a batch of 8 prompts of different lengths (ours and transformers
alone, as the others' padding is to the right); and a prompt of 512 of which one token follows. In float32 the tokens
must be equal to transformers': the bench fails where they are not. Sides with int8 weights stand beside each other, and
how many of the tokens of float32 they keep; what that says of weights that were trained is little, see
bench/int8_tokens.py. The strongest peer is OpenVINO (2026.4, its cache a state of the model, weights compressed by
nncf). llama.cpp has no wheel for pip and is not here.

All sides take turns in one process, and of every case the second fastest of the rounds counts, because neighbours only
ever make a round slower. No side may end early. The reading of the prompt is part of the time, and is also shown by
itself (one new token).

What the memory gives is measured in the same rounds: all threads sum 400 MB of float32. The share is what a step reads,
every weight once, of what could have been read in the time of a step (new tokens 2 … 64).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers

import _peers_generate
from polyseme.formats.huggingface import gpt as gpt_format
from polyseme.infer.continuation import Prompt
from polyseme.infer.generate import GenerationConfig, _Work
from polyseme.infer.model import Model
from polyseme.models.gpt import Gpt, GptConfig
from polyseme.objectives.causal_lm import CausalLMHead
from polyseme.text.config import TokenizerConfig
from polyseme.text.training import train_tokenizer
from polyseme.train.build import special_ids

NEW = 64
CASES = {
    "batch=1": ([32], NEW),
    "batch=8": ([32] * 8, NEW),
    "batch=8 of 4 to 32 tokens": ([4, 8, 12, 16, 20, 24, 28, 32], NEW),
    "prompt of 512": ([511], 1),
}
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
    """Compare every case; print tables and a JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for reason in _peers_generate.missing():
        print("without", reason)
    loaded, theirs = pair()
    rounded = loaded.prepared("int8")
    much = torch.ones(100_000_000)
    size = {"float32": weight_bytes(loaded), "int8": weight_bytes(rounded)}
    results, failed = [], False
    for threads in options.threads:
        torch.set_num_threads(threads)
        sides: dict[tuple[str, str], _peers_generate.Run] = {
            ("polyseme", "float32"): lambda prompts, new: our_tokens(loaded, prompts, new),
            ("polyseme", "int8"): lambda prompts, new: our_tokens(rounded, prompts, new),
            ("transformers", "float32"): lambda prompts, new: their_tokens(theirs, prompts, new),
        }
        for precision in ("float32", "int8"):
            for name, run in _peers_generate.peers(theirs, threads, precision == "int8").items():
                sides[name, precision] = run
        print(f"GPT-2 124 M, greedy, {threads} thread{'s' * (threads > 1)}")
        print(
            f"{'case':<28}{'side':<24}{'tokens/s':>9}{'ours/it':>9}{'prompt ms':>11}{'it/ours':>9}"
            "   tokens as float32's; share of the memory's speed"
        )
        for case in options.case:
            lengths, new = CASES[case]
            generator = torch.Generator().manual_seed(1)
            prompts = [torch.randint(5, 50257, (n,), generator=generator).tolist() for n in lengths]
            equal_lengths = len(set(lengths)) == 1
            taking = {
                key: run
                for key, run in sides.items()
                if equal_lengths or key[0] in ("polyseme", "transformers")
            }
            found = {key: run(prompts, new) for key, run in taking.items()}  # also the warm-up
            failed |= found["polyseme", "float32"] != found["transformers", "float32"]
            best, memory = measured(taking, prompts, new, much, options.rounds)
            for (name, precision), one, all_ in ((key, *best[key]) for key in taking):
                speed, ours = len(prompts) * new / all_, len(prompts) * new / best["polyseme", precision][1]
                same = np.array(found[name, precision]) == np.array(found["polyseme", "float32"])
                line = {
                    "threads": threads, "case": case, "side": name, "precision": precision, "tokens_per_second": speed,
                    "ours_over_it": ours / speed, "prompt_ms": 1000 * one,
                    "prompt_it_over_ours": one / best["polyseme", precision][0], "equal": float(same.mean()),
                }  # fmt: skip
                share = ""
                if name == "polyseme" and new > 1:
                    line["memory_share"] = size[precision] / ((all_ - one) / (new - 1)) / memory
                    share = f"; {line['memory_share']:.2f} of {memory / 1e9:.1f} GB/s"
                print(
                    f"{case:<28}{name + ', ' + precision:<24}{speed:>9.1f}{ours / speed:>9.2f}{1000 * one:>11.1f}"
                    f"{line['prompt_it_over_ours']:>9.2f}   {100 * same.mean():.0f} %{share}",
                    flush=True,
                )
                results.append(line)
    print(json.dumps({"bench": "generate_vs_transformers", "cases": results}))
    return 1 if failed else 0


def measured(
    sides: dict[tuple[str, str], _peers_generate.Run],
    prompts: list[list[int]],
    new: int,
    much: torch.Tensor,
    rounds: int,
) -> tuple[dict[tuple[str, str], tuple[float, float]], float]:
    """Seconds of every side for one token and for all, and bytes a second of the memory."""
    seconds: dict[tuple[tuple[str, str], int], list[float]] = {
        (key, n): [] for key in sides for n in {1, new}
    }
    reading: list[float] = []
    for i in range(rounds):
        for key, run in list(sides.items())[:: -1 if i % 2 else 1]:
            for n in {1, new}:
                seconds[key, n].append(seconds_of(lambda run=run, n=n: run(prompts, n)))
        reading.append(seconds_of(much.sum))
    best = {key: (good(seconds[key, 1]), good(seconds[key, new])) for key in sides}
    return best, 4 * len(much) / good(reading)


if __name__ == "__main__":
    sys.exit(main())
