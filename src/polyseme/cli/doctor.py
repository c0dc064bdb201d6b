"""`polyseme doctor`: what this machine can do, and what to do about it."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.cli.options import Json
from polyseme.cli.output import closing, emit, emit_json
from polyseme.report.figures import size

EXAMPLE = "polyseme doctor"
_LITTLE_MEMORY = 4e9
_LITTLE_DISK = 2e9
_SLOW_GFLOPS = 30.0


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

    from polyseme.cli import machine
    from polyseme.core.version import __version__
    from polyseme.train.machine import fast_cpu_bfloat16

    facts: dict[str, Any] = {
        "polyseme": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "processor": machine.processor_facts(),
        "memory": machine.memory_facts(),
        "disk": machine.disk_facts(Path.cwd()),
        "gpus": machine.gpu_facts(),
        "float32_gflops": round(machine.gemm_gflops(), 1),
        "memory_read_gbytes_per_second": round(machine.memory_read_gbytes(), 1),
        "bfloat16": {
            "native": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
            "faster": fast_cpu_bfloat16(),
        },
    }
    facts["advice"] = advice(facts)
    return facts


def advice(facts: Mapping[str, Any]) -> list[str]:
    """What the facts mean for training here, a sentence each."""
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
    elif facts["float32_gflops"] < _SLOW_GFLOPS and not facts["gpus"]:
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
    """Write the facts for a person."""
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
        ("matrix product", f"{facts['float32_gflops']:g} GFLOP/s (float32, 2048³)"),
        ("memory read", f"{facts['memory_read_gbytes_per_second']:g} GB/s"),
    ]
    table = "\n".join(f"{name:<16}{text}" for name, text in rows)
    return table + "\n\n" + "\n".join(f"• {line}" for line in facts["advice"])
