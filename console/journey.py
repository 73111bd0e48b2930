"""Run commands one after the other, each printed as it is typed, and stop at the first failure."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from console.output import Console


@dataclass(frozen=True)
class Stage:
    """One command: what `program` is given, and how to say what came out in the directory given.

    typed: A file whose lines the command reads as if somebody typed them.
    more: Returns further flags for the directory given, such as those that go on with what an
        interrupted run left there.
    """

    title: str
    command: str
    outcome: Callable[[Path], str]
    program: str = "python"
    typed: str | None = None
    more: Callable[[Path], str] = lambda output: ""

    @property
    def line(self) -> str:
        """The command as it is typed."""
        return f"{self.program} {self.command}{f' < {self.typed}' if self.typed else ''}"


@dataclass(frozen=True)
class Done:
    """What one stage took and what came out."""

    title: str
    command: str
    seconds: float
    outcome: str


def run_journey(
    stages: Iterable[Stage],
    output: Path,
    root: Path,
    earlier: Sequence[Done] = (),
    count: int | None = None,
) -> Iterator[Done]:
    """Run each command in `root`, with this Python; leave with the exit code of one that fails.

    Commands that `earlier` begins with were run before and are not run again. A stage is taken from
    `stages` when the one before is done; `count` is then how many there will be.
    """
    console = Console()
    if count is None:
        stages = list(stages)
        count = len(stages)
    kept = list(earlier)
    for number, stage in enumerate(stages, 1):
        console.print()
        console.rule(f"{number} of {count}: {stage.title}")
        done_before = bool(kept) and kept[0].command == stage.line
        command = stage.command if done_before else stage.command + stage.more(output)
        line = replace(stage, command=command).line
        console.print(f"$ {line}\n", style="bold", soft_wrap=True)
        if done_before:
            done = kept.pop(0)
            console.print(f"done before: {done.outcome}", soft_wrap=True)
            yield done
            continue
        kept.clear()
        start = time.perf_counter()
        _run(replace(stage, command=command), root)
        seconds = time.perf_counter() - start
        yield Done(stage.title, stage.line, seconds, stage.outcome(output))


def _run(stage: Stage, root: Path) -> None:
    # Waiting OpenMP threads spin this long. Without spinning, a second thread hardly helps; with
    # endless spinning, training is several times slower on a machine with other work.
    environment = {"GOMP_SPINCOUNT": "5000", **os.environ}
    program = sys.executable
    if stage.program != "python":
        # Installed beside this Python, wherever the PATH leads.
        program = str(Path(sys.executable).with_name(stage.program))
    words = [program, *shlex.split(stage.command)]
    with open(root / stage.typed if stage.typed else os.devnull, "rb") as stdin:
        code = subprocess.run(words, cwd=root, env=environment, stdin=stdin).returncode
    if code:
        print(f"error: {stage.line} ended with exit code {code}", file=sys.stderr)
        raise SystemExit(code if code > 0 else 128 - code)


def closing_table(done: Sequence[Done]) -> Table:
    """Return a table of the stages: seconds and what came out."""
    table = Table()
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("what came out")
    for stage in done:
        table.add_row(stage.title, f"{stage.seconds:.1f}", stage.outcome)
    table.add_section()
    table.add_row("all", f"{sum(stage.seconds for stage in done):.1f}", "")
    return table
