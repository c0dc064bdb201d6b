"""Learning a task: the gradient learner makes the updates, the task's own figures on labelled examples judge them.

The hidden states of a frozen encoder are computed once, and every epoch reads them again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import Float32Array
from polyseme.core.pauses import pause
from polyseme.core.protocols import Encoder, Task
from polyseme.core.types import Batch, Encoding
from polyseme.data.labelled import ExampleLoader
from polyseme.tasks.figures import chance_of
from polyseme.tasks.metrics.intervals import bootstrap_interval, measured
from polyseme.tasks.metrics.measure import Resampled
from polyseme.train.gradient import GradientLearner, read_layers
from polyseme.train.solved import SolvedLearner


@dataclass(frozen=True)
class Evaluator:
    """Labelled examples on which a task is judged.

    Args:
        task: the task, prepared for these examples.
        data: their records and gold.
        loader: their batches.
        encode: hidden states of a batch.
    """

    task: Task
    data: Any
    loader: ExampleLoader
    encode: Callable[[Batch], Encoding]

    def outputs(self, head: nn.Module, device: torch.device) -> tuple[list[Float32Array], float]:
        """The head's output for every example, and the mean loss; no dropout, float32.

        Shapes:  -> N arrays, in the order of the examples
        """
        return outputs_of(self.task, self.loader, self.encode, head, device)

    def figures(
        self, head: nn.Module, device: torch.device
    ) -> tuple[dict[str, float | None], dict[str, Any], float]:
        """The task's figures by name, the main one first; what was tuned for them; the mean loss.

        A figure that is undefined, such as the correlation of answers that are all alike, is None.
        """
        measures, decoding, loss = self.measures(head, device)
        return {name: _known(float(m.value)) for name, m in measures.items()}, decoding, loss

    def measures(
        self, head: nn.Module, device: torch.device
    ) -> tuple[dict[str, Resampled], dict[str, Any], float]:
        """The same as `figures`, with the measures that intervals are computed from in place of the figures."""
        outputs, loss = self.outputs(head, device)
        decoding = decoding_of(head) | self.task.tune(self.data, outputs)
        predictions = self.task.predictions(self.data, outputs, decoding)
        return dict(self.task.measures(self.data.records, predictions)), decoding, loss

    def final(self, head: nn.Module, device: torch.device) -> tuple[dict[str, Any], dict[str, Any]]:
        """The results for the weights that were kept, and what was tuned for them.

        {"dev": figures and loss, "dev_intervals": {figure: {"low", "high", "n"}} (95 %, the examples drawn again),
        "dev_chance": {main figure: what it is without any knowledge of the text}}
        """
        measures, decoding, loss = self.measures(head, device)
        figures = {name: _known(float(m.value)) for name, m in measures.items()}
        with np.errstate(invalid="ignore", divide="ignore"):
            figure_intervals = {
                name: measured(float(m.value), bootstrap_interval(m), m.n) for name, m in measures.items()
            }
        intervals = {
            name: {key: interval[key] for key in ("low", "high", "n")}
            for name, interval in figure_intervals.items()
        }
        main = next(iter(measures))
        chance = {main: chance_of(self.task, self.data.records, main)}
        return {"dev": figures | {"loss": loss}, "dev_intervals": intervals, "dev_chance": chance}, decoding


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def outputs_of(
    task: Task,
    loader: ExampleLoader,
    encode: Callable[[Batch], Encoding],
    head: nn.Module,
    device: torch.device,
) -> tuple[list[Float32Array], float]:
    """A head's output for every example of a loader, and the mean loss where the labels are known.

    Raises:  nothing; the modules are put in evaluation mode and stay there.
    """
    head.eval()
    outputs: list[Any] = [None] * len(loader)
    total, count = 0.0, 0
    with torch.no_grad():
        for numbers in by_length(loader.lengths, TOKENS_PER_BATCH):
            pause()
            batch = loader.of(numbers).to(device)
            assert batch.numbers is not None
            encoding = encode(batch)
            for number, output in zip(
                batch.numbers.tolist(), task.outputs(encoding, head, batch), strict=True
            ):
                outputs[number] = output
            if len(batch.targets[task.name].labels):
                loss, n = task.loss(encoding, head, batch)
                total, count = total + float(loss), count + n
    return outputs, total / count if count else float("nan")


def decoding_of(head: nn.Module) -> dict[str, Any]:
    """What decoding needs from a head besides its scores: the transitions of a CRF."""
    crf = getattr(head, "crf", None)
    if crf is None:
        return {}
    parts = {name: getattr(crf, name).detach().cpu().tolist() for name in ("start", "transition", "end")}
    return {"crf": parts}


class TaskLearner:
    """A learner whose held-out evaluation is the task's.

    Args:
        inner: makes the updates.
        evaluator: the labelled examples of every evaluation.
    """

    judged_at_start = False

    def __init__(self, inner: GradientLearner | SolvedLearner, evaluator: Evaluator) -> None:
        self.inner, self.evaluator = inner, evaluator
        self.head = inner.heads[evaluator.task.name]
        self.fixed = inner.fixed
        self._baseline = evaluator.task.baseline(evaluator.data)

    def step(self, batches: Sequence[Batch], progress: float) -> Mapping[str, float]:
        """One update; see `GradientLearner`."""
        return self.inner.step(batches, progress)

    def evaluate(self, batches: Sequence[Batch]) -> dict[str, float]:
        """The task's figures on the evaluator's examples; `criterion` is lower where the main figure is better."""
        self.inner.encoder.eval()
        figures, _, loss = self.evaluator.figures(self.head, self.inner.device)
        self.inner.encoder.train(not self.inner.config.frozen)
        self.head.train()
        name = self.evaluator.task.name
        main = next(iter(figures.values()))
        scores = {f"{name}_loss": loss, f"{name}_baseline": self._baseline}
        scores |= {f"{name}_{key}": value for key, value in figures.items() if value is not None}
        return scores | {"criterion": loss if main is None else -main}

    def weights(self) -> dict[str, Tensor]:
        """Copies of all weights; see `GradientLearner`."""
        return self.inner.weights()

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything needed to go on."""
        return self.inner.state_dict()

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.inner.load_state_dict(tensors, extra)


TOKENS_PER_BATCH = 4096


class KnownLayers:
    """The hidden states of labelled examples from a frozen encoder, kept in memory.

    The examples are encoded in a fixed order, independent of the order of training: a resumed run has the same numbers
    to the bit.

    Args:
        encoder: in evaluation mode.
        heads: they say which layers they read.
        loader: the examples.
        device: where to compute and keep.
    """

    def __init__(
        self, encoder: Encoder, heads: Iterable[nn.Module], loader: ExampleLoader, device: torch.device
    ) -> None:
        starts = np.concatenate([[0], np.cumsum(loader.lengths)])
        self._starts = torch.from_numpy(starts[:-1]).to(device)
        self._layers: list[Tensor] = []
        heads = list(heads)
        with torch.no_grad():
            for numbers in by_length(loader.lengths, TOKENS_PER_BATCH):
                batch = loader.of(numbers).to(device)
                inside = batch.segment.reshape(-1) != 0
                places = self._places(batch)[inside]
                for k, layer in enumerate(read_layers(encoder, heads, _everywhere(batch)).layers):
                    if k == len(self._layers):
                        self._layers.append(layer.new_empty(int(starts[-1]), layer.size(-1)))
                    self._layers[k][places] = layer.reshape(-1, layer.size(-1))[inside]

    @staticmethod
    def size(encoder: Encoder, heads: Sequence[nn.Module], loader: ExampleLoader) -> int:
        """Bytes of memory that the hidden states would take."""
        needs_all = any(getattr(head, "reads", "at") == "all" for head in heads)
        layers = encoder.config.num_hidden_layers + 1 if needs_all else 1
        return int(loader.lengths.sum()) * layers * int(encoder.config.hidden_size) * 4

    def __call__(self, batch: Batch) -> Encoding:
        """The hidden states of a batch.  Shapes: (B, T) -> layers of (B, T, hidden_size)"""
        places = torch.where(batch.segment.reshape(-1) != 0, self._places(batch), 0)
        shape = (*batch.ids.shape, -1)
        return Encoding(tuple(layer.index_select(0, places).view(shape) for layer in self._layers))

    def _places(self, batch: Batch) -> Tensor:
        """The row that holds each token of a batch; padding gets any row.  Shapes: -> (B · T,)"""
        assert batch.numbers is not None
        flat = torch.arange(batch.ids.numel(), device=batch.ids.device)
        example = (torch.bucketize(flat, batch.first, right=True) - 1).clamp_min(0)
        return self._starts[batch.numbers[example]] + batch.position.reshape(-1)


def _everywhere(batch: Batch) -> Batch:
    """The batch without targets, so that no encoder leaves positions out."""
    from dataclasses import replace

    from polyseme.core.types import Targets

    all_positions = torch.arange(batch.ids.numel(), device=batch.ids.device)
    return replace(batch, targets={"all": Targets(all_positions, all_positions)})


def by_length(lengths: Any, most: int) -> Iterator[list[int]]:
    """Indices of examples in batches of at most `most` tokens, or of one longer example; short ones first."""
    batch: list[int] = []
    tokens = 0
    for number in np.argsort(lengths, kind="stable").tolist():
        length = int(lengths[number])
        if batch and tokens + length > most:
            yield batch
            batch, tokens = [], 0
        batch.append(number)
        tokens += length
    if batch:
        yield batch
