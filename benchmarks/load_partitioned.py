"""Measure what loading a base at ZeRO-3 costs in host memory, with one, two and four ranks.

    python benchmarks/load_partitioned.py --folder /tmp/load_partitioned

Makes a random model of Llama 3.2 1B's shape, loads it under the real launcher on the CPU, where a
rank's share of the weights itself lies in host memory, and removes what it made. The node's cost is
the growth of anonymous memory, summed over its ranks, at its highest. Linux, 6 GB of disk.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.table import Table

from benchmarks.about_run import about_run
from console.command import run
from console.output import Console
from storage.json_file import write_json
from training.zero.placing import place_on_arrival
from training.zero.ranks import joined_ranks, wait_for_all
from weights.directory import layout_bytes, layout_of, load_model, open_weights

ROOT = Path(__file__).parents[1]
RANKS = (1, 2, 4)
SAMPLE_SECONDS = 0.002


def main(
    folder: str,
    size: str = "1b",
    json_file: str | None = None,
    stage: int | None = None,
    local_rank: int | None = None,
) -> None:
    """Load a model of `size` with several numbers of ranks and print the memory each took.

    Args:
        folder: Where the model is made; it must not exist.
        size: The shape: tiny, 1b or 8b.
        json_file: Also write the figures there.
        stage: Set where this script starts itself under the launcher.
        local_rank: Given by the launcher.
    """
    if stage is not None:
        measure_here(Path(folder), stage)
        return
    work = Path(folder)
    work.mkdir(parents=True)
    try:
        _python("scripts/make_random_model.py", "--output-dir", work / "meta", "--size", size)
        convert = ("--llama3-dir", work / "meta", "--output-dir", work / "base")
        _python("scripts/convert_from_meta_weights.py", *convert)
        found = [_launch(work, ranks, stage) for stage, ranks in [(2, 2), *((3, n) for n in RANKS)]]
    finally:
        shutil.rmtree(work)
    _print(found)
    if json_file is not None:
        record = {
            **about_run(),
            "size": size,
            "runs": found,
        }
        write_json(Path(json_file), record)


def measure_here(work: Path, stage: int) -> None:
    """Load the base on this rank; rank 0 writes what all ranks saw."""
    with joined_ranks("cpu") as ranks:
        engine = {
            "train_batch_size": ranks.world_size,
            "bf16": {"enabled": True},
            "zero_optimization": {"stage": stage, "stage3_param_persistence_threshold": 0},
        }
        place = place_on_arrival(engine, torch.device("cpu"), torch.bfloat16)
        stored = layout_bytes(layout_of(open_weights(work / "base")))
        wait_for_all(ranks.device)
        before = _anonymous_bytes()
        with _highest() as peak:
            model = load_model(work / "base", "cpu", torch.bfloat16, place)
        held = sum(getattr(p, "ds_tensor", p).nbytes for p in model.parameters())
        own = {"growth": max(peak) - before, "before": before, "held": held}
        found: list[dict[str, int]] = [own] * ranks.world_size
        dist.all_gather_object(found, own)
        if ranks.rank == 0:
            record = {"stage": stage, "ranks": ranks.world_size, "model": stored, "each": found}
            (work / "found.json").write_text(json.dumps(record), encoding="utf-8")


@contextmanager
def _highest() -> Iterator[list[int]]:
    """Yield a list that a thread fills with this process's anonymous bytes."""
    seen, done = [_anonymous_bytes()], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            seen.append(_anonymous_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
        seen.append(_anonymous_bytes())
    finally:
        done.set()
        thread.join()


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon; this measurement needs Linux")


def _python(*command: object) -> None:
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True)


def _launch(work: Path, ranks: int, stage: int) -> dict[str, Any]:
    launcher = Path(sys.executable).with_name("deepspeed")
    command = [launcher, f"--num_gpus={ranks}", __file__, f"--folder={work}", f"--stage={stage}"]
    path = f"{launcher.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    subprocess.run([*map(str, command)], cwd=ROOT, check=True, env=environment, capture_output=True)
    found: dict[str, Any] = json.loads((work / "found.json").read_text(encoding="utf-8"))
    return found


def _print(runs: list[dict[str, Any]]) -> None:
    table = Table(
        "ZeRO stage", "ranks", "model GB", "growth on the node GB", "largest of a rank GB"
    )
    for found in runs:
        growth = [rank["growth"] for rank in found["each"]]
        figures = (found["model"], sum(growth), max(growth))
        table.add_row(
            str(found["stage"]), str(found["ranks"]), *(f"{f / 1e9:.2f}" for f in figures)
        )
    Console().print(table)


if __name__ == "__main__":
    run(main)
