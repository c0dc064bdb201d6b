"""Where and in which number format to compute."""

from __future__ import annotations

import time
from functools import cache

import torch

from polyseme.errors import ConfigError
from polyseme.train.config import Precision


def resolve_device(name: str) -> torch.device:
    """The device for "auto", "cpu" or "cuda".

    Raises:  ConfigError: a GPU is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "no GPU that torch can use", got="--device cuda", fix="--device cpu, or polyseme doctor"
        )
    return torch.device(name)


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """ "auto" to "float32" or "bfloat16": bfloat16 on GPUs that have it, and on CPUs where it measures faster."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if fast_cpu_bfloat16() else "float32"


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
