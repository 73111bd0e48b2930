"""Work on all cores: the same results in the same order, and errors as they were raised."""

import operator
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import parallel
from data.parallel import in_order


@pytest.mark.parametrize(("few", "workers"), [(10_000, 2), (100, 1), (100, 2)])
def test_results_come_in_the_order_of_the_items(few: int, workers: int) -> None:
    assert list(in_order(operator.neg, range(3000), few, workers)) == [-i for i in range(3000)]


def test_an_error_in_another_process_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order((1).__truediv__, (5 - i for i in range(20)), few=2, workers=2))


def test_items_are_taken_as_they_are_needed() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(10**9):
            taken += 1
            yield i

    results = in_order(operator.neg, items(), few=10, workers=2)
    assert [next(results) for _ in range(12)] == [-i for i in range(12)]
    results.close()
    assert taken < 5000


def process_of(_: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("name", ["clean_dataset", "build_dataset"])
def test_command_imports_neither_torch_nor_the_generator(name: str) -> None:
    code = f"import sys, scripts.{name}; print({{'torch', 'synthesis'}} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n", "each worker imports the file of its command again"


@pytest.mark.parametrize(("size", "lengths"), [(1, [250] * 4), (100_000, [10] * 100)])
def test_large_items_travel_in_shorter_chunks(size: int, lengths: list[int]) -> None:
    chunks = parallel.chunks(range(1000), parallel.CHUNK, lambda _: size)
    assert list(map(len, chunks)) == lengths


def test_item_above_the_limit_travels_alone() -> None:
    sizes = [1, 5_000_000, 1, 1]
    assert list(parallel.chunks(sizes, 250, lambda size: size)) == [[1, 5_000_000], [1, 1]]


def test_large_items_are_soon_done_by_other_processes() -> None:
    done = in_order(process_of, range(20), workers=2, size=lambda _: parallel.FEW_BYTES // 4)
    here = [process == os.getpid() for process in done]
    assert here == [True] * 4 + [False] * 16


def test_workers_are_no_more_than_can_be_kept_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert parallel.workers_at_hand() == parallel.MOST_WORKERS


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs Linux's /proc")
def test_workers_end_when_their_parent_is_killed() -> None:
    script = Path(__file__).with_name("endless_work.py")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        workers = {int(run.stdout.readline()) for _ in range(20)}
        assert workers and run.pid not in workers and all(map(is_alive, workers))
        run.kill()
    deadline = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))
