"""Threads on the processor: as many as there are cores that nothing else keeps busy.

A matrix product ends when its slowest thread does. Beside one other busy process on two cores, two
threads take turns with it and wait for each other; one thread has a core for itself.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from training.backends import Backend
from training.progress import Progress

_STAT = Path("/proc/stat")
_SAMPLE_SECONDS = 0.5
# Columns of /proc/stat that are no work: idle and iowait (proc(5)); guest time is in user's.
_IDLE, _COUNTED = (3, 4), 8


def take_threads(progress: Progress, backend: Backend) -> None:
    """Compute with the threads the run began with, or as many as cores are free at its start.

    OMP_NUM_THREADS goes before both. Another number of threads rounds sums differently, so that a
    resumed run would not continue bit for bit.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    if progress.threads is None:
        ranks = backend.world_size
        progress.threads = backend.on_first_rank(lambda: threads_per_rank(ranks))
    torch.set_num_threads(progress.threads)


def threads_per_rank(ranks: int) -> int:
    """Return how many threads each of `ranks` processes on this machine should compute with."""
    return max(1, free_cores() // ranks)


def free_cores() -> int:
    """Return how many of this process's cores are idle now, at least 1; takes half a second.

    Where the system does not tell (it is read from /proc/stat), what torch would take.
    """
    if not _STAT.is_file():
        return torch.get_num_threads()
    before = core_times(_STAT.read_text(encoding="ascii"))
    time.sleep(_SAMPLE_SECONDS)
    after = core_times(_STAT.read_text(encoding="ascii"))
    return idle_cores(before, after, os.sched_getaffinity(0))


def idle_cores(
    before: Mapping[int, tuple[int, int]], after: Mapping[int, tuple[int, int]], cores: set[int]
) -> int:
    """Return the idle time of `cores` between two readings, in whole cores and at least 1."""
    idle = 0.0
    for core in cores & before.keys() & after.keys():
        passed = after[core][1] - before[core][1]
        idle += (after[core][0] - before[core][0]) / passed if passed else 1.0
    return max(1, round(idle))


def core_times(stat: str) -> dict[int, tuple[int, int]]:
    """Return each core's idle and whole time since the start, in ticks, from /proc/stat's text."""
    times: dict[int, tuple[int, int]] = {}
    for line in stat.splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(column) for column in columns[:_COUNTED]]
            times[int(name[3:])] = (sum(ticks[i] for i in _IDLE), sum(ticks))
    return times
