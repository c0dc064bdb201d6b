"""How many cores count, and what torch is told before it is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from polyseme.core import cores

VARIABLES = (
    "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES",
    "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "POLYSEME_SET", *cores._JOBS, *cores._JOBS.values(),
)  # fmt: skip


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Eight whole cores, no quota, no job, nothing set, torch not loaded."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_whole_cores", lambda: 8)
    monkeypatch.setattr(cores, "cores_of_quota", lambda: None)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return monkeypatch


def _quota(machine: pytest.MonkeyPatch, quota: float) -> None:
    machine.setattr(cores, "cores_of_quota", lambda: quota)


@pytest.mark.parametrize(
    ("quota", "usable", "threads"),
    [
        (None, 8, 8),
        (0.5, 0.5, 1),
        (1.0, 1, 1),
        (1.5, 1.5, 2),
        (2.9, 2.9, 3),
        (16.0, 8, 8),
        (3.0000000001, 3, 3),
    ],
)
def test_quotas(machine: pytest.MonkeyPatch, quota: float | None, usable: float, threads: int) -> None:
    machine.setattr(cores, "cores_of_quota", lambda: quota)
    assert cores.usable_cores() == pytest.approx(usable)
    assert cores.default_threads() == threads


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK"),
        ("PBS_JOBID", "NCPUS"),
        ("JOB_ID", "NSLOTS"),
        ("LSB_JOBID", "LSB_DJOB_NUMPROC"),
    ],
)
def test_jobs(machine: pytest.MonkeyPatch, job: str, name: str) -> None:
    machine.setenv(name, "3")
    assert cores.usable_cores() == 8, "a number that no job has given"
    machine.setenv(job, "77")
    assert cores.usable_cores() == 3
    for value in ("", "many", "0", "-2", "12"):
        machine.setenv(name, value)
        assert cores.usable_cores() == 8


def test_a_process_that_is_bound_to_some_cores(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert cores.usable_cores() == 1
    _quota(machine, 4.0)
    assert cores.usable_cores() == 1


def test_threads_that_openmp_has_bound_leave_the_number_as_it_was(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(cores, "_AT_START", 8)
    machine.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    machine.setenv("OMP_PROC_BIND", "false")
    assert cores.usable_cores() == 1
    machine.setenv("OMP_PROC_BIND", "close")
    assert cores.usable_cores() == 8


def test_a_system_without_affinity(machine: pytest.MonkeyPatch) -> None:
    machine.delattr(os, "sched_getaffinity")
    machine.setattr(os, "cpu_count", lambda: 4)
    assert cores.usable_cores() == 4


def test_waiting_threads_sleep_soon(machine: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    cores.set_thread_defaults(environment)
    assert environment == {"GOMP_SPINCOUNT": "100000", "POLYSEME_SET": "GOMP_SPINCOUNT=100000"}


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_a_users_way_to_wait_stays(machine: pytest.MonkeyPatch, name: str) -> None:
    environment = {name: "ACTIVE"}
    cores.set_thread_defaults(environment)
    assert environment == {name: "ACTIVE"}


def test_a_quota_bounds_the_threads(machine: pytest.MonkeyPatch) -> None:
    _quota(machine, 1.5)
    environment: dict[str, str] = {}
    cores.set_thread_defaults(environment)
    assert environment["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_users_number_of_threads_stays(machine: pytest.MonkeyPatch, name: str) -> None:
    _quota(machine, 1.5)
    environment = {name: "6", "GOMP_SPINCOUNT": "1"}
    cores.set_thread_defaults(environment)
    assert environment == {name: "6", "GOMP_SPINCOUNT": "1"}
    machine.setenv(name, "6")
    assert cores.threads_are_chosen()


def test_hardware_threads_are_not_cores(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(cores, "_whole_cores", lambda: 4)
    _quota(machine, 6.0)
    environment: dict[str, str] = {}
    cores.set_thread_defaults(environment)
    assert environment["OMP_NUM_THREADS"] == "4"


def test_a_torch_that_is_loaded_has_read_its_settings(machine: pytest.MonkeyPatch) -> None:
    machine.setitem(sys.modules, "torch", sys)
    environment: dict[str, str] = {}
    cores.set_thread_defaults(environment)
    assert environment == {}


def test_own_settings_are_not_a_users(machine: pytest.MonkeyPatch) -> None:
    _quota(machine, 2.0)
    machine.setenv("OMP_NUM_THREADS", "")
    cores.set_thread_defaults()
    try:
        assert os.environ["OMP_NUM_THREADS"] == "2"
        assert not cores.threads_are_chosen()
        told = "import polyseme.core.cores as cores; print(cores.threads_are_chosen())"
        child = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
        assert child.stdout == "False\n"  # which inherits what was set
        os.environ["OMP_NUM_THREADS"] = "4"
        assert cores.threads_are_chosen()
    finally:
        for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT", "POLYSEME_SET"):
            os.environ.pop(name, None)


def test_importing_the_package_sets_it_before_torch() -> None:
    """And whoever it starts inherits it."""
    code = (
        "import json, os, sys, polyseme; assert 'torch' not in sys.modules; "
        "print(json.dumps([os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_NUM_THREADS')]))"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}

    def started(**changes: str) -> list[str | None]:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment | changes, stdout=subprocess.PIPE, check=True
        )
        found: list[str | None] = json.loads(done.stdout)
        return found

    assert started(OMP_NUM_THREADS="3") == ["100000", "3"]
    assert started(OMP_NUM_THREADS="1", GOMP_SPINCOUNT="7") == ["7", "1"]
    assert started(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive") == [None, "1"]
