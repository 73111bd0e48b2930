"""A rank that is frozen is named and ends the run; a slow one is left alone."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch.distributed as dist
from launches import ROOT, environment, free_port, launch_command
from tiny_runs import settings_in

from training.zero import heartbeat
from training.zero.heartbeat import LIMIT_VARIABLE, Heartbeat

ZERO_3 = {"zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0}}
HOST = socket.gethostname()
# Long enough for a machine with more to do than it has cores.
MINUTES = 0.4


class Process:
    """A rank whose end is recorded; its threads are this process's."""

    def __init__(self, store: dist.Store, rank: int, world_size: int) -> None:
        self.heartbeat = Heartbeat(store, rank, world_size)
        self.ended = threading.Event()
        self.end = self.heartbeat._end
        self.heartbeat._end = self._ended  # type: ignore[method-assign]
        self.frozen: list[int] = []

    def _ended(self, frozen: list[int]) -> None:
        self.frozen = frozen
        if self.heartbeat.rank == 0:
            self.heartbeat.store.set(heartbeat.FROZEN, "1")
        self.ended.set()
        self.heartbeat.stop()


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, float], list[Process]]]:
    """Return what starts ranks over one store, and stops them in the end."""
    started: list[Process] = []
    stores: list[dist.Store] = []  # kept, since others only point to it

    def start_ranks(world_size: int, minutes: float) -> list[Process]:
        monkeypatch.setenv(LIMIT_VARIABLE, str(minutes))
        stores.append(store := dist.TCPStore("127.0.0.1", free_port(), is_master=True))
        started.extend(Process(store, rank, world_size) for rank in range(world_size))
        for process in started:
            process.heartbeat.watch([(HOST, os.getpid())] * world_size)
        return started

    yield start_ranks
    for process in started:
        process.heartbeat.stop()


@pytest.mark.long
def test_ranks_that_beat_are_left_alone(start: Callable[[int, float], list[Process]]) -> None:
    """A rank that waits, writes or evaluates is one whose thread beats."""
    ranks = start(3, 0.025)
    assert not ranks[0].ended.wait(timeout=3), "twice the limit"
    assert not any(rank.ended.is_set() for rank in ranks)


def test_a_silent_rank_is_found_by_rank_0_which_tells_the_others(
    start: Callable[[int, float], list[Process]],
) -> None:
    ranks = start(3, 0.02)
    ranks[2].heartbeat.stop()
    assert all(rank.ended.wait(timeout=60) for rank in ranks[:2])
    assert (ranks[0].frozen, ranks[1].frozen) == ([2], [])


def test_a_silent_rank_0_is_found_by_all_others(
    start: Callable[[int, float], list[Process]],
) -> None:
    ranks = start(3, 0.02)
    ranks[0].heartbeat.stop()
    assert all(rank.ended.wait(timeout=60) for rank in ranks[1:])
    assert [rank.frozen for rank in ranks[1:]] == [[0], [0]]


def test_a_limit_of_zero_watches_nothing(start: Callable[[int, float], list[Process]]) -> None:
    before = threading.active_count()
    start(2, 0)
    assert threading.active_count() == before


def freeze(workspace: Path, victim: int, ranks: int) -> tuple[int, str]:
    """Start a run, stop one of its ranks at work with SIGSTOP; return the exit code and errors."""
    config = settings_in(workspace)(
        name="frozen",
        deepspeed_config=ZERO_3,
        training__epochs=5000,
        training__max_steps=20_000,
        validation__every=None,
        checkpoint__every=None,
    )
    file = workspace / "frozen.json"
    file.write_text(config.model_dump_json())
    job = subprocess.Popen(
        launch_command(ranks, "ds_finetune.py", "--config-file", file),
        cwd=ROOT,
        env=environment(FROZEN_RANK_MINUTES=str(MINUTES)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    own: list[psutil.Process] = []
    try:
        metrics = config.log_dir / "metrics.jsonl"
        end = time.monotonic() + 400
        while not (metrics.is_file() and metrics.read_text().count("\n") > 2):
            assert job.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        own = [
            process
            for process in psutil.Process(job.pid).children(recursive=True)
            if "ds_finetune.py" in process.cmdline()
        ]
        [process] = [p for p in own if f"--local_rank={victim}" in p.cmdline()]
        process.send_signal(signal.SIGSTOP)
        _, stderr = job.communicate(timeout=300)
        _, alive = psutil.wait_procs(own, timeout=60)
        assert alive == []
        return job.returncode, stderr
    finally:
        job.kill()
        for process in own:
            if process.is_running():
                process.kill()


def check_named(victim: int, code: int, stderr: str) -> None:
    assert code != 0
    [said] = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert (
        f"rank {victim} (process " in said and f"gave no sign of life for {MINUTES:g} min" in said
    )
    assert "--resume" in said and "Traceback" not in stderr


@pytest.mark.long
def test_a_frozen_rank_ends_the_run_and_is_named(tmp_path: Path) -> None:
    check_named(1, *freeze(tmp_path, victim=1, ranks=2))


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 2])
def test_a_frozen_rank_among_three_is_named_once(tmp_path: Path, victim: int) -> None:
    check_named(victim, *freeze(tmp_path, victim, ranks=3))
