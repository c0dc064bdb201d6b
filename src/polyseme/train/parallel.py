"""One update by several ranks: which rows each reads, and torch's own ways of adding up what they learn from them.

    ddp     every rank holds the model; DistributedDataParallel sums the gradients, bucket by bucket beside the
            backward pass
    fsdp    every rank holds its part of each weight, gradient and moment; FSDP2 (`fully_shard`) gathers a block's
            weights for the time in which the block computes

An update is of `train.batch_size` rows however many ranks there are, and losses are divided by counts of the whole
update. So the number of ranks changes no update, but for the rounding of sums, for dropout, which each rank draws for
its rows, and for objectives that compare the rows of a forward pass with each other.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from polyseme.errors import ConfigError
from polyseme.train import distributed
from polyseme.train.config import TrainConfig


def pieces(config: TrainConfig) -> list[tuple[int, int]]:
    """The forward passes of this rank in an update: how far from its first row each begins, and of how many rows.

    Every rank makes the same number of passes. Where the rows cannot be divided evenly some ranks read one more.

    Raises:  ConfigError: there are more ranks than rows.
    """
    ranks = distributed.size()
    if ranks > config.batch_size:
        raise ConfigError(
            "more ranks than rows of an update",
            got=f"{ranks} ranks, train.batch_size {config.batch_size}",
            fix=f"at most {config.batch_size} processes, or --batch-size {ranks}",
        )
    return cut(config.batch_size, config.rows, distributed.rank(), ranks)


def cut(rows: int, most: int, rank: int, ranks: int) -> list[tuple[int, int]]:
    """The passes of one rank: its share of the rows in as few pieces of at most `most` rows as all ranks can have.

    With `most` = 1 and shares of two sizes, a piece may be of two rows.

    Example:
        >>> cut(32, 8, 0, 1), cut(8, 8, 0, 3), cut(8, 8, 2, 3)
        ([(0, 8), (8, 8), (16, 8), (24, 8)], [(0, 2)], [(5, 3)])
    """
    first, last = rank * rows // ranks, (rank + 1) * rows // ranks
    smallest, largest = rows // ranks, -(-rows // ranks)
    n = min(-(-largest // most), smallest)
    edges = [first + i * (last - first) // n for i in range(n + 1)]
    return [(a, b - a) for a, b in pairwise(edges)]


def data_parallel(module: nn.Module) -> nn.parallel.DistributedDataParallel:
    """A module whose backward pass leaves the mean gradient over the ranks; its weights become those of rank 0.

    Parameters of which no rank has a gradient keep none: objectives take turns. To look for those has a second effect
    that is wanted here: torch does not lay the buckets anew after the first update, so that a run that goes on sums in
    the same order, to the same bits.
    """
    with distributed.collective(), warnings.catch_warnings(), _compiler_left_out():
        # torch 2.13 has another name for broadcast_buffers, which 2.10 does not know
        warnings.simplefilter("ignore", FutureWarning)
        return nn.parallel.DistributedDataParallel(
            _WithOneUnused(module),
            find_unused_parameters=True,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            bucket_cap_mb=4,  # of 25, torch's own, a small model has but one, sent when all is computed (docs/LOG.md)
        )


@contextmanager
def _compiler_left_out() -> Iterator[None]:
    """Keep torch's compiler from being loaded: two seconds of every rank's start (docs/LOG.md; also train/optim.py).

    DistributedDataParallel asks it, while it is made, whether it wants to sum the gradients itself, and loads it to
    mark a method as not to be compiled. Nothing here compiles; where a person has loaded it, all stays. FSDP2 needs it.
    """
    if "torch._dynamo" in sys.modules:
        yield
        return
    method: Any = inspect.unwrap(nn.parallel.DistributedDataParallel._inside_ddp_forward)
    method.__dynamo_disable = method
    answer = SimpleNamespace(
        utils=SimpleNamespace(get_optimize_ddp_mode=lambda: "ddp_optimizer"),
        config=SimpleNamespace(optimize_ddp=True),  # where torch 2.10 looks
    )
    loaded = vars(torch)
    loaded["_dynamo"] = answer
    try:
        yield
    finally:
        if loaded.get("_dynamo") is answer:
            del loaded["_dynamo"]


class _WithOneUnused(nn.Module):
    """A module and a number without a gradient: where every parameter has one, torch advises on stderr not to look."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.unused = module, nn.Parameter(next(module.parameters()).new_zeros(1))

    def forward(self, *arguments: Any) -> Any:
        return self.module(*arguments)


def shard(module: nn.Module, blocks: Sequence[nn.Module]) -> None:
    """Leave each rank its part of every parameter, from the weights of rank 0; each block is gathered by itself.

    Its parameters are others from then on, with the same names.

    Args:
        module: computes losses, in one call.
        blocks: its repeated layers.
    """
    import torch.distributed as dist
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    weights = (
        {k: v.detach().clone() for k, v in module.state_dict().items()} if distributed.rank() == 0 else {}
    )
    with distributed.collective():
        kind = "cuda" if dist.get_backend() == "nccl" else "cpu"
        mesh = init_device_mesh(kind, (distributed.size(),))
        for block in blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(module, mesh=mesh)
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        set_model_state_dict(module, weights, options=options)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor of which each rank holds a part; all ranks have to ask. Other tensors are whole already."""
    gather: Any = getattr(tensor, "full_tensor", None)
    if gather is None:
        return tensor
    with distributed.collective():
        result: Tensor = gather()
    return result


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a tensor that every rank has, where `like` is held in parts; else the tensor."""
    if not hasattr(like, "full_tensor") or tensor.shape != like.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    held: Any = like
    return distribute_tensor(tensor, held.device_mesh, held.placements, src_data_rank=None)
