"""Measure cleaning and building on many generated rows: speed, memory, and beside datasets.map.

    python benchmarks/build_million.py --folder /tmp/million --tokenizer-file F
    python benchmarks/build_million.py --folder /tmp/small --tokenizer-file F --rows 20000

Generates Glaive-like rows (a million have 2 GB), then cleans and builds them with the commands a
user would type: a tenth of them, then all. Speed is conversations by the CPU seconds of all
processes together, which other work on the machine changes less than it changes the wall time.
Memory is the PSS of all processes together, read from Linux's /proc while they run.

`--peer-python` names a Python that has `datasets` and `tiktoken`
(`python3 -m venv D && D/bin/pip install datasets tiktoken`): it then does the same work with
`datasets.map`, with as many processes.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from rich.table import Table

from benchmarks.about_run import about_run
from benchmarks.glaive_rows import write_rows
from console.command import run
from console.output import Console
from storage.json_file import write_json

ROOT = Path(__file__).parents[1]
SAMPLE_SECONDS = 0.25


@dataclass(frozen=True)
class Measurement:
    """One command: its seconds, wall and CPU of all its processes, and their highest PSS."""

    what: str
    rows: int
    wall_seconds: float
    cpu_seconds: float
    peak_pss_bytes: int

    @property
    def per_core_second(self) -> float:
        """Conversations by CPU second."""
        return self.rows / self.cpu_seconds


def main(
    folder: str,
    tokenizer_file: str,
    rows: int = 1_000_000,
    peer_python: str | None = None,
    results: str = "benchmarks/results",
) -> None:
    """Generate rows, clean and build them, and write what it took as JSON.

    Args:
        folder: Where everything is written, on a disk with 10 GB free; generated rows stay there
            for the next run, the rest is removed.
        tokenizer_file: Llama 3's tokenizer.model.
        rows: How many rows.
        peer_python: A Python with datasets and tiktoken, to do the same with datasets.map.
        results: The directory of the JSON file.
    """
    place = Path(folder).expanduser()
    place.mkdir(parents=True, exist_ok=True)
    every = place / f"rows-{rows}.jsonl"
    if not every.is_file():
        write_rows(every, rows)
    measured = []
    for count in (rows // 10, rows):
        source = place / f"first-{count}.jsonl"
        with every.open("rb") as lines, source.open("wb") as target:
            target.writelines(islice(lines, count))
        measured += _measure_all(place, source, count, tokenizer_file, peer_python)
    _report(measured, every, Path(results))


def _measure_all(
    place: Path, source: Path, count: int, tokenizer_file: str, peer_python: str | None
) -> list[Measurement]:
    """Clean and build a file, let the peer do what building did, and remove what they wrote."""
    cleaned, built, peers = place / "cleaned.jsonl", place / "built", place / "peer"
    tokenizer = ("--tokenizer-file", tokenizer_file)
    commands = {
        "clean": _script("clean_dataset", "--source-file", source, "--save-file", cleaned),
        "build": _script(
            "build_dataset", "--source-file", cleaned, *tokenizer, "--save-dir", built
        ),
    }
    if peer_python:
        cores = len(os.sched_getaffinity(0))
        peer = (peer_python, str(ROOT / "benchmarks" / "datasets_map.py"))
        flags = ("--source-file", str(cleaned), *tokenizer, "--save-dir", str(peers))
        commands["datasets.map"] = [*peer, *flags, "--processes", str(cores)]
    measured = [measure(what, command, count) for what, command in commands.items()]
    source.unlink()
    for path in (cleaned, cleaned.with_suffix(".report.json")):
        path.unlink()
    for directory in (built, peers):
        shutil.rmtree(directory, ignore_errors=True)
    return measured


def _script(name: str, *flags: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, flags)]


def measure(what: str, command: Sequence[str], rows: int) -> Measurement:
    """Run a command and watch the memory of all its processes."""
    peak, started, spent = 0, time.monotonic(), os.times()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as child:
        while child.poll() is None:
            peak = max(peak, sum(map(pss_bytes, family(child.pid))))
            time.sleep(SAMPLE_SECONDS)
    if child.returncode:
        raise ValueError(f"{what} ended with exit code {child.returncode}, wanted 0")
    now = os.times()
    cpu = now.children_user + now.children_system - spent.children_user - spent.children_system
    return Measurement(what, rows, round(time.monotonic() - started, 1), round(cpu, 2), peak)


def family(process: int) -> list[int]:
    """Return a process and all that came from it."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        texts = [(task / "children").read_text() for task in tasks]
    except (FileNotFoundError, ProcessLookupError):
        return []
    children = [int(child) for text in texts for child in text.split()]
    return [process, *(process for child in children for process in family(child))]


def pss_bytes(process: int) -> int:
    """Return the memory of a process, shared pages by their share; 0 once it has ended."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kilobytes = [line.split()[1] for line in text.splitlines() if line.startswith("Pss:")]
    return int(kilobytes[0]) * 1024 if kilobytes else 0


def _report(measured: Sequence[Measurement], rows: Path, results: Path) -> None:
    table = Table("what", "rows", "wall s", "CPU s", "rows by CPU s", "peak PSS")
    for measurement in measured:
        table.add_row(
            measurement.what,
            f"{measurement.rows:,}",
            f"{measurement.wall_seconds:.0f}",
            f"{measurement.cpu_seconds:.0f}",
            f"{measurement.per_core_second:,.0f}",
            f"{measurement.peak_pss_bytes / 2**20:,.0f} MiB",
        )
    Console().print(table)
    record = {
        **about_run(),
        "command": "python benchmarks/build_million.py --folder F --tokenizer-file F",
        "rows_bytes": rows.stat().st_size,
        "measurements": [
            {**asdict(measurement), "rows_per_cpu_second": round(measurement.per_core_second)}
            for measurement in measured
        ],
    }
    results.mkdir(parents=True, exist_ok=True)
    most = max(measurement.rows for measurement in measured)
    file = results / f"build_{most}_{record['date']}.json"
    write_json(file, record)
    print(f"written to {file}")


if __name__ == "__main__":
    run(main)
