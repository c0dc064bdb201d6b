"""Several ranks under torchrun: sums of numbers and gradients. With one rank everything here is free."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def start(device: torch.device) -> torch.device:
    """Join the group that torchrun describes in the environment, if any; returns this rank's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def stop() -> None:
    """Leave the group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait for all ranks."""
    if dist.is_initialized():
        dist.barrier()


def _device() -> torch.device:
    return (
        torch.device("cuda", torch.cuda.current_device())
        if dist.get_backend() == "nccl"
        else torch.device("cpu")
    )


def sum_numbers(values: Sequence[float]) -> list[float]:
    """Sum each number over the ranks."""
    if size() == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=_device())
    dist.all_reduce(total)
    return [float(v) for v in total]


def from_first(value: float) -> float:
    """Rank 0's number, so that decisions about time are the same everywhere."""
    if size() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=_device())
    dist.broadcast(shared, 0)
    return float(shared)


def sum_gradients(parameters: Sequence[Tensor]) -> None:
    """Sum the gradients over the ranks, in one message."""
    if size() == 1:
        return
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None])
    dist.all_reduce(flat)
    for p, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
        assert p.grad is not None
        p.grad.copy_(part.view_as(p))


def broadcast(parameters: Sequence[Tensor]) -> None:
    """Give every rank the parameters of rank 0."""
    if size() > 1:
        for p in parameters:
            dist.broadcast(p.detach(), 0)
