"""How a text's tokens become one vector: which of them count, how they are joined, how long the vector is.

    mean   the mean of the tokens              max    the largest number in every column
    cls    the first token, [CLS]              last   the last token
    words  a vector per word: the mean of its tokens

[CLS] and [SEP] stand around every text. By default they are no tokens of it: mean, max and last look at the text alone.
sentence-transformers counts them, so a run that was imported from there says `separators: true`
(docs/decisions/0021-separators-in-pooling.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from polyseme.core.arrays import Float32Array
from polyseme.errors import CheckpointError, ConfigError
from polyseme.infer.loaded import Loaded

__all__ = ["Float32Array", "OneVector", "Pool", "Pooling", "SeparatorCounts"]

Pool = Literal["mean", "cls", "max", "last", "words"]
OneVector = Literal["mean", "cls", "max", "last"]
SeparatorCounts = tuple[int, int]
"""How many separators stand before and behind a text."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """A way to make vectors of texts; a run imported from sentence-transformers remembers its own.

    Args:
        pool: see the head of this file.
        normalize: make every vector of length one; a vector of zeros stays.
        max_length: tokens of a text that are read, [CLS] and [SEP] among them; None = as many as the model can.
        separators: count [CLS] and [SEP] as tokens of the text.
        truncate_dim: keep this many dimensions, the first ones, as sentence-transformers does for models that were
            trained for it; None = all. It comes after `normalize`; vectors of words keep all.
        renormalize: make the truncated vector of length one.

    Example:
        Pooling.of(loaded, normalize=True)      # the run's own way, but vectors of length one
    """

    pool: Pool = "mean"
    normalize: bool = False
    max_length: int | None = None
    separators: bool = False
    truncate_dim: int | None = None
    renormalize: bool = False

    @classmethod
    def of(cls, loaded: Loaded, **changes: Any) -> Pooling:
        """The run's own pooling, with the changes that are not None.

        Raises:  ConfigError: no such pool, one that says nothing here, or a length the model cannot read.
                 CheckpointError: what the run remembers is damaged.
        """
        remembered = loaded.run.meta.get("embedding") or {}
        try:
            default = cls(**remembered)
        except TypeError:
            raise CheckpointError(
                "run.json holds an unknown way to make vectors", got=remembered, where=loaded.run.path
            ) from None
        if default.max_length is not None:
            default = replace(
                default, max_length=min(default.max_length, loaded.max_content + sum(loaded.separator_counts))
            )
        asked = {name: value for name, value in changes.items() if value is not None}
        if (
            default.truncate_dim is not None and "normalize" in asked
        ):  # a request for length one is about the result
            asked.setdefault("renormalize", asked["normalize"])
        chosen = replace(default, **asked)
        chosen.check(loaded)
        return chosen

    def check(self, loaded: Loaded) -> None:
        """Refuse settings that make no sense for this run.

        Raises:  ConfigError: no such pool, one that says nothing here, or a length the model cannot read.
        """
        if self.pool not in get_args(Pool):
            raise ConfigError("no such pool", got=repr(self.pool), expected=", ".join(get_args(Pool)))
        if self.pool == "cls" and loaded.encoder.reach != "both":
            sees = {"none": "no other token", "left": "only what is before it"}
            raise ConfigError(
                "the vector of [CLS] says nothing about a text here",
                got=f"pool cls with {loaded.recipe.architecture}, whose [CLS] sees "
                f"{sees.get(loaded.encoder.reach, 'too little')}",
                expected=", ".join(p for p in get_args(Pool) if p != "cls"),
                fix="--pool mean",
            )
        if self.truncate_dim is not None and self.truncate_dim < 1:
            raise ConfigError("truncate_dim must be above zero", got=self.truncate_dim)
        if self.truncate_dim is not None and hasattr(loaded.encoder, "active"):
            raise ConfigError("sparse vectors are not truncated", got=f"truncate_dim {self.truncate_dim}")
        added = sum(loaded.separator_counts)
        longest = loaded.max_content + added
        if self.max_length is not None and not added < self.max_length <= longest:
            raise ConfigError(
                "no such length",
                got=f"max_length {self.max_length:,}",
                expected=f"{added + 1} … {longest:,}, [CLS] and [SEP] among them",
            )

    def max_content(self, loaded: Loaded) -> int:
        """Tokens of a text that are read, without separators."""
        if self.max_length is None:
            return loaded.max_content
        return min(loaded.max_content, self.max_length - sum(loaded.separator_counts))

    def width(self, hidden_size: int) -> int:
        """Dimensions of a vector."""
        if self.truncate_dim is None or self.pool == "words":
            return hidden_size
        return min(self.truncate_dim, hidden_size)

    def as_dict(self) -> dict[str, Any]:
        """What run.json remembers."""
        return asdict(self)

    def positions(
        self, lengths: Sequence[int], separator_counts: SeparatorCounts, width: int
    ) -> Tensor | None:
        """The flat positions that alone decide the vectors, if one token a text does.

        Args:
            lengths: tokens of each text, without separators.
            separator_counts: how many separators stand before and behind a text.
            width: of the rows, padding included.
        Shapes:  B lengths -> (B,) into (B, width), or None where more than one counts
        """
        if self.pool not in ("cls", "last"):
            return None
        return torch.tensor(
            [row * width + self._column(n, separator_counts) for row, n in enumerate(lengths)]
        )

    def _column(self, n: int, separator_counts: SeparatorCounts) -> int:
        """The column of the token that counts; for a text without tokens, a column whose vector is not used."""
        before, behind = separator_counts
        if self.pool == "cls":
            return 0
        return max(0, before + n + (behind if self.separators else 0) - 1)

    def join(self, hidden: Tensor, lengths: Sequence[int], separator_counts: SeparatorCounts) -> Float32Array:
        """One vector a text from hidden states, for every pool but words.

        Shapes:  hidden: (B, T, hidden_size), or (B, hidden_size) at `positions`; B lengths -> (B, hidden_size)
        """
        before, behind = separator_counts
        if hidden.dim() == 2:
            vectors = hidden.float().clone()
        elif self.pool in ("cls", "last"):
            columns = torch.tensor([self._column(n, separator_counts) for n in lengths])
            vectors = hidden[torch.arange(len(hidden)), columns].float()
        else:
            start = 0 if self.separators else before
            end = before + (behind if self.separators else 0)  # behind the last token of the text
            if (
                len({*lengths}) == 1 and lengths[0] + end > start
            ):  # a batch of many texts mostly has one length
                whole = hidden[:, start : lengths[0] + end].float()
                vectors = whole.amax(1) if self.pool == "max" else whole.mean(1)
            else:
                rows = [row[start : n + end].float() for row, n in zip(hidden, lengths, strict=True)]
                join = torch.amax if self.pool == "max" else torch.mean
                vectors = torch.stack(
                    [join(row, dim=0) if len(row) else row.new_zeros(row.size(1)) for row in rows]
                )
        if self.pool == "last" and not (self.separators and any(separator_counts)):
            vectors[torch.tensor([n == 0 for n in lengths])] = 0.0
        return self.scaled(vectors.numpy())

    def join_words(self, row: Tensor, word_starts: Sequence[bool], before: int) -> Float32Array:
        """One vector a word from a text's hidden states; [CLS] and [SEP] are no words.

        Shapes:  row: (T, hidden_size); n word starts -> (words, hidden_size)
        """
        n = len(word_starts)
        inner = row[before : before + n].float()
        if not n:
            return inner.new_zeros(0, row.size(1)).numpy()
        starts = torch.tensor(word_starts)
        starts[0] = True
        word = torch.cumsum(starts.long(), 0) - 1
        sums = inner.new_zeros((int(word[-1]) + 1, inner.size(1))).index_add_(0, word, inner)
        return self.scaled((sums / torch.bincount(word)[:, None]).numpy())

    def scaled(self, vectors: Float32Array) -> Float32Array:
        """The vectors with length one and cut, where that is asked for."""
        if self.normalize:
            vectors = _of_length_one(vectors)
        if self.truncate_dim is not None and self.pool != "words":
            vectors = vectors[..., : self.truncate_dim]
            return _of_length_one(vectors) if self.renormalize else vectors
        return vectors


def _of_length_one(vectors: Float32Array) -> Float32Array:
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: Float32Array = vectors / np.maximum(norm, 1e-12)
    return result
