"""How many cores this process may use, and threads that leave them to others while they have nothing to do.

A process that was forked computes with one thread. torch's threads are those of OpenMP (libgomp). A fork copies none of
them, but it copies the belief that they are there: the first computation large enough for several threads then waits
for them without end. So does `Dataset.map` with several processes, joblib's "multiprocessing", gunicorn with --preload,
and every Pool of the start method fork. One thread needs nobody. Processes that share a machine's cores have no use for
more either.

Source:  pytorch/pytorch#17199; torch's own DataLoader sets its forked workers to one thread for the same reason.

Imported first of all by `import polyseme`, and so without torch: its OpenMP reads its settings when it is loaded.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from polyseme.core.quotas import cores_of_quota

__all__ = [
    "affinity",
    "default_threads",
    "set_thread_defaults",
    "threads_are_bound",
    "threads_are_chosen",
    "usable_cores",
]

SPINS = 100_000
"""Looks of a thread of libgomp (GNU's OpenMP, torch's on Linux) at whether there is work, before it sleeps.
Without a setting it is 300,000, milliseconds in which nobody else can use the core; fewer cost speed on a free machine.
`sharing` makes it a hundred while other programs use the cores."""

_JOBS = {  # systems for jobs that say how many cores one has: a variable that only a job has, and the number's
    "SLURM_JOB_ID": "SLURM_CPUS_PER_TASK",
    "PBS_JOBID": "NCPUS",
    "JOB_ID": "NSLOTS",  # Grid Engine
    "LSB_JOBID": "LSB_DJOB_NUMPROC",
}
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # torch takes the second where there is no first
_WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

# the variables that `set_thread_defaults` has set, with their values: processes started later inherit them all
_SET = "POLYSEME_SET"


def usable_cores() -> float:
    """Cores that this process may use, which need not be whole.

    The smallest of: those it may run on (taskset, cpusets), the quota of its container or service, those of its job.
    """
    cores = float(affinity())
    quota = cores_of_quota()
    if quota is not None:
        cores = min(cores, quota)
    for job, name in _JOBS.items():
        value = os.environ.get(name, "")
        if job in os.environ and value.isascii() and value.isdigit() and int(value) > 0:
            cores = min(cores, float(value))
    return cores


def default_threads() -> int:
    """Threads for `usable_cores`: a part of a core is worth a thread."""
    return max(1, math.ceil(usable_cores() - 1e-6))


def threads_are_chosen() -> bool:
    """Whether a user has said by the environment how many threads torch is to have."""
    ours = os.environ.get(_SET, "").split(",")
    return any(os.environ.get(name) and f"{name}={os.environ[name]}" not in ours for name in _THREADS)


def set_thread_defaults(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set what torch's threads are to do, for a torch that is loaded later. A user's own settings stay.

    They wait without holding a core, and there are no more of them than cores may be used.
    """
    if "torch" in sys.modules:  # it has read its settings
        return
    if not any(environment.get(name) for name in _WAITING):
        _set(environment, "GOMP_SPINCOUNT", SPINS)
    if not any(environment.get(name) for name in _THREADS) and default_threads() < affinity():
        # torch's own number is that of whole cores: never more, where two threads of a processor share one
        _set(environment, "OMP_NUM_THREADS", min(default_threads(), _whole_cores()))


def _set(environment: MutableMapping[str, str], name: str, value: int) -> None:
    environment[name] = str(value)
    environment[_SET] = ",".join(filter(None, [environment.get(_SET), f"{name}={value}"]))


def affinity() -> int:
    """Cores that the process may run on."""
    if hasattr(os, "sched_getaffinity"):
        now = len(os.sched_getaffinity(0))
        # OpenMP, once it is loaded, binds this very thread to a single core where a user asks for bound threads
        return max(now, _AT_START) if threads_are_bound() else now
    return os.cpu_count() or 1


def _whole_cores() -> int:
    """Cores among those that the process may run on; the hardware threads of a core count once."""
    if not hasattr(os, "sched_getaffinity"):
        return affinity()
    whole = set()
    for number in os.sched_getaffinity(0):
        try:
            whole.add(Path(_SIBLINGS.format(number)).read_text("ascii"))
        except (OSError, ValueError):
            return affinity()
    return len(whole)


def threads_are_bound() -> bool:
    """Whether a user has asked OpenMP to bind its threads to cores."""
    names = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
    return any(os.environ.get(name, "false").lower() not in ("", "false") for name in names)


def use_one_thread() -> None:
    """Let torch, and the tokenizers library, work without helpers from now on; what every forked process does first."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it would do the same, with a warning


_AT_START = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0

if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=use_one_thread)
