"""Complete a text at its [MASK]s."""

from __future__ import annotations

from typing import Any

import torch

from polyseme.errors import InputError
from polyseme.infer.load import Loaded, encode_text, words_of

MASK = "[MASK]"


@torch.no_grad()
def fill(loaded: Loaded, text: str, top: int = 5) -> list[dict[str, Any]]:
    """The likeliest tokens at every [MASK] of a text, each mask on its own.

    Args:
        loaded: a run trained with masked_lm or knowledge_masking.
        text: holds at least one [MASK].
        top: candidates per mask.
    Returns, per mask, {"position": character offset, "candidates": [{"token", "probability", "sequence"}]}; in
    "sequence" the other masks stay as they are.
    Raises:  InputError: no [MASK], or the text is longer than the model reads.
             ConfigError: the run has no masked-LM head.
    """
    head = loaded.masked_lm_head
    tokens = encode_text(loaded, text, special=True)
    places = [i for i, token in enumerate(tokens.ids) if token == loaded.special.mask]
    if not places:
        raise InputError(
            "there is no [MASK] in the text", got=text, fix="write [MASK] where a word is to be found"
        )
    batch = loaded.batch([tokens.ids], [words_of(text, tokens)])
    hidden = loaded.encoder.encode(batch).at(torch.tensor(places) + 1)
    probabilities = torch.softmax(head.logits(hidden).float(), dim=1)
    probabilities[:, loaded.special.special.nonzero()[0]] = 0.0  # a special token is never an answer
    found = probabilities.topk(min(top, probabilities.size(1)), dim=1)
    results = []
    for place, values, ids in zip(places, found.values.tolist(), found.indices.tolist(), strict=True):
        start, end = tokens.offsets[place]
        candidates = []
        for value, token in zip(values, ids, strict=True):
            shown = loaded.tokenizer.display(token)
            piece = shown.removeprefix("##") if shown != "##" else shown
            before = text[:start].rstrip() if shown.startswith("##") else text[:start]
            candidates.append(
                {
                    "token": shown,
                    "probability": value,
                    "sequence": before + (piece.lstrip() if before.endswith(" ") else piece) + text[end:],
                }
            )
        results.append({"position": start, "candidates": candidates})
    return results
