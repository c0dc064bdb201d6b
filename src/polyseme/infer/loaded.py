"""A trained run in memory, the first argument of every function of this package.  infer/model.py opens one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import nn

from polyseme.core import registry
from polyseme.core.entries import Predicts
from polyseme.core.paths import PathLike
from polyseme.core.protocols import Encoder, TokenHead
from polyseme.core.types import Batch
from polyseme.data.examples import Example, SpecialTokens
from polyseme.data.labelled import spelling
from polyseme.data.loader import collate, to_batch
from polyseme.errors import ConfigError, InputError
from polyseme.kernels.int8 import Int8Embedding, in_int8
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.tokens import Tokens
from polyseme.train.recipe import Recipe
from polyseme.train.run import RunDirectory

Precision = Literal["float32", "int8"]


@dataclass(frozen=True, eq=False, repr=False)
class Loaded:
    """A run in memory, in evaluation mode.  A `Model` is one with methods.

    It computes where its weights are, `device`; what is asked of it comes back in the memory of the CPU.

    Args:
        run: where it came from.
        encoder: satisfies `Encoder`.
        heads: the objectives' heads by name.
        tokenizer: text to ids.
        recipe: how it was trained.
        special: ids of the separators.
    """

    run: RunDirectory
    encoder: Encoder
    heads: dict[str, nn.Module]
    tokenizer: Tokenizer
    recipe: Recipe
    special: SpecialTokens

    @property
    def precision(self) -> Precision:
        """What the weights are in: see `prepared`."""
        rounded = any(isinstance(module, Int8Embedding) for module in self.encoder.modules())
        return "int8" if rounded else "float32"

    @cached_property
    def device(self) -> torch.device:
        """Where the weights are, and where the run computes; the CPU for models that only count."""
        return next((weight.device for weight in self.encoder.parameters()), torch.device("cpu"))

    @property
    def max_content(self) -> int:
        """Longest text in tokens, without separators."""
        return int(self.encoder.max_length) - sum(self.separator_counts)

    @property
    def separator_counts(self) -> tuple[int, int]:
        """How many separators stand before and behind a text."""
        return self.prefix_length, len(self.tokenizer.suffix_ids)

    @property
    def prefix_length(self) -> int:
        """How many separators stand before a text's first token: one, [CLS]; in some imported models none."""
        return len(self.tokenizer.prefix_ids)

    def example(self, ids: Sequence[int]) -> Example:
        """One text with its separators: [CLS] ids [SEP], or what an imported tokenizer has instead.

        Raises:  InputError: it is longer than the model's positions.
        """
        if len(ids) > self.max_content:
            raise InputError(
                "the text is longer than the model can read",
                got=f"{len(ids):,} tokens",
                expected=f"at most {self.max_content:,}",
                fix="a shorter text",
            )
        t = self.tokenizer
        whole = np.array([*t.prefix_ids, *ids, *t.suffix_ids] or t.opening(ids), np.int64)
        return Example(whole, np.zeros_like(whole), np.ones(len(whole), np.bool_))

    def batch(self, texts: Sequence[Sequence[int]], words: Sequence[Sequence[str]] | None = None) -> Batch:
        """Rows of one text each, padded to the longest.

        Args:
            texts: ids of each text.
            words: what each token is in the text; an encoder that reads letters is told how those that are not in the
                vocabulary are spelled.
        Shapes:  N lists of ids -> (N, longest + 2)
        """
        examples = [[self.example(ids)] for ids in texts]
        longest = max(len(row[0].ids) for row in examples)
        batch = to_batch(collate(examples, longest, self.special), [])
        if words is not None and self.reads_letters:
            batch = _spelled(batch, texts, words, self.tokenizer, self.prefix_length)
        return self.placed(batch)

    def placed(self, batch: Batch) -> Batch:
        """A batch where the run computes."""
        return batch if self.device.type == "cpu" else batch.to(self.device)

    def prepared(self, precision: Precision = "float32") -> Self:
        """The run with its weights in another precision; everything else works as before.

        Args:
            precision: "int8" rounds the weights of linear layers and of the vocabulary to eight bits, a scale per row:
                a quarter of the memory, and generation on CPUs, which reads all weights for every token, is several
                times faster. Norms, positions and attention stay float32; where the processor multiplies whole numbers,
                the inputs of those layers are rounded, too, row by row, and texts are read faster (kernels/int8.py).
        Raises:  ConfigError: "int8" of a run that does not compute on the CPU.
        Returns a copy, which shares what is not rounded with this one; this one itself for "float32".

        Example:
            generate(load("runs/gpt").prepared("int8"), "It was")
        """
        table = self.encoder.token_embedding()
        if precision == "float32" or isinstance(table, Int8Embedding):
            return self
        check_precision(self, precision)
        embeddings = [table] if type(table) is nn.Embedding else []
        encoder, heads = in_int8((self.encoder, self.heads), embeddings)
        return replace(self, encoder=encoder, heads=heads)

    @cached_property
    def predicting(self) -> dict[Predicts, TokenHead]:
        """The heads that give tokens probabilities, by which tokens they predict; see `ObjectiveEntry`."""
        heads: dict[str, Any] = self.heads
        known = [
            (registry.learned(part).predicts, head)
            for name, head in heads.items()
            for part in registry.learned(name).parts or (name,)
        ]
        # if two heads predict the same, the first objective's counts: in reversed order it is put in last
        return {predicts: head for predicts, head in reversed(known) if predicts is not None}

    @property
    def reads_letters(self) -> bool:
        """Whether the encoder reads the letters of words that are not in the vocabulary."""
        return bool(getattr(self.encoder, "open_vocabulary", False))

    @property
    def fills_masks(self) -> bool:
        """Whether the run has a head that predicts hidden tokens."""
        return "masked" in self.predicting

    @property
    def masked_lm_head(self) -> TokenHead:
        """The head that fills masks, whichever objective trained it.

        Raises:  ConfigError: the run has none.
        """
        if "masked" in self.predicting:
            return self.predicting["masked"]
        raise ConfigError(
            "the run was not trained to fill masks",
            got=f"{self.recipe.architecture}, trained with {', '.join(self.recipe.objectives)}",
            expected="a run trained with masked_lm or knowledge_masking: bert, modernbert, ernie",
            where=self.run.path,
            fix="polyseme pretrain modernbert CORPUS -o RUN",
        )

    @cached_property
    def word_vectors(self) -> torch.Tensor:
        """Input embeddings, each of length one, in the memory of the CPU: (vocab_size, hidden_size)"""
        weight = self.encoder.token_embedding().weight.detach().cpu()
        return nn.functional.normalize(weight, dim=1)


def check_precision(loaded: Loaded, precision: str) -> None:
    """Refuse a number format that is made for CPUs where a run computes elsewhere.

    Raises:  ConfigError: it does.
    """
    if precision != "float32" and loaded.device.type != "cpu":
        raise ConfigError(
            f"weights in {precision} are for CPUs",
            got=f"a run on {loaded.device}",
            expected="float32, or the CPU",
            fix="--device cpu",
        )


def words_of(text: str, tokens: Tokens) -> list[str]:
    """What each token is in the text, for `Loaded.batch`."""
    return [text[start:end] for start, end in tokens.offsets]


def _spelled(
    batch: Batch,
    texts: Sequence[Sequence[int]],
    words: Sequence[Sequence[str]],
    tokenizer: Tokenizer,
    prefix_length: int,
) -> Batch:
    """Give every different word that is [UNK] an id of its own, with its spelling."""
    ids = batch.ids.clone()
    new_ids: dict[str, int] = {}
    for row, (tokens, pieces) in enumerate(zip(texts, words, strict=True)):
        for place, (token, piece) in enumerate(zip(tokens, pieces, strict=True), start=prefix_length):
            if token == tokenizer.unk_id and (word := tokenizer.normalise(piece)):
                ids[row, place] = new_ids.setdefault(word, tokenizer.vocab_size + len(new_ids))
    if not new_ids:
        return batch
    return replace(batch, ids=ids, spelling=spelling(list(new_ids)))


def word_ids(tokenizer: Tokenizer, word: str) -> list[int]:
    """Tokens of a word or phrase that a person typed by itself; an empty list where a part of it is unknown."""
    ids = tokenizer.lookup(word)
    return [] if tokenizer.unk_id in ids else ids


def path_of_run(run: Loaded | RunDirectory | PathLike) -> PathLike:
    """Where a run is: in memory, what `pretrain` gave, or its path as it is."""
    directory = run.run if isinstance(run, Loaded) else run
    return directory.path if isinstance(directory, RunDirectory) else directory
