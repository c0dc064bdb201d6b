"""Limits that a container or a service manager sets: files of Linux's control groups, of both versions.

A process is in a group of groups, and each may be limited; what counts is the smallest limit on the way up. Inside a
container the way may lead to folders that only the host has: there the top folder is the container's own group.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["cores_of_quota", "memory_limit"]

_ROOT = Path("/")
_VERSION_1 = {"cpu": ("cpu", "cpu,cpuacct", "cpuacct,cpu"), "memory": ("memory",)}  # folders of a controller
_VERSION_2 = ("", "unified")
_NO_LIMIT = 1 << 60  # version 1 writes the largest number of pages where memory has no limit


def cores_of_quota() -> float | None:
    """Processor time a second that this process may use, in cores; None without a limit.

    Example:  1.5 for `docker run --cpus 1.5` or `systemd-run -p CPUQuota=150%`.
    """
    quotas = []
    for folder in _groups("cpu"):
        words = _read(folder / "cpu.max").split()  # version 2: "150000 100000" or "max 100000"
        if not words:
            words = [_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        if len(words) == 2 and all(_is_count(word) for word in words):
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def memory_limit() -> int | None:
    """Bytes of memory that this process may use; None without a limit."""
    limits = []
    for folder in _groups("memory"):
        word = _read(folder / "memory.max").strip() or _read(folder / "memory.limit_in_bytes").strip()
        if _is_count(word) and int(word) < _NO_LIMIT:
            limits.append(int(word))
    return min(limits, default=None)


def _groups(controller: str) -> Iterator[Path]:
    """Folders of the groups of this process, from its own up to the top."""
    mounts = _ROOT / "sys/fs/cgroup"
    for line in _read(_ROOT / "proc/self/cgroup").split("\n"):
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            tops = [mounts / name for name in _VERSION_2]
        elif controller in names.split(","):
            tops = [mounts / name for name in _VERSION_1[controller]]
        else:
            continue
        # a path with ".." leads out of what this process may see
        parts = [part for part in path.split("/") if part and part != ".."]
        for top in tops:
            for depth in range(len(parts), 0, -1):
                yield top.joinpath(*parts[:depth])
            yield top


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdigit() and int(word) > 0


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
