"""`polyseme doctor`: what this machine can do, and what to do about it."""

from __future__ import annotations

import math
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from polyseme.cli.options import Json
from polyseme.cli.output import closing, emit, emit_json, hanging
from polyseme.core.cores import usable_cores
from polyseme.core.quotas import memory_limit
from polyseme.report.figures import size

EXAMPLE = "polyseme doctor"
_LITTLE_MEMORY = 4e9
_LITTLE_DISK = 2e9
_SLOW_GFLOPS = 30.0
_GEMM_SIZE = 2048
_READ_BYTES = 512 * 1024 * 1024
_MEASURE_S = 1.5
_LIBRARIES = {"torch": "torch", "onednn": "oneDNN", "packed": "packed"}


def run(*, json: Json = False) -> None:
    """Say what this machine can do: cores, memory, bf16, GPU, and its measured speed. Takes a few seconds.

    Args:
        json: print one JSON document.
    """
    facts = gather()
    if json:
        emit_json(facts)
        return
    emit(facts_text(facts))
    closing(then=["polyseme demo"])


def gather() -> dict[str, Any]:
    """Read and measure everything that the verb shows."""
    import torch

    from polyseme.core.version import __version__
    from polyseme.train.machine import fast_cpu_bfloat16

    facts: dict[str, Any] = {
        "polyseme": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "processor": processor_facts(),
        "memory": memory_facts(),
        "disk": disk_facts(Path.cwd()),
        "gpus": gpu_facts(),
        "products": product_facts(),
        "memory_read_gbytes_per_second": round(memory_read_gbytes(), 1),
        "bfloat16": {
            "native": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
            "faster": fast_cpu_bfloat16(),
        },
    }
    facts["advice"] = advice(facts)
    return facts


def advice(facts: Mapping[str, Any]) -> list[str]:
    """Advice on training on this machine, one sentence for each finding."""
    lines = []
    processor, memory = facts["processor"], facts["memory"]
    if facts["gpus"]:
        lines.append("There is a GPU: --device auto uses it.")
    elif facts["bfloat16"]["faster"]:
        lines.append("Training uses bfloat16, which this processor computes natively.")
    else:
        lines.append("Training uses float32: this processor has no fast bfloat16.")
    whole = max(1, math.ceil(processor["usable_cores"]))
    if processor["threads"] > whole:
        lines.append(
            f"torch would start {processor['threads']} threads on {processor['usable_cores']:g} usable cores: "
            f"--threads {whole} is faster."
        )
    if "AVX" not in processor["vector_instructions"].upper() and platform.machine() in ("x86_64", "AMD64"):
        lines.append("No AVX2: matrix products are slow; choose small models (--set hidden_size=128).")
    elif max(facts["products"]["all_threads"].values()) < _SLOW_GFLOPS and not facts["gpus"]:
        lines.append("Matrix products are slow now: close other programs, or choose small models.")
    room = min(
        value for value in (memory["available_bytes"], memory["limit_bytes"], 1 << 62) if value is not None
    )
    if room < _LITTLE_MEMORY:
        lines.append(f"Only {size(room)} of memory is free: keep --set train.batch_size small.")
    if facts["disk"]["free_bytes"] < _LITTLE_DISK:
        lines.append(f"Only {size(facts['disk']['free_bytes'])} of disk is free here: choose another -o.")
    return lines


def facts_text(facts: Mapping[str, Any]) -> str:
    """The facts as readable text."""
    processor, memory, disk = facts["processor"], facts["memory"], facts["disk"]
    limit = f", {size(memory['limit_bytes'])} for this container" if memory["limit_bytes"] else ""
    free = f", {size(memory['available_bytes'])} free" if memory["available_bytes"] else ""
    bf16 = facts["bfloat16"]
    rows = [
        ("versions", f"polyseme {facts['polyseme']}, Python {facts['python']}, torch {facts['torch']}"),
        ("system", facts["system"]),
        ("processor", f"{processor['name']}, {processor['vector_instructions']}"),
        (
            "cores",
            f"{processor['cores']}, usable {processor['usable_cores']:g}, threads {processor['threads']}",
        ),
        ("memory", (size(memory["total_bytes"]) if memory["total_bytes"] else "unknown") + free + limit),
        ("disk here", f"{size(disk['free_bytes'])} free of {size(disk['total_bytes'])}"),
        (
            "bfloat16",
            "faster than float32" if bf16["faster"] else "not faster than float32",
        ),
        ("GPU", ", ".join(f"{gpu['name']} ({size(gpu['memory_bytes'])})" for gpu in facts["gpus"]) or "none"),
        *_product_rows(facts["products"]),
        ("memory read", f"{facts['memory_read_gbytes_per_second']:g} GB/s"),
    ]
    table = "\n".join(hanging(name, text, 16) for name, text in rows)
    return table + "\n\n" + "\n".join(hanging("•", line, 2) for line in facts["advice"])


def _product_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Float32 products: a row for one thread, one for all, and which library is used."""

    def rates(of: Mapping[str, float], on: str) -> str:
        by = ", ".join(f"{_LIBRARIES[name]} {of[name]:.0f}" for name in _LIBRARIES if name in of)
        return f"{max(of.values()):.0f} GFLOP/s on {on} ({by})"

    one, every, layer = facts["one_thread"], facts["all_threads"], facts["layer"]
    both = f": torch {layer['torch']:.0f}, oneDNN {layer['onednn']:.0f}" if layer["onednn"] else ""
    return [
        ("float32 limit", rates(one, "one thread")),
        *[("", rates(of, "all threads")) for of in [every] if of != one],
        ("products by", f"{_LIBRARIES[facts['used']]} (a layer, forward and back{both})"),
    ]


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
    """Bytes of memory: total, available now, and a container's limit where there is one."""
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
    gpus = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        gpus.append(
            {
                "name": properties.name,
                "memory_bytes": properties.total_memory,
                "bfloat16": torch.cuda.is_bf16_supported(including_emulation=False),
            }
        )
    return gpus


def product_facts() -> dict[str, Any]:
    """Measured float32 products, in 10⁹ operations a second.

    Square ones of 2,048 by each library, and by oneDNN with a matrix that was laid out for it before; the best is what
    this processor can do now. A linear layer, forward and back, as the choice of a library measures it.
    """
    import torch

    from polyseme.kernels import products

    threads = torch.get_num_threads()
    squares = {}
    try:
        for number in sorted({1, threads}):
            torch.set_num_threads(number)
            squares[number] = _square_gflops()
    finally:
        torch.set_num_threads(threads)
    layer = products.measured()
    return {
        "one_thread": squares[1],
        "all_threads": squares[threads],
        "layer": {"torch": round(layer.torch, 1), "onednn": round(layer.onednn, 1)},
        "used": products.library(),
    }


def _square_gflops() -> dict[str, float]:
    import torch

    from polyseme.kernels import products

    size = _GEMM_SIZE
    a, b, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
    work: dict[str, Callable[[], object]] = {"torch": lambda: torch.mm(a, b, out=out)}
    if products.available():
        packed = torch.ops.mkldnn._reorder_linear_weight(b, size)
        work |= {"onednn": lambda: products.product(a, b), "packed": lambda: products.product(a, packed)}
    return {
        name: round(2 * size**3 / _best_seconds(one, _MEASURE_S / 3) / 1e9, 1) for name, one in work.items()
    }


def memory_read_gbytes() -> float:
    """Measured rate of reading memory, half a gigabyte summed with all threads, in 10⁹ bytes a second."""
    import torch

    block = torch.ones(_READ_BYTES // 4)
    return _READ_BYTES / _best_seconds(block.sum) / 1e9


def _best_seconds(work: Callable[[], object], seconds: float | None = None) -> float:
    """The shortest of the repetitions that fit into about a second; the first repetition only warms up."""
    work()
    times: list[float] = []
    while not times or sum(times) < (seconds or _MEASURE_S):
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
