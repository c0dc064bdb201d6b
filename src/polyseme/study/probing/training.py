"""Learning one probe on kept hidden states, and what it is worth on test.

    Adam, the rate falling to 0 in a straight line; binary cross-entropy of every label; the weights that are best on
    dev are kept. First weights, order and dropout are functions of the seed.

The main figure is the paper's: a label is said where its probability is at least ½, and micro-F1 counts all labels of
all targets. Where every target has one label there is also the accuracy of the most probable one.

Paper: Tenney et al. (2019a). Departures: batches of targets of any sentences in place of batches of sentences, a higher
rate for fewer updates, and one ten times as high for the layer weights, which else would hardly leave the mean.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from polyseme.core.rng import Random
from polyseme.study.probing.cache import ActiveColumns, States
from polyseme.study.probing.config import ProbeConfig
from polyseme.study.probing.model import EdgeProbe, Side
from polyseme.study.probing.targets import BoolArray, IntArray, Part
from polyseme.tasks.metrics.measure import FloatArray, Measure, ratio, share

__all__ = ["Trained", "micro_f1", "most_frequent", "train_probe"]

JUDGED = 1024
"""Targets that are judged at once."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A probe that has learned.

    Args:
        shares: the weight of each layer.
        gamma: their scale.
        f1: on test, texts as the unit that is drawn.
        accuracy: the same of the most probable label; None where targets have several.
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
        layers: only the first so many; None = all.
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
        best, kept, since = (-1.0, 0.0), _copy(probe), 0
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
                optimiser.step()
                done += 1
            judged = _judge(probe, states, parts["dev"], gold["dev"], layers)
            figure = judged.f1(), -judged.loss
            if figure > best:
                best, kept, since = figure, _copy(probe), 0
            else:
                since += 1
                if since >= config.patience:
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
    own = {id(p) for p in mixing}
    others = [p for p in probe.parameters() if id(p) not in own]
    groups = [{"params": others, "peak": config.learning_rate}]
    if mixing:
        groups.append({"params": mixing, "peak": config.mix_learning_rate})
    return torch.optim.Adam(groups, lr=config.learning_rate, fused=True)


def _copy(probe: EdgeProbe) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in probe.state_dict().items()}


def _sides(states: States, part: Part, chosen: IntArray, layers: int) -> list[Side]:
    found = []
    for spans in (part.first, part.second):
        if spans is not None:
            rows, owner = spans.rows(chosen)
            found.append(Side(states.read(rows, layers), torch.from_numpy(owner), len(chosen)))
    return found


@dataclass(frozen=True, eq=False)
class _Judged:
    """What a probe says of a part, target by target: (M,) each."""

    hits: IntArray
    said: IntArray
    gold: IntArray
    right: BoolArray
    loss: float

    def f1(self) -> float:
        return 2 * float(self.hits.sum()) / max(1, int(self.said.sum() + self.gold.sum()))

    def measures(self, part: Part) -> tuple[Measure, Measure]:
        """Micro-F1 and accuracy as sums by text."""

        def by_text(values: npt.NDArray[Any]) -> FloatArray:
            sums = np.bincount(part.sentence, values.astype(np.float64), part.sentences)
            return sums.astype(np.float64)

        f1 = np.stack([by_text(self.hits), by_text(self.said), by_text(self.gold)], 1)
        accuracy = np.stack([by_text(self.right), by_text(np.ones(len(part)))], 1)
        n = len(part)
        return micro_f1(f1, n), Measure("accuracy", accuracy, share, n)


def micro_f1(by_text: FloatArray, n: int = -1) -> Measure:
    """Micro-F1 = 2 Σ hits / (Σ said + Σ gold), texts as the unit that is drawn.

    Args:
        by_text: of every text how many labels were said rightly, were said, and are right.
        n: what the figure counts, for reports; -1: the texts.
    Shapes:  by_text: (N, 3)
    """
    return Measure("micro_f1", by_text, _micro_f1, n)


def _micro_f1(sums: FloatArray) -> FloatArray:
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
    said = logits >= 0
    best = wanted.gather(1, logits.argmax(1, keepdim=True))[:, 0]
    hits = (said & wanted).sum(1)
    return _Judged(hits.numpy(), said.sum(1).numpy(), gold.sum(1), best.numpy(), loss)


def most_frequent(train: BoolArray, part: Part) -> Measure:
    """Micro-F1 of always saying the label that is most frequent in train: what needs no hidden states.

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
