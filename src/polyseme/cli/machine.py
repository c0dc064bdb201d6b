"""Facts about this machine, read and measured in a few seconds."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polyseme.core.cores import usable_cores
from polyseme.core.quotas import memory_limit

_GEMM_SIZE = 2048
_READ_BYTES = 512 * 1024 * 1024
_MEASURE_S = 1.5


def processor_facts() -> dict[str, Any]:
    """Cores that may be used, the processor's name and its vector instructions."""
    import torch

    return {
        "name": _processor_name(),
        "cores": os.cpu_count(),
        "usable_cores": round(usable_cores(), 2),
        "threads": torch.get_num_threads(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
    }


def memory_facts() -> dict[str, int | None]:
    """Bytes of memory: in all, free for use now, and a container's limit where there is one."""
    fields = {}
    for line in _read(Path("/proc/meminfo")).split("\n"):
        name, _, rest = line.partition(":")
        if rest.strip().endswith("kB"):
            fields[name] = int(rest.split()[0]) * 1024
    total = fields.get("MemTotal")
    if total is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = memory_limit()
    return {
        "total_bytes": total,
        "available_bytes": fields.get("MemAvailable"),
        "limit_bytes": limit if limit is None or total is None or limit < total else None,
    }


def disk_facts(folder: Path) -> dict[str, Any]:
    """Bytes on the disk that holds a folder."""
    usage = shutil.disk_usage(folder)
    return {"folder": str(folder), "total_bytes": usage.total, "free_bytes": usage.free}


def gpu_facts() -> list[dict[str, Any]]:
    """GPUs that torch can use: name, memory in bytes, bfloat16."""
    import torch

    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            {
                "name": properties.name,
                "memory_bytes": properties.total_memory,
                "bfloat16": torch.cuda.is_bf16_supported(including_emulation=False),
            }
        )
    return found


def gemm_gflops() -> float:
    """Measured float32 matrix product, 2048³ with all threads, in 10⁹ operations a second: the best of a second."""
    import torch

    a = torch.rand(_GEMM_SIZE, _GEMM_SIZE)
    b = torch.rand(_GEMM_SIZE, _GEMM_SIZE)
    out = torch.empty(_GEMM_SIZE, _GEMM_SIZE)
    return 2 * _GEMM_SIZE**3 / _best_seconds(lambda: torch.mm(a, b, out=out)) / 1e9


def memory_read_gbytes() -> float:
    """Measured rate of reading memory, half a gigabyte summed with all threads, in 10⁹ bytes a second."""
    import torch

    block = torch.ones(_READ_BYTES // 4)
    return _READ_BYTES / _best_seconds(block.sum) / 1e9


def _best_seconds(work: Callable[[], object]) -> float:
    """Shortest of the repetitions that fit into about a second; the first one only warms up."""
    work()
    times: list[float] = []
    while not times or sum(times) < _MEASURE_S:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _processor_name() -> str:
    for line in _read(Path("/proc/cpuinfo")).split("\n"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
