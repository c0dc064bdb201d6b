"""Optimisers: torch's fused AdamW, and Muon, which orthogonalises in float32 or, where that is native, bfloat16."""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from polyseme.train.config import TrainConfig
from polyseme.train.parallel import part_of, whole

_LAYER = re.compile(r"encoder\.(?:blocks|layers)\.(\d+)\.")
_STEPS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def leave_compiler_out() -> None:
    """Keep torch's compiler from being loaded by optimisers: two seconds of every start (docs/LOG.md).

    At their first call torch loads it, to mark four of their methods as not to be compiled. Nothing here compiles;
    where a person has loaded the compiler, all stays as it is. See also `update`.
    """
    if "torch._dynamo" not in sys.modules:
        for name in ("add_param_group", "state_dict", "load_state_dict", "zero_grad"):
            method = inspect.unwrap(getattr(torch.optim.Optimizer, name))
            method.__dynamo_disable = method


def update(optimizer: torch.optim.Optimizer) -> None:
    """Apply the gradients: `optimizer.step()` without what torch puts around it for its compiler and profiler."""
    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Replace the singular values of each matrix by values near 1.

        X ← a X + (b A + c A²) X,  A = X Xᵀ,  five times from X / ‖X‖

    Args:
        dtype: of the products. bfloat16 is precise enough and several times faster where it is native; elsewhere it is
            emulated, tens of times slower.
    Shapes:  (N, m, n) -> (N, m, n)
    Source:  Jordan et al. (2024), Muon; the coefficients of each step: You (2025), as in Modded-NanoGPT's log.
    """
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-7)).to(dtype)
    for a, b, c in _STEPS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = (x.mT if tall else x).to(matrices.dtype)
    return result


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are orthogonalised before they are applied.

        M ← μ M + G;  W ← W - lr (0.2 √max(m, n) · orthogonalise(G + μ M) + λ W)

    The factor 0.2 √max(m, n) gives updates of AdamW's usual size, so one learning rate serves both.

    Args:
        params: matrices, or groups of them; a stacked query-key-value matrix is orthogonalised in three parts.
        stacked: ids of the parameters that are three matrices on top of each other.
        dtype: of the orthogonalisation's products.
    Source:  Jordan et al. (2024); the scale: Liu et al. (2025), "Muon is Scalable for LLM Training", section 2.2.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        stacked: frozenset[int] = frozenset(),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._stacked, self._dtype = stacked, dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply the gradients; matrices of one shape go through the iteration together.

        Matrices of which each rank holds a part are gathered, and every rank computes all of them.
        """
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            gathered: list[tuple[Tensor, Tensor]] = []  # matrices in parts, and what is to be added to them
            for p in group["params"]:
                if p.grad is None:
                    continue
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.mul_(group["momentum"]).add_(p.grad)
                update = p.grad.add(momentum, alpha=group["momentum"])
                p.mul_(1.0 - group["lr"] * group["weight_decay"])
                parts = 3 if id(p) in self._stacked else 1
                update, changed = whole(update), p
                if hasattr(p, "full_tensor"):
                    changed = torch.zeros_like(update)
                    gathered.append((p, changed))
                for target, part in zip(changed.chunk(parts), update.chunk(parts), strict=True):
                    alike[(target.size(0), target.size(1))].append((target, part))
            for (m, n), pairs in alike.items():
                updates = orthogonalise(torch.stack([part for _, part in pairs]), self._dtype)
                for (target, _), update in zip(pairs, updates, strict=True):
                    target.add_(update, alpha=-group["lr"] * 0.2 * max(m, n) ** 0.5)
            for p, change in gathered:
                p.add_(part_of(change, p))


def _depths(named: Iterable[str]) -> dict[str, int]:
    """The distance in layers of every encoder weight from the head: 1 for the last layer."""
    layer = {name: int(match[1]) for name in named if (match := _LAYER.match(name))}
    layers = max(layer.values(), default=-1) + 1
    depths = {name: layers - i for name, i in layer.items()}
    for name in named:
        if name.startswith("encoder.") and name not in depths:
            late = any(part in name for part in ("final_norm", "pool."))
            depths[name] = 0 if late else layers + 1
    return depths


class Optimizers:
    """The optimisers of a run behind one step and one state.

    Args:
        named: parameters by name ("encoder.…", "heads.NAME.…").
        config: section [train], with `precision` resolved.
        decaying: rows of tables that have no gradient: they decay with the parameter of that name.
    """

    def __init__(
        self,
        named: Mapping[str, nn.Parameter],
        config: TrainConfig,
        decaying: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._decaying = {id(named[name]): rows for name, rows in (decaying or {}).items() if name in named}
        self._names = {id(p): name for name, p in named.items()}
        depths = _depths(named) if config.layer_decay < 1 else {}
        muon = {
            name: p
            for name, p in named.items()
            if config.optimizer == "muon" and p.ndim == 2 and name.startswith("encoder.blocks.")
        }
        rest = {name: p for name, p in named.items() if name not in muon}
        tables = [p for name, p in rest.items() if p.ndim >= 2 and "embeddings" in name]
        matrices = [p for name, p in rest.items() if p.ndim >= 2 and "embeddings" not in name]
        vectors = [p for p in rest.values() if p.ndim < 2]
        groups: list[dict[str, Any]] = []
        for params, decay, factor in (
            (tables, config.weight_decay, config.embedding_learning_rate),
            (matrices, config.weight_decay, 1.0),
            (vectors, 0.0, 1.0),
        ):
            alike: dict[float, list[nn.Parameter]] = defaultdict(list)
            for p in params:
                name = self._names[id(p)]
                mine = factor * config.layer_decay ** depths.get(name, 0)
                alike[mine * (config.head_learning_rate if name.startswith("heads.") else 1.0)].append(p)
            groups += [{"params": ps, "weight_decay": decay, "factor": f} for f, ps in alike.items()]
        leave_compiler_out()
        self._all: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                groups,
                lr=config.learning_rate,
                betas=(config.beta1, config.beta2),
                eps=config.epsilon,
                fused=True,
            )
        ]
        if muon:
            # three matrices of one size, unless heads of queries share those of keys and values
            stacked = frozenset(
                id(p) for name, p in muon.items() if "query_key_value" in name and p.size(0) == 3 * p.size(1)
            )
            dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
            equal: dict[float, list[nn.Parameter]] = defaultdict(list)
            for name, p in muon.items():
                equal[config.layer_decay ** depths.get(name, 0)].append(p)
            blocks = [{"params": ps, "factor": f} for f, ps in equal.items()]
            self._all.append(
                Muon(blocks, config.learning_rate, config.weight_decay, stacked=stacked, dtype=dtype)
            )

    def step(self, learning_rate: float) -> None:
        """Apply the gradients at this learning rate and forget them."""
        for optimizer in self._all:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * group.get("factor", 1.0)
                if group["weight_decay"]:
                    for p in group["params"]:
                        if id(p) in self._decaying:
                            self._decaying[id(p)].mul_(1.0 - group["lr"] * group["weight_decay"])
            update(optimizer)
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self._all:
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Tensor]:
        """All moments as named tensors: "NAME.KIND"."""
        return {
            f"{self._names[id(p)]}.{kind}": value
            for optimizer in self._all
            for p, state in optimizer.state.items()
            for kind, value in state.items()
        }

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        by_name: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            name, _, kind = key.rpartition(".")
            by_name[name][kind] = value
        for optimizer in self._all:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    for kind, value in by_name.get(self._names[id(p)], {}).items():
                        device = "cpu" if kind == "step" and not p.is_cuda else p.device
                        optimizer.state[p][kind] = part_of(value.clone().to(device), p)
