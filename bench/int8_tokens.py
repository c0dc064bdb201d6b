"""How many of float32's greedy tokens int8 keeps, on a run that was trained.

    polyseme pretrain gpt TEXTS -o RUN --minutes 10
    python bench/int8_tokens.py RUN TEXT

TEXT is a file that the run has not seen. From 64 places of it prompts of 24 tokens are continued by 64, greedily.

    given    of the tokens that float32 chose, those that int8 chooses after the same text: what rounding changes
    free     of the tokens that float32 chose, those that int8 has at the same place of a continuation of its own:
             after the first that differs nearly all do

Beside them the same for int8 as it is done without instructions for whole numbers (inputs stay float32), and the
differences of the logits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polyseme import load
from polyseme.infer.continuation import Prompt
from polyseme.infer.generate import GenerationConfig, _Work
from polyseme.infer.model import Model
from polyseme.kernels import int8

PROMPTS, GIVEN, NEW = 64, 24, 64


def greedy(model: Model, prompts: list[list[int]]) -> torch.Tensor:
    """Continuations of all prompts: (P, NEW)"""
    work = _Work(model, GenerationConfig(max_new_tokens=NEW, temperature=0))
    found = []
    for start in range(0, len(prompts), 8):
        rows = work.run([Prompt("", prompt) for prompt in prompts[start : start + 8]])
        for row in rows:
            ids = [id for id, *_ in row[0]._tokens]
            found.append((ids + [-1] * NEW)[:NEW])  # a text may end
    return torch.tensor(found)


@torch.inference_mode()
def logits_of(model: Model, prompts: list[list[int]], ids: torch.Tensor) -> torch.Tensor:
    """Scores of every next token of the continuations, given those before: (P, NEW, V)"""
    encoder: Any = model.encoder
    whole = torch.cat([torch.tensor(prompts), ids[:, :-1].clamp(min=0)], dim=1)
    hidden = encoder.decode(whole, encoder.new_cache(*whole.shape))[:, len(prompts[0]) - 1 :]
    logits = model.predicting["next"].logits(hidden)
    never = sorted(set(model.tokenizer.special_ids) - set(model.tokenizer.end_ids))
    logits[..., never] = -torch.inf
    return logits


def main() -> int:
    """Print a line a form of int8, and a JSON line."""
    model = load(sys.argv[1])
    ids = model.tokenizer.encode(Path(sys.argv[2]).read_text("utf-8")).ids
    places = np.linspace(0, len(ids) - GIVEN, PROMPTS).astype(int)
    prompts = [model.tokenizer.opening(ids[place : place + GIVEN]) for place in places]
    reference = greedy(model, prompts)
    written = reference >= 0
    scores = logits_of(model, prompts, reference)
    rounded, results = model.prepared("int8"), {}
    rounds_inputs = int8.rounds_inputs
    forms = (
        {"int8": rounds_inputs}
        if not rounds_inputs()
        else {"int8": rounds_inputs, "inputs float32": lambda: False}
    )
    for name, rounds in forms.items():
        int8.rounds_inputs = rounds  # type: ignore[assignment]
        sys.modules["polyseme.kernels.step"].rounds_inputs = rounds  # type: ignore[attr-defined]
        others = logits_of(rounded, prompts, reference)
        given = (others.argmax(2) == reference)[written].float().mean()
        free = (greedy(rounded, prompts) == reference)[written].float().mean()
        finite = scores.isfinite() & others.isfinite()
        error = (others - scores)[finite].square().mean().sqrt()
        results[name] = {"given": float(given), "free": float(free), "rms": float(error)}
        print(f"{name:<16} given {given:.2%}  free {free:.2%}  difference of logits {error:.4f}")
    print(json.dumps({"bench": "int8_tokens", "tokens": int(written.sum()), "forms": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
