"""What a run computes with: device, number format, threads, memory."""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path

import torch

from polyseme.core.cores import default_threads, threads_are_chosen
from polyseme.core.reporter import Reporter
from polyseme.core.sharing import Pace
from polyseme.errors import ConfigError
from polyseme.kernels import products
from polyseme.train import distributed
from polyseme.train.config import Precision, TrainConfig
from polyseme.train.request import Budget


def resolve_device(name: str) -> torch.device:
    """The device for "auto", "cpu", "cuda" or, of several, "cuda:1".

    Raises:  ConfigError: no such name; a GPU is asked for and there is none, or not so many.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, number = str(name).partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError("no such device", got=repr(name), expected="auto, cpu or cuda", fix="--device auto")
    if kind == "cuda" and (there := torch.cuda.device_count()) <= int(number or 0):
        raise ConfigError(
            "no GPU that torch can use" if there == 0 else "there are not so many GPUs",
            got=f"--device {name}",
            expected=None if there == 0 else f"cuda:0 to cuda:{there - 1}",
            fix="--device cpu, or polyseme doctor",
        )
    return torch.device(name)


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """ "auto" to "float32" or "bfloat16": bfloat16 on GPUs that have it, and on CPUs where it measures faster."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if fast_cpu_bfloat16() else "float32"


def resolve_numbers(config: TrainConfig, device: torch.device) -> dict[str, str]:
    """Fields of section [train] that this machine decides: number format, and library of float32 products.

    Raises:  ConfigError: this build of torch has not the library that is asked for.
    """
    precision = resolve_precision(config.precision, device)
    plain = device.type != "cpu" or (config.products == "auto" and precision != "float32")
    return {"precision": precision, "products": "torch" if plain else products.chosen(config.products)}


@cache
def fast_cpu_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices natively, and at least 1.5 times as fast as float32.

    Without native instructions bfloat16 is tens of times slower, so the claim of the library is also measured.
    """
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False

    def seconds(dtype: torch.dtype) -> float:
        a, b = torch.ones(2048, 256, dtype=dtype), torch.ones(1024, 256, dtype=dtype)
        times = []
        for _ in range(20):  # the best of many: other work on the machine must not decide
            start = time.perf_counter()
            torch.nn.functional.linear(a, b)
            times.append(time.perf_counter() - start)
        return min(times)

    return seconds(torch.float32) > 1.5 * seconds(torch.bfloat16)


def use_threads(threads: int | None) -> None:
    """Set torch's number of threads; without a number, at most one for every core that may be used."""
    if threads:
        torch.set_num_threads(threads)
    elif not threads_are_chosen() and torch.get_num_threads() > default_threads():
        torch.set_num_threads(default_threads())


def pace_of(threads: int | None, budget: Budget, device: torch.device, reporter: Reporter) -> Pace | None:
    """Use fewer threads while other programs use the cores, if the user chose no number and no result depends on it.

    A sum is cut into as many parts as there are threads, which changes its rounding. So only a budget in minutes, whose
    updates depend on the clock anyway, may change the number. All other budgets give the same bits again.
    """
    if threads or threads_are_chosen():
        return None
    if not budget.is_time or device.type != "cpu" or distributed.size() > 1:
        return None
    most, noted = torch.get_num_threads(), False

    def kept(number: int) -> None:
        nonlocal noted
        if not noted and number < most:
            reporter.note(
                f"other programs use the cores: {number} of {most} threads for now, more when they are free"
            )
            noted = True

    return Pace(most, torch.set_num_threads, kept)


def peak_memory_bytes() -> int:
    """Peak resident memory, or the peak of the GPU's memory where one is used."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if status.is_file():  # Linux; there ru_maxrss of a child begins with its parent's
        for line in status.read_text("utf-8").split("\n"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not a Unix
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
