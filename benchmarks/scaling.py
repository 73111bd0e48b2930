"""How time and memory of a training step, and of replies, grow: four points for each thing varied.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py --json-file F

Time is the process's CPU time by its threads, the points of an axis in turn, the median of all
repetitions. Memory is the peak of a fresh process over its loaded base during the first two runs.
Beside both stand what shapes alone say: operations (training/flops.py) and bytes (the plan's
formula, or the cache's). An exponent is the slope of a line through the logarithms.
"""

import gc
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from benchmarks.about_run import about_run
from benchmarks.measure import peak_of_process
from benchmarks.scaling_points import Axis, Point, Work, axes
from console.command import run
from console.flags import UsageError
from console.output import Console
from storage.json_file import write_json


@dataclass(frozen=True)
class Growth:
    """What was found along an axis; lists have one entry for each of `values`.

    seconds: Of CPU time a thread, the median. peak_bytes: None where the system does not tell.
    operations, counted_bytes: From shapes alone.
    """

    axis: str
    values: list[int]
    seconds: list[float]
    operations: list[float]
    peak_bytes: list[int] | None
    counted_bytes: list[int]

    def exponents(self) -> dict[str, float | None]:
        """Return the exponent of each list of figures."""
        kinds: dict[str, Sequence[float]]
        kinds = {"seconds": self.seconds, "operations": self.operations}
        kinds |= {"peak_bytes": self.peak_bytes or [], "counted_bytes": self.counted_bytes}
        return {
            kind: round(exponent(self.values, figures), 2) if figures else None
            for kind, figures in kinds.items()
        }


def main(only: str | None = None, repetitions: int = 5, json_file: str | None = None) -> None:
    """Measure every axis and print how it grows.

    Args:
        only: Axes to measure, with commas between them; by default all.
        repetitions: How often every point is timed; the median counts.
        json_file: Also write the figures there.
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    chosen, known = axes(), [axis.name for axis in axes()]
    if only is not None:
        if unknown := [name for name in only.split(",") if name not in known]:
            raise UsageError(f"unknown --only {unknown[0]!r}; there are {', '.join(known)}")
        chosen = [axis for axis in chosen if axis.name in only.split(",")]
    found = [measure(axis, repetitions) for axis in chosen]
    _print(found)
    if json_file is not None:
        record = {
            **about_run(),
            "threads": torch.get_num_threads(),
            "repetitions": repetitions,
            "axes": [asdict(growth) | {"exponents": growth.exponents()} for growth in found],
        }
        write_json(Path(json_file), record)


def measure(axis: Axis, repetitions: int) -> Growth:
    """Time an axis's points in turn, then measure the memory of each in a process of its own."""
    works = [axis.work(point) for point in axis.points]
    seconds = [round(median, 5) for median in times(works, repetitions)]
    operations, counted = [work.operations for work in works], [work.bytes for work in works]
    del works
    peaks = [peak_over_base(axis.work, point) for point in axis.points]
    known = [peak for peak in peaks if peak is not None]
    values = list(axis.values)
    return Growth(axis.name, values, seconds, operations, known or None, counted)


def times(works: Sequence[Work], repetitions: int) -> list[float]:
    """Return the median seconds of each work; all are run in turn, after once untimed."""
    taken: list[list[float]] = [[] for _ in works]
    for number in range(1 + repetitions):
        for work, seconds in zip(works, taken, strict=True):
            start = time.process_time()
            work.run(number)
            seconds.append((time.process_time() - start) / torch.get_num_threads())
    return [statistics.median(seconds[1:]) for seconds in taken]


def peak_over_base(build: Callable[[Point], Work], point: Point) -> int | None:
    """Return the peak of a fresh process over what it holds when its point is built."""
    # A process that has imported all this, and done nothing with it, is copied for each point.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak, build, point, torch.get_num_threads()).result()


def _peak(build: Callable[[Point], Work], point: Point, threads: int) -> int | None:
    torch.set_num_threads(threads)
    work = build(point)
    gc.collect()
    return peak_of_process(lambda: [work.run(number) for number in range(2)])


def exponent(values: Sequence[float], figures: Sequence[float]) -> float:
    """Return the slope of figures over values, both as logarithms, by least squares."""
    return float(np.polyfit(np.log(values), np.log(figures), 1)[0])


def _print(found: Sequence[Growth]) -> None:
    time_of = Table("axis", "values", "ms", "exponent", "of operations", title="CPU time")
    memory = Table("axis", "values", "MiB", "exponent", "by formula", "exponent", title="Memory")
    for growth in found:
        slopes = growth.exponents()
        values = ", ".join(map(str, growth.values))
        milliseconds = ", ".join(f"{1000 * seconds:,.0f}" for seconds in growth.seconds)
        row = [growth.axis, values, milliseconds, slopes["seconds"], slopes["operations"]]
        time_of.add_row(*map(str, row))
        peaks, counted = (
            ", ".join(f"{size / 2**20:,.0f}" for size in sizes)
            for sizes in (growth.peak_bytes or [], growth.counted_bytes)
        )
        row = [growth.axis, values, peaks, slopes["peak_bytes"], counted, slopes["counted_bytes"]]
        memory.add_row(*map(str, row))
    for table in (time_of, memory):
        Console().print(table)


if __name__ == "__main__":
    run(main)
