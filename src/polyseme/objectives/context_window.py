"""word2vec's objective: a word and the words of its window, each predicting or predicted.

Papers: Mikolov et al. (2013a), section 3; Mikolov et al. (2013b), section 2. With v the input vectors (the
encoder's), u the output vectors (the head's), w the word in the middle and c one of its window:

    skip-gram             h = v_c for every c          CBOW   h = mean of the v_c
    negative sampling     loss = -log σ(u_w · h) - Σ_{k negatives n ~ q} log σ(-u_n · h),  q(n) ∝ count(n)^0.75
    hierarchical softmax  loss = -Σ_{n on the path of w} log σ(± u_n · h),  the paths of a Huffman tree

Frequent words are left out with probability 1 - keep(w), keep = √(t / f) + t / f for a word of relative frequency f,
before windows are drawn; a window reaches 1 … `window` words to each side, drawn for each word. The learning rate
follows the budget that is spent.

Departures: CBOW divides the gradient of the mean among its words (`divide`). The negatives of a word are shared by its
window (Ji et al. 2016), so that the C · (k + 1) products of a word are small matrix products. The logistic function is
computed, not tabulated, and never cut off. As in the authors' program, skip-gram predicts the word in the middle from
each word of its window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.arrays import Float32Array, Float64Array, IntArray
from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder, Span
from polyseme.core.rng import Random
from polyseme.data.store import TokenStore
from polyseme.errors import CorpusError, TrainingError
from polyseme.objectives.masked_lm import log_unigram
from polyseme.objectives.unigram import block_sums
from polyseme.objectives.word2vec import (
    alias_table,
    heldout_windows,
    huffman,
    keep_probability,
    mean_losses,
    negative_reading,
    pair_losses,
    tree_reading,
)
from polyseme.text.tokenizers import Tokenizer

NAME = "context_window"
HELDOUT_SEED = 0
HELDOUT_WORDS = 2048
_LEAST_STEP, _LARGEST_STEP, _STEPS_PER_EPOCH = 4_000, 150_000, 20


class ContextWindowConfig(Config):
    """Section [context_window] of a recipe.

    Args:
        method: "skip-gram" or "cbow".
        output: "negative" sampling or "hierarchical" softmax.
        window: longest reach to each side, words.
        dynamic_window: draw each word's reach from 1 … window, so that near words count more.
        negatives: negatives of each word.
        negative_power: they are drawn in proportion to count^negative_power.
        sample: t, the relative frequency above which words are left out; 0 = never.
        boundary: what windows do not leave: the "sentence" or the "document".
        divide: CBOW: divide the gradient among the words of the window, as the mean asks for; it then wants a rate
            three times skip-gram's (İrsoy, Benton and Stratos 2021). The authors' program gives each word all of it.
        deterministic: several threads give the same bits, whatever their number; slower than threads that do not
            wait for each other. One thread is always deterministic.
    """

    method: Literal["skip-gram", "cbow"] = "skip-gram"
    output: Literal["negative", "hierarchical"] = "negative"
    window: int = Field(5, ge=1, le=100)
    dynamic_window: bool = True
    negatives: int = Field(5, ge=1, le=100)
    negative_power: float = Field(0.75, ge=0, le=1)
    sample: float = Field(1e-3, ge=0)
    boundary: Literal["sentence", "document"] = "sentence"
    divide: bool = True
    deterministic: bool = False


class OutputVectors(nn.Module):
    """The vectors u, which training needs and use does not: of words, or of the inner nodes of the tree.

    Shapes:  weight: (vocab_size, hidden_size); a tree fills one row less than it has words
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(encoder.config.vocab_size, encoder.config.hidden_size))


class ContextWindowLearner:
    """Learns a table of word vectors straight from the token store; see `CorpusLearner`.

    Args:
        encoder: its token_embedding is learned.
        config: section [context_window].
        train, valid: the two splits.
        tokenizer: its special tokens are no words.
        seed: decides order, subsampling, windows and negatives.
        learning_rate: progress -> rate.
        heldout_tokens: bound on the held-out words that are predicted.
        threads: of the kernels.
    Raises:  CorpusError: fewer than two different words, or no held-out word with a context.
    """

    def __init__(
        self,
        encoder: Encoder,
        config: ContextWindowConfig,
        *,
        train: TokenStore,
        valid: TokenStore,
        tokenizer: Tokenizer,
        seed: int,
        learning_rate: Callable[[float], float],
        heldout_tokens: int,
        threads: int,
    ) -> None:
        self._config, self._learning_rate, self._threads = config, learning_rate, max(1, threads)
        self._order, self._random = Random(seed, "order"), Random(seed, "windows")
        self._taken = 0
        self.finished = False
        counts = np.array(train.counts)
        counts[list(tokenizer.special_ids)] = 0
        if np.count_nonzero(counts) < 2:
            raise CorpusError("the corpus holds fewer than two different words", fix="more text")
        self._tokens = np.asarray(train.tokens)
        self._bounds = _bounds(train, config.boundary)
        self._keep = keep_probability(counts, config.sample)
        q = counts**config.negative_power * (counts > 0)
        self._q = q / q.sum()
        self._chance, self._alias = alias_table(self._q)
        self._paths = huffman(counts) if config.output == "hierarchical" else None

        self._table_name = next(f"encoder.{name}" for name, _ in encoder.named_parameters())
        table = encoder.token_embedding().weight.detach().numpy().copy()
        table[counts == 0] = 0.0  # never seen: no direction is better than a random one
        self._inputs, self._outputs = self._padded(table), self._padded(np.zeros_like(table))
        self._size = table.shape[1]
        self.n_parameters = 2 * table.size

        self._cuts = _cuts(np.asarray(train.sentences))
        self.steps_per_epoch = float(len(self._cuts) - 1)
        self.tokens_per_step = train.n_tokens / self.steps_per_epoch

        heldout = _bounds(valid, config.boundary)
        for keep in (
            self._keep,
            (counts > 0).astype(np.float32),
        ):  # of a few words subsampling may leave none
            self._sample = heldout_windows(
                valid, heldout, keep, config.window, config.dynamic_window,
                min(HELDOUT_WORDS, heldout_tokens), HELDOUT_SEED,
            )  # fmt: skip
            if len(self._sample.words):
                break
        if not len(self._sample.words):
            raise CorpusError(
                "no word of the held-out text has another one that the vocabulary knows in its window",
                got=f"{valid.n_tokens:,} tokens, windows within a {config.boundary}",
                fix="--set context_window.boundary=document, or more text of several words a sentence",
            )
        self._log_unigram = log_unigram(torch.from_numpy(counts))

    def stream(self, step: int, progress: Callable[[int], float]) -> Iterator[Span]:
        """Spans of whole sentences, shuffled anew in every epoch."""
        n = len(self._cuts) - 1
        while True:
            epoch, first = divmod(step, n)
            order = self._order.permutation(n, epoch)
            for i in order[first:].tolist():
                yield Span(int(self._cuts[i]), int(self._cuts[i + 1]))
                step += 1

    def step(self, batches: Sequence[Span], progress: float) -> dict[str, float]:
        """Learn from the spans at the rate of this progress.

        Returns the mean loss in nats of a prediction (skip-gram: of a pair), and the rate.
        Raises:  TrainingError: the vectors have grown out of all bounds.
        """
        rate = self._learning_rate(progress)
        total = np.zeros(3)
        for span in batches:
            total += self._learn(span, rate)
            self._taken += 1
        loss, examples, pairs = total
        predictions = examples if self._config.method == "cbow" else pairs
        if not math.isfinite(loss):
            raise TrainingError(
                "the word vectors have diverged",
                got=f"a loss of {loss} at a learning rate of {rate:g}",
                fix="a lower --set train.learning_rate=",
            )
        return {"loss": loss / max(predictions, 1), "lr": rate, "predictions": float(predictions)}

    def _learn(self, span: Span, rate: float) -> Float64Array:
        from polyseme.kernels import word2vec as kernels

        config, cbow = self._config, self._config.method == "cbow"
        epoch = self._taken // (len(self._cuts) - 1)
        words = kernels.Words.empty(span.n_tokens)
        key = np.uint64(self._random.bits(0, epoch))
        n = kernels.keep_words(self._tokens, span.start, span.end, self._bounds, self._keep, key, *words)
        path = self._paths or huffman(np.zeros(0, np.int64))
        negatives = config.negatives if config.output == "negative" else 0
        sampling = (
            config.window, config.dynamic_window, np.uint64(self._random.bits(1, epoch)), negatives,
            self._chance, self._alias, *path,
        )  # fmt: skip
        longest = negatives + 1 if negatives else int(np.diff(path.start).max())
        tables = (self._inputs, self._outputs, (*words, n))
        rest = (sampling, cbow, config.divide, np.float32(rate))
        learn = kernels.drivers(self._inputs.shape[1])
        if config.deterministic:
            with kernels.using_threads(self._threads):
                driver = learn.in_turn if self._threads == 1 else learn.together
                scratch = kernels.scratch_together(self._inputs.shape[1], config.window, longest)
                return np.asarray(driver(*tables, 0, n, kernels.TOGETHER, *rest, *scratch))
        shares = (
            1 if self._threads == 1 else 4 * self._threads
        )  # so that a thread held up elsewhere is not waited for
        cuts = np.linspace(0, n, shares + 1).astype(int).tolist()

        def share(i: int) -> Any:
            scratch = kernels.scratch_alone(self._inputs.shape[1], config.window, longest)
            return learn.alone(*tables, cuts[i], cuts[i + 1], kernels.ALONE, *rest, *scratch)

        if shares == 1:
            return np.asarray(share(0))
        with ThreadPoolExecutor(self._threads) as pool:
            return np.asarray(np.sum(list(pool.map(share, range(shares))), axis=0))

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Any]) -> dict[str, float]:
        """Nats per predicted word of the fixed held-out sample, and from word frequency alone."""
        del batches
        sample, cbow = self._sample, self._config.method == "cbow"
        weights = self.weights()
        inputs, outputs = weights[self._table_name], weights[f"heads.{NAME}.weight"]
        log_keep = torch.from_numpy(np.log(np.where(self._keep > 0, self._keep, 1.0))).float()
        if self._paths is None:
            with np.errstate(divide="ignore"):
                log_q = torch.from_numpy(np.log(self._q)).float()
            reading = negative_reading(outputs, log_q, log_keep)
        else:
            reading = tree_reading(outputs, self._paths, log_keep)
        losses = (mean_losses if cbow else pair_losses)(sample, inputs, reading)
        predicted = sample.words if cbow else np.repeat(sample.words, np.diff(sample.start))
        baseline = -self._log_unigram[torch.from_numpy(predicted)].double()
        self.heldout_blocks = {f"{NAME}_loss": block_sums(losses)}
        return {f"{NAME}_loss": float(losses.mean()), f"{NAME}_baseline": float(baseline.mean())}

    def weights(self) -> dict[str, Tensor]:
        """Copies of the input and output vectors."""
        return {
            self._table_name: torch.from_numpy(self._inputs[:, : self._size].copy()),
            f"heads.{NAME}.weight": torch.from_numpy(self._outputs[:, : self._size].copy()),
        }

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Put vectors in place; output vectors that are absent stay as they are."""
        for name, table in ((self._table_name, self._inputs), (f"heads.{NAME}.weight", self._outputs)):
            if name in tensors:
                table[:, : self._size] = tensors[name].numpy()

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The vectors, and how many spans were taken."""
        return self.weights(), {"taken": self._taken}

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.load_weights(tensors)
        self._taken = int(extra["taken"])

    def _padded(self, table: Float32Array) -> Float32Array:
        """The table with zero columns up to the width of the kernels, its rows at the beginning of cache lines."""
        from polyseme.kernels import word2vec as kernels

        width = kernels.width_of(table.shape[1], self._config.deterministic)
        room = np.zeros(len(table) * width + kernels.LANES, np.float32)
        shift = -(room.ctypes.data // 4) % kernels.LANES
        padded = room[shift : shift + len(table) * width].reshape(len(table), width)
        padded[:, : table.shape[1]] = table
        return padded


def _bounds(store: TokenStore, boundary: str) -> IntArray:
    sentences = np.asarray(store.sentences)
    return sentences if boundary == "sentence" else sentences[np.asarray(store.documents)]


def _cuts(sentences: IntArray) -> IntArray:
    """Offsets of the spans: ends of sentences, a twentieth of the text apart but neither tiny nor large."""
    n = int(sentences[-1])
    size = min(_LARGEST_STEP, max(_LEAST_STEP, n // _STEPS_PER_EPOCH))
    wanted = np.arange(1, max(1, round(n / size))) * size
    return np.unique(np.concatenate([[0], sentences[np.searchsorted(sentences, wanted)], [n]]))


ENTRY = ObjectiveEntry(
    config=ContextWindowConfig, learner=ContextWindowLearner, head=OutputVectors, few_words={"sample": 0.0}
)
