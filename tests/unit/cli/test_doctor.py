"""`polyseme doctor`: facts and what follows from them."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from polyseme import cli
from polyseme.cli import doctor
from polyseme.core import quotas

FACTS: dict[str, Any] = {
    "polyseme": "0.1.0",
    "python": "3.11.7",
    "torch": "2.13.0",
    "system": "Linux",
    "processor": {"name": "X", "cores": 2, "usable_cores": 2.0, "threads": 2, "vector_instructions": "AVX2"},
    "memory": {"total_bytes": 25_000_000_000, "available_bytes": 20_000_000_000, "limit_bytes": None},
    "disk": {"folder": ".", "total_bytes": 300_000_000_000, "free_bytes": 80_000_000_000},
    "gpus": [],
    "products": {
        "one_thread": {"torch": 75.0, "onednn": 76.0, "packed": 80.0},
        "all_threads": {"torch": 148.0, "onednn": 149.0, "packed": 150.0},
        "layer": {"torch": 120.0, "onednn": 119.0},
        "used": "torch",
    },
    "memory_read_gbytes_per_second": 20.0,
    "bfloat16": {"native": False, "faster": False},
    "advice": [],
}


def _changed(**changes: Any) -> dict[str, Any]:
    facts = copy.deepcopy(FACTS)
    for path, value in changes.items():
        *rooms, name = path.split("__")
        target = facts
        for room in rooms:
            target = target[room]
        target[name] = value
    return facts


def test_a_good_machine_gets_one_line() -> None:
    assert doctor.advice(FACTS) == ["Training uses float32: this processor has no fast bfloat16."]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bfloat16__faster": True}, "Training uses bfloat16"),
        ({"gpus": [{"name": "G", "memory_bytes": 1, "bfloat16": True}]}, "There is a GPU"),
        ({"processor__threads": 8}, "--threads 2"),
        ({"products__all_threads": {"torch": 5.0}}, "Matrix products are slow now"),
        ({"memory__available_bytes": 10**9}, "Only 1.0 GB of memory"),
        ({"memory__limit_bytes": 2 * 10**9}, "Only 2.0 GB of memory"),
        ({"disk__free_bytes": 10**9}, "Only 1.0 GB of disk"),
    ],
)
def test_advice(changes: dict[str, Any], said: str) -> None:
    assert said in " ".join(doctor.advice(_changed(**changes)))


def test_the_text_has_every_measured_figure() -> None:
    text = doctor.facts_text({**FACTS, "advice": ["Do this."]})
    for words in (
        "150 GFLOP/s",
        "20 GB/s",
        "80.0 GB free of 300 GB",
        "usable 2, threads 2",
        "none",
        "• Do this.",
    ):
        assert words in text


def test_json_is_measured_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "_GEMM_SIZE", 256)
    monkeypatch.setattr(doctor, "_READ_BYTES", 1 << 20)
    monkeypatch.setattr(doctor, "_MEASURE_S", 0.01)
    assert cli.main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts) == set(FACTS)
    assert facts["products"]["all_threads"]["torch"] > 0
    assert facts["memory_read_gbytes_per_second"] > 0
    assert 0 < facts["processor"]["usable_cores"] <= (os.cpu_count() or 1)


def test_limits_of_a_container_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "_ROOT", tmp_path)
    assert doctor.memory_facts()["limit_bytes"] is None
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("50000 100000\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("123456\n")
    assert doctor.memory_facts()["limit_bytes"] == 123_456
    assert doctor.processor_facts()["usable_cores"] == 0.5


def test_a_thread_for_a_part_of_a_core_is_not_too_many() -> None:
    facts = _changed(processor__usable_cores=1.5)
    assert "--threads" not in " ".join(doctor.advice(facts))
