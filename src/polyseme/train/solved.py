"""A learner for heads whose loss has one lowest point, which is found: a linear layer over weighted n-grams.

    W, b = argmin Σ_i loss(W x_i + b, label_i) + penalty / 2 ‖W‖²

by L-BFGS (Liu and Nocedal 1989), for one penalty after the other, strong ones first, each from where the last ended. A
penalty is a step of the trainer, which judges each on dev and keeps the best: so a penalty is chosen as an epoch is.
For two labels, penalty = 2 / C of scikit-learn's LogisticRegression, and the solution is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import Float64Array
from polyseme.core.protocols import Encoder, SolvedTask, Span
from polyseme.train.config import TrainConfig

MOST_ROUNDS = 1000
"""Most evaluations of a loss and its gradient for a penalty."""
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
    """

    def __init__(self, encoder: Encoder, task: SolvedTask, data: Any, config: TrainConfig) -> None:
        self.encoder, self.task, self.config, self.device = encoder, task, config, torch.device("cpu")
        head: Any = task.build_head(encoder)
        self._x = head.learn(data.details)
        self.heads = nn.ModuleDict({task.name: head})
        self.fixed: frozenset[str] = frozenset()
        self.steps = 0
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
        head = self.heads[self.task.name]
        weight, bias = (part.detach().double().numpy() for part in (head.weight, head.bias))
        if self.task.two_sided:
            # W = (-u/2, u/2) at the lowest point: one column, and penalty / 2 ‖W‖² = penalty / 4 ‖u‖²
            sides = np.array([-0.5, 0.5])
            loss = lambda u: self.task.loss_of(u * torch.from_numpy(sides), self._gold)  # noqa: E731
            difference = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
            u, b, mean, rounds = solved(self._x, loss, penalty / 2, *difference)
            weight, bias = u * sides, b * sides
        else:
            loss = lambda scores: self.task.loss_of(scores, self._gold)  # noqa: E731
            weight, bias, mean, rounds = solved(self._x, loss, penalty, weight, bias)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))
            head.bias.copy_(torch.from_numpy(bias))
        return {"loss": mean, "penalty": penalty, "rounds": rounds}

    def told(self, step: int, word: Callable[[int], str]) -> dict[str, Any]:
        """What is said of the weights that were kept: how many n-grams there are, the penalty, and which tell most.

        Args:
            step: that they are of.
            word: how an id of the run's vocabulary is spelled.
        """
        head: Any = self.heads[self.task.name]
        labels = self.task.config.labels or ("more",)  # of a number
        telling = dict(zip(labels, head.telling(TELLING, word), strict=True))
        penalty = self.task.penalties[step - 1]
        return {"ngrams": {"number": len(head.tree), "penalty": penalty, "telling": telling}}

    def weights(self) -> dict[str, Tensor]:
        """Copies of all weights: "encoder.…" and "heads.NAME.…"."""
        return {name: p.detach().clone() for name, p in self._parameters.items()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Put weights in place."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[name])

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, and how many penalties are done."""
        return self.weights(), {"steps": self.steps}

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.load_weights(tensors)
        self.steps = int(extra["steps"])


def solved(
    x: Any,
    loss: Callable[[Tensor], tuple[Tensor, int]],
    penalty: float,
    weight: Float64Array,
    bias: Float64Array,
) -> tuple[Float64Array, Float64Array, float, int]:
    """The weights at which loss and penalty are lowest.

    Args:
        x: scipy CSR matrix.
        loss: of the scores of all examples: the sum, convex in them, and the number of examples.
        penalty: of the squares of the weights.
        weight, bias: where to begin.
    Returns weight, bias, the mean loss there, and how often loss and gradient were computed.
    Shapes:  x: (N, F).  scores: (N, K).  weight: (F, K).  bias: (K,)
    """
    from scipy.optimize import minimize

    shape, at_columns = weight.shape, x.T.tocsr()
    n = max(1, x.shape[0])
    mean = 0.0

    def value(flat: Float64Array) -> tuple[float, Float64Array]:
        nonlocal mean
        w, b = flat[shape[1] :].reshape(shape), flat[: shape[1]]
        scores = torch.from_numpy(x @ w + b).requires_grad_()
        total, count = loss(scores)
        total.backward()  # type: ignore[no-untyped-call]
        slope = scores.grad.numpy()  # type: ignore[union-attr]
        mean = total.item() / max(1, count)
        gradient = np.concatenate([slope.sum(0), (at_columns @ slope + penalty * w).ravel()])
        return (total.item() + penalty / 2 * float(np.vdot(w, w))) / n, gradient / n

    start = np.concatenate([bias, weight.ravel()])
    options = {"maxfun": MOST_ROUNDS, "maxiter": MOST_ROUNDS, "gtol": FLAT, "ftol": 0.0}
    found = minimize(value, start, jac=True, method="L-BFGS-B", options=options)
    value(found.x)
    return found.x[shape[1] :].reshape(shape), found.x[: shape[1]], mean, int(found.nfev)
