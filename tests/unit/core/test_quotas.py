"""Limits of containers and services, read from trees like those of /proc and /sys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from polyseme.core import quotas


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(quotas, "_ROOT", tmp_path)
    return tmp_path


def _write(root: Path, groups: str, files: Mapping[str, str]) -> None:
    for name, text in {
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{k}": v for k, v in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


DOCKER_1 = "12:memory:/docker/4f\n5:cpu,cpuacct:/docker/4f\n1:name=systemd:/docker/4f\n"


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        pytest.param("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5, id="version 2: docker --cpus 0.5"),
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="version 2: one core and a half"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, None, id="version 2: no limit"),
        pytest.param("0::/\n", {"cpu.max": "20000\n"}, None, id="version 2: a line that is cut off"),
        pytest.param("0::/\n", {}, None, id="version 2: a root group has no such file"),
        pytest.param(
            "0::/user.slice/user-1000.slice/run-r8.scope\n",
            {
                "user.slice/user-1000.slice/run-r8.scope/cpu.max": "max 100000\n",
                "user.slice/user-1000.slice/cpu.max": "200000 100000\n",
                "user.slice/cpu.max": "400000 100000\n",
            },
            2.0,
            id="version 2: the smallest on the way up (systemd's CPUQuota of a slice)",
        ),
        pytest.param(
            "0::/../../a\n", {"cpu.max": "100000 100000\n"}, 1.0, id="version 2: a path that leads out"
        ),
        pytest.param(
            DOCKER_1,
            {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            2.5,
            id="version 1: the path is the host's, the container's files are at the top",
        ),
        pytest.param(
            DOCKER_1,
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            None,
            id="version 1: no limit",
        ),
        pytest.param(
            "3:cpu:/kubepods/pod1/c1\n0::/\n",
            {
                "cpu/kubepods/pod1/c1/cpu.cfs_quota_us": "-1\n",
                "cpu/kubepods/pod1/c1/cpu.cfs_period_us": "100000\n",
                "cpu/kubepods/pod1/cpu.cfs_quota_us": "75000\n",
                "cpu/kubepods/pod1/cpu.cfs_period_us": "50000\n",
            },
            1.5,
            id="version 1 beside 2: the limit of the pod",
        ),
        pytest.param("", {"cpu.max": "50000 100000\n"}, None, id="a process that is in no group"),
    ],
)
def test_cores(root: Path, groups: str, files: Mapping[str, str], cores: float | None) -> None:
    _write(root, groups, files)
    assert quotas.cores_of_quota() == cores


def test_a_system_without_groups_has_no_limit(root: Path) -> None:
    assert list(root.iterdir()) == []
    assert quotas.cores_of_quota() is None
    assert quotas.memory_limit() is None


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {"memory.max": "2147483648\n"}, 2 << 30),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "1000000\n"}, 1_000_000),
        (DOCKER_1, {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        (DOCKER_1, {"memory/memory.limit_in_bytes": "536870912\n"}, 1 << 29),
    ],
)
def test_memory(root: Path, groups: str, files: Mapping[str, str], limit: int | None) -> None:
    _write(root, groups, files)
    assert quotas.memory_limit() == limit
