"""Going on with a vocabulary that has grown: every tensor with a row for each token gets rows for the new ones.

    row of a new entry = mean of the rows of the tokens that spelled it before (text/extending.py);
                         where none did, the mean of all tokens' rows

That holds for the table of embeddings, a tied or untied output layer, and its biases alike. What grows in another way
(letters of words, word classes, counts) has no such rows, and its run is not grown.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from polyseme.errors import ConfigError
from polyseme.text.extending import made_of
from polyseme.text.tokenizers import Tokenizer

__all__ = ["grown"]


def grown(
    weights: Mapping[str, Tensor], shapes: Mapping[str, Tensor], old: Tokenizer, new: Tokenizer
) -> dict[str, Tensor]:
    """The weights with as many rows as the larger model has.

    Args:
        weights: "encoder.…" and "heads.NAME.…" of the run that training goes on from.
        shapes: tensors of the larger model, by the same names; one that has more rows there grows.
        old, new: the vocabularies; `new` has the entries of `old` first.
    Raises:  ConfigError: a tensor grows that has not a row for each token.
    """
    added = new.vocab_size - old.vocab_size
    spelled = made_of(old, new)
    ordinary = [id for id in range(old.vocab_size) if id not in set(old.special_ids)]
    result = dict(weights)
    for name, tensor in weights.items():
        wanted = shapes[name].shape if name in shapes else tensor.shape
        if wanted == tensor.shape:
            continue
        with_rows = tensor.dim() > 0 and len(tensor) >= old.vocab_size and tensor.is_floating_point()
        if not with_rows or wanted != (len(tensor) + added, *tensor.shape[1:]):
            raise ConfigError(
                "what this model has learned cannot grow with its vocabulary",
                got=f"{name}: {tuple(tensor.shape)}, then {tuple(wanted)}",
                fix="leave --extend-vocabulary out",
            )
        larger = torch.zeros(wanted, dtype=tensor.dtype)
        larger[: len(tensor)] = tensor
        average = tensor[ordinary].mean(0)
        for place, pieces in enumerate(spelled):
            larger[old.vocab_size + place] = tensor[pieces].mean(0) if pieces else average
        result[name] = larger
    return result
