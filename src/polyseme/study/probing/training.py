"""The edge probe, a small MLP: from frozen hidden states of one span or two to its labels; how it learns and is judged.

    h_t = γ Σ_l s_l h_l,t            s = softmax(w): a token's layers, mixed
    z_t = P h_t + b                  projected, for each side of a pair by its own P
    r   = Σ_t softmax_t(v · z_t) z_t     self-attentive pooling over the tokens of a span
    y   = σ(W₂ drop(norm(tanh(W₁ [r₁ ; r₂] + b₁))) + b₂)     a probability for each label by itself

    Adam, the rate falling to 0 linearly; binary cross-entropy of every label; the weights that are best on dev are
    kept. First weights, order and dropout are functions of the seed.

The main figure is the paper's: a label is predicted where its probability is at least ½, and micro-F1 counts all labels
of all targets. Where every target has one label there is also the accuracy of the most probable one. Three controls
(study/probe.py runs them): the same probe of layer 0 alone, of an encoder with random weights, and of random labels
(targets.py).

Paper: Tenney et al. (2019a), the probing model and its appendix; the mix Peters et al. (2018), equation 1; the pooling
Lee et al. (2017); Zhang and Bowman (2018) for the random encoder. Departures: the layers of each token are normed
before they are mixed (as they are stored: cache.py), so that weights of layers of different scale can be compared
(Fayyaz et al. 2021 show that otherwise they cannot); batches hold targets of any sentences, not whole sentences; the
learning rate is higher and the updates are fewer; the rate of the layer weights is ten times as high, or they would
hardly leave the mean.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from polyseme.core.arrays import BoolArray, Float64Array, IntArray
from polyseme.core.rng import Random
from polyseme.infer.loaded import Loaded
from polyseme.layers.dropout import Dropout
from polyseme.layers.mix import ScalarMix
from polyseme.study.probing.cache import Active, ActiveColumns, States
from polyseme.study.probing.targets import Part, ProbeConfig
from polyseme.tasks.metrics.measure import Measure, ratio, share
from polyseme.train.build import build_encoder
from polyseme.train.optim import leave_compiler_out, update

__all__ = [
    "EdgeProbe",
    "Side",
    "Trained",
    "attentive_pooling",
    "micro_f1",
    "mixed_rows",
    "most_frequent",
    "random_encoder",
    "train_probe",
]


class Side(NamedTuple):
    """The tokens of one side of a batch of targets.

    Args:
        states: hidden states of the tokens of all spans, one after another.
        owner: which target each belongs to.
        targets: how many there are.

    Shapes:  states: (N, layers, width), or Active for N tokens.  owner: (N,)
    """

    states: Tensor | Active
    owner: Tensor
    targets: int


class EdgeProbe(nn.Module):
    """A probe of one task; see the head of this file.

    Args:
        layers, width: of the states.
        labels: how many there are.
        sides: 1 span or 2.
        config: sizes and dropout.
        sparse: the states are `Active`: the projection of a vector of zeros and ones is a sum of columns.
    Shapes:  sides of B targets -> logits (B, labels)
    """

    def __init__(
        self, layers: int, width: int, labels: int, sides: int, config: ProbeConfig, sparse: bool = False
    ) -> None:
        super().__init__()
        self.mix = None if sparse or layers == 1 else ScalarMix(layers)
        size = config.projection
        self.projections = nn.ModuleList(
            _Columns(width, size) if sparse else nn.Linear(width, size) for _ in range(sides)
        )
        self.scores = nn.ModuleList(nn.Linear(size, 1, bias=False) for _ in range(sides))
        self.hidden = nn.Linear(sides * size, config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        self.dropout = Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, labels)

    def forward(self, *sides: Side) -> Tensor:
        pooled = []
        for side, projection, score in zip(sides, self.projections, self.scores, strict=True):
            z = projection(self._mixed(side.states))  # (N, projection)
            pooled.append(attentive_pooling(z, score(z)[:, 0], side.owner, side.targets))
        hidden = self.norm(torch.tanh(self.hidden(torch.cat(pooled, 1))))  # (B, hidden)
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits

    def _mixed(self, states: Tensor | Active) -> Tensor | Active:
        if isinstance(states, Active):
            return states
        return states[:, 0] if self.mix is None else mixed_rows(self.mix, states)

    @property
    def shares(self) -> list[float]:
        """The weight of each layer; [1.0] where there is one."""
        return [1.0] if self.mix is None else self.mix.shares


class _Columns(nn.Module):
    """W x + b for vectors x of zeros and ones: the sum of the columns of W where x is one.

    Shapes:  Active for N vectors -> (N, size)
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        limit = size**-0.5  # a few columns are added, however many there are
        self.weight = nn.Parameter(torch.empty(width, size).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, active: Active) -> Tensor:
        sums = nn.functional.embedding_bag(active.columns, self.weight, active.starts, mode="sum")
        return sums + self.bias


def mixed_rows(mix: ScalarMix, states: Tensor) -> Tensor:
    """The output of `mix` for states in token order, as one product; the states get no gradient.

    Shapes:  states: (N, layers, width) -> (N, width)
    """
    shares = mix.gamma * torch.softmax(mix.weights, dim=0)
    return torch.matmul(shares, states)


def attentive_pooling(z: Tensor, scores: Tensor, owner: Tensor, targets: int) -> Tensor:
    """The mean of each target's tokens, weighted by the softmax of their scores.

        r = Σ_t softmax_t(score_t) z_t

    Shapes:  z: (N, d).  scores, owner: (N,) -> (targets, d); every target has a token
    """
    if len(z) == targets:  # one token each: the softmax of one score is 1
        return z
    top = scores.detach().new_full((targets,), -torch.inf).scatter_reduce(0, owner, scores.detach(), "amax")
    weights = torch.exp(scores - top[owner])
    sums = torch.zeros(targets).index_add(0, owner, weights)
    shares = weights / sums[owner]
    return z.new_zeros(targets, z.size(1)).index_add(0, owner, shares[:, None] * z)


def random_encoder(loaded: Loaded, seed: int) -> Loaded | None:
    """The run with fresh weights; None where the encoder learns none, as in a 1-of-N encoding."""
    if not any(True for _ in loaded.encoder.parameters()):
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(Random(seed, "random encoder").bits(0)) % 2**63)
        encoder = build_encoder(loaded.recipe, loaded.tokenizer)
    return replace(loaded, encoder=encoder.eval(), heads={})


JUDGED = 1024
"""Targets that are judged at once."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A probe that has learned.

    Args:
        shares: the weight of each layer.
        gamma: their scale.
        f1: micro-F1 on test; texts are the unit of resampling.
        accuracy: of the most probable label on test; None where targets have several labels.
        dev: micro-F1 on dev of the weights that were kept.
        epochs: passes that were made.
        seconds: of learning and judging.
    """

    shares: list[float]
    gamma: float
    f1: Measure
    accuracy: Measure | None
    dev: float
    epochs: int
    seconds: float


def train_probe(
    states: States,
    parts: dict[str, Part],
    single: bool,
    config: ProbeConfig,
    seed: int,
    layers: int | None = None,
    gold: dict[str, BoolArray] | None = None,
) -> Trained:
    """Learn a probe on train, keep what is best on dev, judge it on test.

    Args:
        states: hidden states of all parts.
        parts: train, dev, test.
        single: every target has one label.
        seed: of first weights, order and dropout.
        layers: the number of layers, from the first on; None = all.
        gold: other labels for the same targets, of the same shapes.
    """
    began = time.perf_counter()
    gold = gold or {name: part.gold for name, part in parts.items()}
    layers = layers or states.layers
    train, n = parts["train"], len(parts["train"])
    labels = torch.from_numpy(gold["train"])
    epochs = config.epochs_of(n)
    order, size = Random(seed, "order of probing"), config.batch_size
    updates, done = epochs * -(-n // size), 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(Random(seed, "weights and dropout of probes").bits(0)) % 2**63)
        sparse = isinstance(states, ActiveColumns)
        sides = 1 if train.second is None else 2
        probe = EdgeProbe(layers, states.width, labels.size(1), sides, config, sparse)
        optimiser = _optimiser(probe, config)
        best, kept, epochs_without_gain = (-1.0, 0.0), _copy(probe), 0
        epoch = 0
        for epoch in range(1, epochs + 1):
            probe.train()
            shuffled = order.permutation(n, epoch)
            for start in range(0, n, size):
                chosen = shuffled[start : start + size]
                logits = probe(*_sides(states, train, chosen, layers))
                loss = nn.functional.binary_cross_entropy_with_logits(
                    logits, labels[torch.from_numpy(chosen)].float()
                )
                for group in optimiser.param_groups:
                    group["lr"] = group["peak"] * (1 - done / updates)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                update(optimiser)
                done += 1
            judged = _judge(probe, states, parts["dev"], gold["dev"], layers)
            figure = judged.f1(), -judged.loss
            if figure > best:
                best, kept, epochs_without_gain = figure, _copy(probe), 0
            else:
                epochs_without_gain += 1
                if epochs_without_gain >= config.patience:
                    break
    probe.load_state_dict(kept)
    test = parts["test"]
    judged = _judge(probe, states, test, gold["test"], layers)
    f1, accuracy = judged.measures(test)
    return Trained(
        shares=probe.shares,
        gamma=1.0 if probe.mix is None else float(probe.mix.gamma.detach()),
        f1=f1,
        accuracy=accuracy if single else None,
        dev=best[0],
        epochs=epoch,
        seconds=time.perf_counter() - began,
    )


def _optimiser(probe: EdgeProbe, config: ProbeConfig) -> torch.optim.Optimizer:
    mixing = [] if probe.mix is None else list(probe.mix.parameters())
    mixing_ids = {id(p) for p in mixing}
    other_parameters = [p for p in probe.parameters() if id(p) not in mixing_ids]
    groups = [{"params": other_parameters, "peak": config.learning_rate}]
    if mixing:
        groups.append({"params": mixing, "peak": config.mix_learning_rate})
    leave_compiler_out()
    return torch.optim.Adam(groups, lr=config.learning_rate, fused=True)


def _copy(probe: EdgeProbe) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in probe.state_dict().items()}


def _sides(states: States, part: Part, chosen: IntArray, layers: int) -> list[Side]:
    sides = []
    for spans in (part.first, part.second):
        if spans is not None:
            rows, owner = spans.rows(chosen)
            sides.append(Side(states.read(rows, layers), torch.from_numpy(owner), len(chosen)))
    return sides


@dataclass(frozen=True, eq=False)
class _Judged:
    """The predictions of a probe for a part, counted target by target: (M,) each."""

    hits: IntArray
    predicted: IntArray
    gold: IntArray
    right: BoolArray
    loss: float

    def f1(self) -> float:
        return 2 * float(self.hits.sum()) / max(1, int(self.predicted.sum() + self.gold.sum()))

    def measures(self, part: Part) -> tuple[Measure, Measure]:
        """Micro-F1 and accuracy as sums by text."""

        def by_text(values: npt.NDArray[Any]) -> Float64Array:
            sums = np.bincount(part.sentence, values.astype(np.float64), part.sentences)
            return sums.astype(np.float64)

        f1 = np.stack([by_text(self.hits), by_text(self.predicted), by_text(self.gold)], 1)
        accuracy = np.stack([by_text(self.right), by_text(np.ones(len(part)))], 1)
        n = len(part)
        return micro_f1(f1, n), Measure("accuracy", accuracy, share, n)


def micro_f1(by_text: Float64Array, n: int = -1) -> Measure:
    """Micro-F1 = 2 Σ hits / (Σ predicted + Σ gold); texts are the unit of resampling.

    Args:
        by_text: for every text, the numbers of labels predicted rightly, predicted, and gold.
        n: what the figure counts, for reports; -1: the texts.
    Shapes:  by_text: (N, 3)
    """
    return Measure("micro_f1", by_text, _micro_f1, n)


def _micro_f1(sums: Float64Array) -> Float64Array:
    return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


@torch.inference_mode()
def _judge(probe: EdgeProbe, states: States, part: Part, gold: BoolArray, layers: int) -> _Judged:
    probe.eval()
    scores = []
    for start in range(0, len(part), JUDGED):
        chosen = np.arange(start, min(len(part), start + JUDGED))
        scores.append(probe(*_sides(states, part, chosen, layers)))
    logits = torch.cat(scores)
    wanted = torch.from_numpy(gold)
    loss = float(nn.functional.binary_cross_entropy_with_logits(logits, wanted.float()))
    predicted = logits >= 0
    best = wanted.gather(1, logits.argmax(1, keepdim=True))[:, 0]
    hits = (predicted & wanted).sum(1)
    return _Judged(hits.numpy(), predicted.sum(1).numpy(), gold.sum(1), best.numpy(), loss)


def most_frequent(train: BoolArray, part: Part) -> Measure:
    """Micro-F1 of always predicting the most frequent label of train: a baseline without hidden states.

    Shapes:  train: (M, C)
    """
    most = int(train.sum(0).argmax())
    n = len(part)
    judged = _Judged(
        part.gold[:, most].astype(np.int64),
        np.ones(n, np.int64),
        part.gold.sum(1),
        part.gold[:, most],
        0.0,
    )
    return judged.measures(part)[0]
