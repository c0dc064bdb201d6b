"""A learner for heads whose loss has one lowest point, which is found: a linear layer over weighted n-grams.

    W, b = argmin Σ_i loss(W x_i + b, label_i) + penalty / 2 ‖W‖²

by L-BFGS (Liu and Nocedal 1989), for one penalty after the other, strong ones first, each from where the last ended. A
penalty is a step of the trainer, which judges each on dev and keeps the best: so a penalty is chosen as an epoch is.
For two labels, penalty = 2 / C of scikit-learn's LogisticRegression, and the solution is the same.

There are more n-grams than texts, and every W that L-BFGS comes to is a sum of texts, W = Xᵀ A (N rows in place of F).
So it is done on A, with K = X Xᵀ between: the inner product of Xᵀ A and Xᵀ B is that of K A and B, and whoever keeps
K A beside A needs a product with X and one with Xᵀ for a new gradient, and none to search along a direction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import Float64Array
from polyseme.core.protocols import Encoder, SolvedHead, SolvedTask, Span
from polyseme.errors import CorpusError
from polyseme.tasks.examples import TaskData
from polyseme.train.config import TrainConfig

MOST_ROUNDS = 1000
"""Most gradients for a penalty."""
MEMORY = 10
"""Steps that the search remembers."""
NEAR = 0.1
"""Share of a derivative that may be left where a search along a direction ends."""
TELLING = 10
"""N-grams a label that are named."""
FLAT = 1e-5
"""A gradient of the mean loss whose largest number is below this is zero."""


class SolvedLearner:
    """Solves for the weights of one head; one `step` is one penalty.

    Args:
        encoder: learns nothing.
        task: it names the penalties.
        data: the training examples, as the task encoded them.
        config: section [train].
    Raises:  CorpusError: the texts have no feature in common.
    """

    def __init__(self, encoder: Encoder, task: SolvedTask, data: TaskData, config: TrainConfig) -> None:
        self.encoder, self.task, self.config, self.device = encoder, task, config, torch.device("cpu")
        self.heads = nn.ModuleDict({task.name: task.build_head(encoder)})
        self._head = cast(SolvedHead, self.heads[task.name])
        self._x = self._head.learn(data.details)
        if not self._x.shape[1]:
            raise CorpusError(
                "no n-gram stands in two of the training texts",
                got=f"{len(data.details):,} texts",
                fix=f"more training texts, or --set {task.name}.characters=5",
            )
        self.fixed: frozenset[str] = frozenset()
        self.steps = 0
        self._columns = self._x.T.tocsr()
        self._a = np.zeros((self._x.shape[0] + 1, 1 if task.two_sided else self._head.outputs))
        self._gold = torch.from_numpy(np.concatenate(data.gold))
        self._span = Span(0, sum(len(text.ids) for text in data.details))
        self._parameters = {f"encoder.{k}": p for k, p in encoder.named_parameters()}
        self._parameters |= {f"heads.{k}": p for k, p in self.heads.named_parameters()}

    @property
    def n_parameters(self) -> int:
        """Numbers of the model."""
        return sum(p.numel() for p in self._parameters.values())

    @property
    def n_trained(self) -> int:
        """Numbers that are solved for."""
        return sum(p.numel() for p in self.heads.parameters() if p.requires_grad)

    def stream(self, row: int, progress: Callable[[int], float]) -> Iterator[Span]:
        """Every step reads all examples."""
        while True:
            yield self._span

    def step(self, batches: Sequence[Any], progress: float) -> dict[str, float]:
        """Solve for the next penalty.

        Returns loss (the mean on the training examples), penalty, and rounds: how often the gradient was computed.
        """
        penalty = self.task.penalties[self.steps]
        self.steps += 1
        sides = torch.tensor([-0.5, 0.5]).double() if self.task.two_sided else None
        # for two labels W = (-u/2, u/2) at the lowest point: one column, and penalty / 2 ‖W‖² = penalty / 4 ‖u‖²
        loss = lambda z: self.task.loss_of(z if sides is None else z * sides, self._gold)  # noqa: E731
        size = penalty if sides is None else penalty / 2
        found = solved(self._x, self._columns, loss, size, self._a)
        self._a = found.a
        weight, bias = (torch.from_numpy(part) for part in (self._columns @ found.a[:-1], found.a[-1]))
        with torch.no_grad():
            self._head.weight.copy_(weight if sides is None else weight * sides)
            self._head.bias.copy_(bias if sides is None else bias * sides)
        return {"loss": found.loss, "penalty": penalty, "rounds": found.rounds}

    def told(self, step: int, word: Callable[[int], str]) -> dict[str, Any]:
        """What is said of the weights that were kept: how many n-grams there are, the penalty, and which tell most.

        Args:
            step: that they are of.
            word: how an id of the run's vocabulary is spelled.
        """
        labels = self.task.config.labels or ("more",)  # of a number
        telling = dict(zip(labels, self._head.telling(TELLING, word), strict=True))
        penalty = self.task.penalties[step - 1]
        return {"ngrams": {"number": len(self._head.weight), "penalty": penalty, "telling": telling}}

    def weights(self) -> dict[str, Tensor]:
        """Copies of all weights: "encoder.…" and "heads.NAME.…"."""
        return {name: p.detach().clone() for name, p in self._parameters.items()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Put weights in place."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[name])

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, where the search is, and how many penalties are done."""
        return {**self.weights(), "solver.a": torch.from_numpy(self._a)}, {"steps": self.steps}

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.load_weights(tensors)
        self._a = tensors["solver.a"].numpy()
        self.steps = int(extra["steps"])


class Solution(NamedTuple):
    """A point that the search has come to.

    Args:
        a: the sums of texts that the weights are; below them the bias.
        loss: the mean of the losses of the examples.
        rounds: how often the gradient was computed.
    Shapes:  a: (N + 1, K)
    """

    a: Float64Array
    loss: float
    rounds: int


def solved(
    x: Any, columns: Any, loss: Callable[[Tensor], tuple[Tensor, int]], penalty: float, a: Float64Array
) -> Solution:
    """The point at which loss and penalty are lowest.

    Args:
        x, columns: scipy CSR matrices of the texts, and of the same turned over.
        loss: of the scores of all examples: the sum, convex in them, and the number of examples.
        penalty: of the squares of the weights.
        a: where to begin.
    Shapes:  x: (N, F).  columns: (F, N).  scores: (N, K).  a: (N + 1, K)
    """
    n = max(1, x.shape[0])

    def slope_at(scores: Float64Array) -> tuple[Float64Array, float]:
        z = torch.from_numpy(scores).requires_grad_()
        total, count = loss(z)
        total.backward()  # type: ignore[no-untyped-call]
        return z.grad.numpy(), total.item() / max(1, count)  # type: ignore[union-attr]

    def along(t: float) -> float:
        """The derivative of loss and penalty along the direction d."""
        slope, _ = slope_at(scores + t * moved)
        return float(np.vdot(slope, moved) + penalty * np.vdot(kd[:-1], a[:-1] + t * d[:-1]))

    ka = np.concatenate([x @ (columns @ a[:-1]), a[-1:]])
    past: deque[tuple[Float64Array, ...]] = deque(maxlen=MEMORY)
    g = kg = step = k_step = np.zeros(0)
    steepest = float(n)
    for rounds in range(1, MOST_ROUNDS + 1):
        scores = ka[:-1] + ka[-1]
        slope, mean = slope_at(scores)
        before, k_before = g, kg
        g = np.concatenate([slope + penalty * a[:-1], slope.sum(0, keepdims=True)])
        gradient = columns @ g[:-1]  # of W: (F, K)
        most = max(np.abs(gradient).max(initial=0.0), np.abs(g[-1]).max(initial=0.0))
        steepest = max(steepest, most)  # of large numbers, steeper than n
        if most <= FLAT * steepest:
            break
        kg = np.concatenate([x @ gradient, g[-1:]])
        if rounds > 1 and np.vdot(k_step, g - before) > 0:
            past.append((step, k_step, g - before, kg - k_before))
        d, kd = _direction(g, kg, past)
        moved = kd[:-1] + kd[-1]
        t = _lowest(along)
        if t == 0.0:  # as low as numbers tell
            break
        step, k_step = t * d, t * kd
        a, ka = a + step, ka + k_step
    return Solution(a, mean, rounds)


def _direction(
    g: Float64Array, kg: Float64Array, past: Sequence[tuple[Float64Array, ...]]
) -> tuple[Float64Array, Float64Array]:
    """Where to go: less the gradient times what the past tells of the inverse Hessian; see the head of this file.

    Args:
        past: of earlier rounds: the step s, K s, the change y of the gradient, K y.
    Returns the direction d and K d.
    Shapes:  each (N + 1, K)
    """
    d, kd = -g, -kg
    shares = []
    for _, ks, y, ky in reversed(past):
        share = np.vdot(ks, d) / np.vdot(ks, y)
        d, kd = d - share * y, kd - share * ky
        shares.append(share)
    if past:
        _, ks, y, ky = past[-1]
        scale = np.vdot(ks, y) / np.vdot(ky, y)
        d, kd = scale * d, scale * kd
    for (s, ks, y, ky), share in zip(past, reversed(shares), strict=True):
        more = share - np.vdot(ky, d) / np.vdot(ks, y)
        d, kd = d + more * s, kd + more * ks
    return d, kd


def _lowest(along: Callable[[float], float]) -> float:
    """About where a convex function is lowest, right of zero.

    Args:
        along: its derivative.
    """
    low, high = 0.0, 1.0
    at_low = at_zero = along(0.0)
    if at_zero >= 0.0:
        return 0.0
    at_high = along(high)
    while at_high < 0.0 and high < 1e12:
        low, at_low, high = high, at_high, 4 * high
        at_high = along(high)
    t, at = high, at_high
    for _ in range(20):
        if abs(at) <= NEAR * abs(at_zero):
            break
        t = low - at_low * (high - low) / (at_high - at_low)
        t = min(max(t, low + 0.1 * (high - low)), high - 0.1 * (high - low))
        at = along(t)
        if at < 0.0:
            low, at_low = t, at
        else:
            high, at_high = t, at
    return t
