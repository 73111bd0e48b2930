"""Threads on the processor: the free cores at a start, the same number when resumed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training.backends import NativeBackend
from training.config import Config
from training.progress import Progress
from training.setup import build_model
from training.threads import (
    core_times,
    free_cores,
    idle_cores,
    take_threads,
    threads_per_rank,
)

Settings = Callable[..., Config]

BEFORE = """cpu  300 0 100 1600 0 0 0 0 0 0
cpu0 100 0 50 850 0 0 0 0 0 0
cpu1 200 0 50 750 0 0 0 0 0 0
intr 5
"""


def later(idle0: int, busy0: int, idle1: int, busy1: int) -> str:
    return (
        f"cpu0 {100 + busy0} 0 50 {850 + idle0} 0 0 0 0 0 0\n"
        f"cpu1 {200 + busy1} 0 50 {750 + idle1} 0 0 0 0 0 0\n"
    )


@pytest.mark.parametrize(
    ("ticks", "cores", "free"),
    [
        ((50, 0, 50, 0), {0, 1}, 2),
        ((0, 50, 50, 0), {0, 1}, 1),
        ((0, 50, 0, 50), {0, 1}, 1),
        ((45, 5, 48, 2), {0, 1}, 2),
        ((0, 50, 50, 0), {1}, 1),
        ((0, 0, 0, 0), {0, 1}, 2),
    ],
    ids=["idle", "one busy", "all busy", "hardly busy", "only its own", "no tick passed"],
)
def test_free_cores_are_the_idle_ones(
    ticks: tuple[int, int, int, int], cores: set[int], free: int
) -> None:
    assert idle_cores(core_times(BEFORE), core_times(later(*ticks)), cores) == free


def test_time_waiting_for_a_disk_counts_as_idle() -> None:
    assert core_times("cpu7 1 2 3 40 50 6 7 8 100 100\n") == {7: (90, 117)}


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="needs /proc/stat")
def test_one_core_is_left_when_every_core_is_busy() -> None:
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(len(os.sched_getaffinity(0)) * 2)
    ]
    try:
        assert free_cores() == 1
        assert threads_per_rank(2) == 1
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_a_resumed_run_keeps_its_number_of_threads(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings()
    model = build_model(config, torch.device("cpu"), torch.float32)
    backend = NativeBackend(model, config.optimizer, torch.device("cpu"), torch.float32)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    try:
        resumed = Progress(threads=before + 1)
        take_threads(resumed, backend)
        assert (resumed.threads, torch.get_num_threads()) == (before + 1, before + 1)
        new = Progress()
        take_threads(new, backend)
        assert new.threads == torch.get_num_threads() >= 1
    finally:
        torch.set_num_threads(before)


def test_omp_num_threads_overrides_the_number_of_threads(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings()
    model = build_model(config, torch.device("cpu"), torch.float32)
    backend = NativeBackend(model, config.optimizer, torch.device("cpu"), torch.float32)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    progress, before = Progress(), torch.get_num_threads()
    take_threads(progress, backend)
    assert progress.threads is None and torch.get_num_threads() == before
