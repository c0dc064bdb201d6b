"""The gradient learner: an encoder, its objectives' heads, and optimisers.

    loss = Σ_objectives (sum of losses / number of predictions in the whole update)

Sums are divided once, by counts over all micro-batches and ranks, so packing, accumulation and several ranks
give the same number as one big batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from polyseme.core.memory import keep_freed
from polyseme.core.protocols import Encoder, Objective
from polyseme.core.ranks import Parallel
from polyseme.core.rng import Random
from polyseme.core.types import Batch, Encoding
from polyseme.kernels.trained_rows import TrainedRows
from polyseme.train import distributed
from polyseme.train.config import TrainConfig
from polyseme.train.guard import UpdateGuard
from polyseme.train.heldout import Blocks
from polyseme.train.optim import Optimizers
from polyseme.train.parallel import data_parallel, part_of, shard, whole
from polyseme.train.schedule import learning_rate_factor


class GradientLearner:
    """Learns by gradient descent; one `step` is one update.

    Args:
        encoder: a module that satisfies `Encoder`.
        objectives: what is learned; their losses are added.
        config: section [train], with `precision` resolved.
        device: where to compute.
        counts: unigram counts of the training text, for initial biases and baselines.
        seed: seeds dropout, as a function of the step.
    Shapes:  counts: (vocab_size,)
    """

    def __init__(
        self,
        encoder: Encoder,
        objectives: Sequence[Objective],
        config: TrainConfig,
        device: torch.device,
        counts: Tensor,
        seed: int,
    ) -> None:
        keep_freed()
        self.encoder, self.objectives, self.config, self.device = encoder, objectives, config, device
        self.heads = nn.ModuleDict({o.name: o.build_head(encoder, counts) for o in objectives})
        self.encoder.to(device)
        self.heads.to(device)
        # what has a loss, and the head that it reads
        self._parts: dict[str, tuple[Objective, nn.Module]] = {
            part.name: (part, self.heads[o.name]) for o in objectives for part in getattr(o, "parts", (o,))
        }
        self._counts = counts
        self._dropout = Random(seed, "dropout")
        self._known: Callable[[Batch], Encoding] | None = None
        self.heldout_blocks: Blocks = {}  # of the last evaluation
        self.of_examples = [name for name, (o, _) in self._parts.items() if getattr(o, "of_examples", False)]
        self.steps = 0
        self._guard = UpdateGuard(config.spike_factor)
        if config.compile:
            compile_blocks(self.encoder)
        self._forward = _Forward(encoder, self.heads, self._losses, self._scores)
        self._parallel: nn.parallel.DistributedDataParallel | None = None
        self._sharded = False
        self._take_parameters()

    def _take_parameters(self) -> None:
        """Find the parameters by their names, and give the trained ones optimisers."""
        named = {f"encoder.{k}": p for k, p in self.encoder.named_parameters()}
        named |= {f"heads.{k}": p for k, p in self.heads.named_parameters()}
        self._parameters = named
        self._trained = {k: p for k, p in named.items() if p.requires_grad and self._learns(k)}
        self._tables = {
            f"encoder.{name}.weight": module
            for name, module in self.encoder.named_modules()
            if isinstance(module, TrainedRows)
        }
        other_rows = {name: module.others for name, module in self._tables.items()}
        self._optimizers = Optimizers(self._trained, self.config, other_rows)

    def spread(self, parallel: Parallel = "ddp") -> None:
        """Learn together with the other ranks from here on, from the weights of rank 0.

        Args:
            parallel: see train/parallel.py.
        """
        if distributed.size() == 1:
            return
        if parallel == "ddp":
            self._parallel = data_parallel(self._forward)
            return
        moments = self._optimizers.state_dict()
        shard(self._forward, repeated(self.encoder))
        self._sharded = True
        self._take_parameters()
        self._optimizers.load_state_dict(moments)

    @property
    def stages(self) -> list[float]:
        """Shares of the budget, above 0, at which an objective begins to teach something else (`stages`)."""
        named: list[dict[str, float]] = [getattr(o, "stages", {}) for o, _ in self._parts.values()]
        return sorted({start for stages in named for start in stages.values() if start > 0})

    @property
    def n_parameters(self) -> int:
        """Parameters of the model; shared ones count once."""
        return self._numbers(self._parameters)

    @property
    def n_trained(self) -> int:
        """Parameters that are trained."""
        return self._numbers(self._trained)

    @property
    def fixed(self) -> frozenset[str]:
        """Weights that never change, those of a frozen encoder: a resumed run has them already."""
        return frozenset(name for name in self._parameters if not self._learns(name))

    def _numbers(self, parameters: Mapping[str, Tensor]) -> int:
        in_tables = sum(t.others.numel() for name, t in self._tables.items() if name in parameters)
        return in_tables + sum(p.numel() for p in parameters.values())

    def _learns(self, name: str) -> bool:
        return not (self.config.frozen and name.startswith("encoder."))

    def know(self, encode: Callable[[Batch], Encoding]) -> None:
        """Read hidden states from here in place of the encoder: those of a frozen one are computed once."""
        self._known = encode

    def encoding(self, batch: Batch) -> Encoding:
        """The encoding of a batch that the heads read."""
        if self._known is not None:
            return self._known(batch)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            return read_layers(self.encoder, self.heads.values(), batch)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def step(self, batches: Sequence[Batch], progress: float) -> dict[str, float]:
        """One update from the micro-batches of this rank.

        Returns loss (nats per prediction, summed over objectives), lr, grad_norm and skipped (updates so far);
        with several objectives also each one's loss.
        """
        self.encoder.train(not self.config.frozen)
        self.heads.train()
        torch.manual_seed(int(self._dropout.bits(self.steps, distributed.rank())) % 2**63)
        self.steps += 1
        totals = {
            name: sum(len(b.targets[name].labels) for b in batches if name in b.targets)
            for name in self._parts
        }
        counts = distributed.sum_numbers(list(totals.values()))
        share = dict(zip(totals, counts, strict=True))
        # torch takes the mean of the ranks' gradients
        divisors = {name: count / distributed.size() for name, count in share.items()}
        sums: dict[str, Tensor] = {name: torch.zeros((), device=self.device) for name in totals}
        forward = self._parallel or self._forward
        for place, batch in enumerate(batches, start=1):
            # gradients are summed over the ranks once, at the last pass
            alone = self._parallel.no_sync() if self._parallel and place < len(batches) else nullcontext()
            with distributed.collective(), alone:
                with self._autocast():
                    loss, parts = forward(batch.to(self.device), divisors)
                for name, part in parts.items():
                    sums[name] += part
                if loss.requires_grad:
                    loss.backward()
        parameters = list(self._trained.values())
        if self._sharded:
            self._forget_zeros()
        with distributed.collective():
            norm = clip(parameters, self.config.clip_norm)
        lr = self.config.learning_rate * learning_rate_factor(self.config, progress)
        if self._guard.admit(norm):
            self._optimizers.step(lr)
        else:
            self._optimizers.zero_grad()
        values = distributed.sum_numbers([float(s) for s in sums.values()])
        losses = {n: v / share[n] for n, v in zip(sums, values, strict=True) if share[n]}
        metrics = {"loss": sum(losses.values()), "lr": lr, "grad_norm": norm, "skipped": self._guard.skipped}
        if len(sums) > 1:
            metrics |= {f"{name}_loss": value for name, value in losses.items()}
        return metrics

    def _losses(self, batch: Batch, divisors: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        """One forward pass: what to take the gradient of, and the sum of each objective's losses.

        Shapes:  -> (), ()
        """
        encoding = self.encoding(batch)
        loss, parts = torch.zeros((), device=self.device), {}
        for name, (objective, head) in self._parts.items():
            # those that take turns are not in every batch
            if name not in batch.targets or not len(batch.targets[name].labels):
                continue
            part, _ = objective.loss(encoding, head, batch)
            parts[name] = part.detach()
            loss = loss + part / divisors[name]
        if self._sharded:  # ranks gather and sum in step: each needs a gradient of everything
            own = [p for p in self._forward.parameters() if p.requires_grad and not hasattr(p, "full_tensor")]
            loss = loss + sum(
                (0.0 * tensor.sum() for tensor in (*encoding.layers[-1:], *own)), loss.new_zeros(())
            )
        elif self._parallel is not None and not loss.requires_grad:  # its sums have to begin
            loss = loss + 0.0 * next(iter(self._trained.values())).sum()
        return loss, parts

    def _forget_zeros(self) -> None:
        """Leave parameters that took no part, such as those of objectives that take turns, without gradients: then
        neither they nor their moments change.
        """
        parts: list[Any] = [p.grad for p in self._trained.values()]
        norms = torch.stack(torch._foreach_norm([part.to_local() for part in parts]))
        for p, norm in zip(self._trained.values(), distributed.sum_numbers(norms.tolist()), strict=True):
            if norm == 0.0:
                p.grad = None

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Held-out metrics of every objective: NAME_loss, NAME_accuracy, and NAME_baseline (no context)."""
        self.encoder.eval()
        self.heads.eval()
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        blocks: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for batch in batches:
            with distributed.collective(), self._autocast():
                scores = self._forward(batch.to(self.device), None)
            for name, (value, count) in scores.items():
                entry = sums[name]
                entry[0] += value
                entry[1] += count
                blocks[name].append((value, count))
        if self._sharded:
            forward: Any = self._forward
            forward.reshard()  # what was gathered would outlive a change of the weights: there is no backward pass
        self.heldout_blocks = dict(blocks)
        self.encoder.train()
        self.heads.train()
        return {name: total / count for name, (total, count) in sums.items() if count}

    def _scores(self, batch: Batch) -> dict[str, tuple[float, float]]:
        """Sums and counts of the figures of a batch, by "OBJECTIVE_FIGURE"."""
        encoding = self.encoding(batch)
        figures: dict[str, tuple[float, float]] = {}
        for name, (objective, head) in self._parts.items():
            # held-out text may be too little for one of them, and some take turns
            if name not in batch.targets or not len(batch.targets[name].labels):
                continue
            scores = objective.score(encoding, head, batch)
            scores["baseline"] = objective.baseline(batch, self._counts)
            figures |= {f"{name}_{kind}": figure for kind, figure in scores.items()}
        return figures

    @property
    def held_in_parts(self) -> bool:
        """Whether `weights` and `state_dict` gather from all ranks, so that all have to ask."""
        return self._sharded

    def weights(self) -> dict[str, Tensor]:
        """Copies of all weights on the CPU: "encoder.…" and "heads.NAME.…"."""
        tensors = {
            name: whole(p.detach()) for name, p in self._parameters.items() if name not in self._tables
        }
        tensors |= {name: table.whole() for name, table in self._tables.items()}
        return {name: tensors[name].to("cpu", copy=True) for name in self._parameters}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Load weights. Names and shapes must match exactly, but weights that never change may be absent."""
        with torch.no_grad():
            for name, p in self._parameters.items():
                if name in self.fixed and name not in tensors:
                    continue
                if name in self._tables:
                    self._tables[name].put(tensors[name])
                else:
                    p.copy_(part_of(tensors[name], p))

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and moments as tensors; counters as JSON."""
        tensors = dict(self.weights())
        # sorted: ranks gather one after the other, and a checkpoint is read in any order
        moments = sorted(self._optimizers.state_dict().items())
        tensors |= {f"optimizer.{k}": whole(v.detach()).cpu() for k, v in moments}
        return tensors, {"steps": self.steps, "guard": self._guard.state_dict()}

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.load_weights(tensors)
        prefix = "optimizer."
        self._optimizers.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
        self.steps = int(extra["steps"])
        self._guard.load_state_dict(extra["guard"])


def clip(parameters: Sequence[Tensor], most: float) -> float:
    """Scale the gradients so that their norm over all parameters is at most `most`; 0 = leave them as they are.

    torch's `clip_grad_norm_`, which also multiplies by 1 where nothing is to be clipped: a pass over all gradients.

    Returns the norm before.
    """
    norm = whole(nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None], foreach=True))
    if most and not float(norm) + 1e-6 <= most:
        nn.utils.clip_grads_with_norm_(parameters, most, norm, foreach=True)
    return float(norm)


class _Forward(nn.Module):
    """Encoder and heads in one call, so that torch's ways of training in parallel know when it begins and ends.

    Args:
        losses, scores: of the learner.
    """

    def __init__(
        self,
        encoder: Encoder,
        heads: nn.ModuleDict,
        losses: Callable[[Batch, Mapping[str, float]], tuple[Tensor, dict[str, Tensor]]],
        scores: Callable[[Batch], dict[str, tuple[float, float]]],
    ) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, heads
        self._losses, self._scores = losses, scores

    def forward(self, batch: Batch, divisors: Mapping[str, float] | None) -> Any:
        """Losses divided by `divisors`; without them, scores."""
        return self._scores(batch) if divisors is None else self._losses(batch, divisors)


def repeated(encoder: Encoder) -> list[nn.Module]:
    """The repeated layers of an encoder, first to last."""
    return [block for child in encoder.children() if isinstance(child, nn.ModuleList) for block in child]


def compile_blocks(encoder: Encoder) -> None:
    """Compile each repeated layer by itself: all share one graph, and what varies between batches stays outside."""
    for block in repeated(encoder):
        block.compile()


def read_layers(encoder: Encoder, heads: Iterable[nn.Module], batch: Batch) -> Encoding:
    """The hidden states that heads read: the last layer at the targets, unless a head's `reads` asks for more."""
    layers_read = {getattr(head, "reads", "at") for head in heads}
    if layers_read == {"none"}:
        return Encoding(())
    if "all" in layers_read or "last" in layers_read:
        return encoder.encode(batch, keep="all" if "all" in layers_read else "last")
    return encoder.encode(batch, at=_needed(batch))


def _needed(batch: Batch) -> Tensor:
    """All positions from which an objective predicts.  Shapes: -> (P,)"""
    positions = [targets.positions for targets in batch.targets.values()]
    return positions[0] if len(positions) == 1 else torch.cat(positions)
