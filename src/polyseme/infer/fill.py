"""Complete a text at its [MASK]s."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any, overload

import torch

from polyseme.core.synonyms import MASKS
from polyseme.errors import ConfigError, InputError
from polyseme.infer.inputs import at_least_one, check_loaded, texts_of
from polyseme.infer.loaded import Loaded, words_of
from polyseme.text.tokenizers import ABSENT


@overload
def fill(loaded: Loaded, texts: str, top: int = 5) -> list[dict[str, Any]]: ...  # type: ignore[overload-overlap]
@overload
def fill(loaded: Loaded, texts: Iterable[str], top: int = 5) -> list[list[dict[str, Any]]]: ...
def fill(
    loaded: Loaded, texts: str | Iterable[str], top: int = 5
) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
    """The likeliest tokens at every [MASK] of texts, each mask on its own.

    Args:
        loaded: a run trained with masked_lm or knowledge_masking.
        texts: one or several, each with at least one [MASK]; where it has none, <mask>, [mask] and ___ are read as
            such, with a warning.
        top: candidates per mask.
    Returns, for a text, a list with, per mask, {"position": character offset in the text as it is read, "candidates":
    [{"token", "probability", "sequence"}]}; in "sequence" the other masks stay as they are.
    Raises:  InputError: not text, no [MASK], or a text is longer than the model reads.
             ConfigError: the run has no masked-LM head, or top is no count.
    """
    check_loaded(loaded)
    several, single = texts_of(texts)
    at_least_one("top", top)
    answers = [_fill_text(loaded, text, top) for text in several]
    return answers[0] if single else answers


@torch.no_grad()
def _fill_text(loaded: Loaded, text: str, top: int) -> list[dict[str, Any]]:
    head = loaded.masked_lm_head
    if loaded.tokenizer.mask_id == ABSENT:
        raise ConfigError(
            "the run's vocabulary has no token that hides others",
            expected="a tokenizer with a mask token",
            where=loaded.run.path,
        )
    text = _with_masks(text, loaded.tokenizer.token(loaded.tokenizer.mask_id))
    tokens = loaded.tokenizer.encode(text, special=True)
    places = [i for i, token in enumerate(tokens.ids) if token == loaded.tokenizer.mask_id]
    if not places:
        mask = loaded.tokenizer.token(loaded.tokenizer.mask_id)
        raise InputError(
            f"there is no {mask} in the text", got=text, fix=f"write {mask} where a word is to be found"
        )
    batch = loaded.batch([tokens.ids], [words_of(text, tokens)])
    hidden = loaded.encoder.encode(batch).at(torch.tensor(places) + loaded.prefix_length)
    probabilities = torch.softmax(head.logits(hidden).float(), dim=1)
    probabilities[:, loaded.special.special.nonzero()[0]] = 0.0  # a special token is never an answer
    probabilities[:, loaded.tokenizer.vocab_size :] = 0.0  # nor a row of the table without a token
    best = probabilities.topk(min(top, probabilities.size(1)), dim=1)
    results = []
    for place, values, ids in zip(places, best.values.tolist(), best.indices.tolist(), strict=True):
        start, end = tokens.offsets[place]
        # some tokens include the space before them
        start += len(text[start:end]) - len(text[start:end].lstrip())
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


def _with_masks(text: str, mask: str) -> str:
    """The text with the run's own mask. If it has none, the masks of other vocabularies are replaced."""
    if mask in text:
        return text
    foreign_masks = sorted(set(re.findall(MASKS, text, re.IGNORECASE)))
    if foreign_masks:
        warnings.warn(f"{' and '.join(foreign_masks)} is read as {mask}", stacklevel=4)
    return re.sub(MASKS, lambda _: mask, text, flags=re.IGNORECASE)
