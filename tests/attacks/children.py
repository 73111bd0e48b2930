"""Run a command in a child of this process, which has read the libraries already."""

import contextlib
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
# What most commands import; a child finds it read.
LIBRARIES = ("fire", "numpy", "torch", "pydantic", "safetensors.torch", "tokenizers", "tiktoken")
LIBRARIES += ("jsonschema", "rich.console", "torch._dynamo")
MODULES = ("training.setup", "training.config", "evaluation.base", "data.cleaning.clean_file")
MODULES += ("data.building.dataset", "weights.merge", "inference.chat_model")
# Files for what a command prints, in the order of its file descriptors 1 and 2.
PRINTED = ("out", "error")
# A file for the bytes of memory that a child begins with: what it shares with this process.
AT_START = "at_start"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, negative for a signal and None when it hung.

    The seconds are counted from its begin, or from when it had made what `run_command` was told.
    `peak_bytes` is its largest memory above what it had at its start, 0 where nobody measured it.
    """

    code: int | None
    out: str
    error: str
    seconds: float
    peak_bytes: int = 0


class Clock:
    """When a command is to be killed, counted in seconds from when a place is there."""

    def __init__(self, begun: Path, seconds: float, kill_after: float | None) -> None:
        self._begun, self._seconds, self._kill_after = begun, seconds, kill_after
        self._start = time.monotonic()
        self._counted_from: float | None = None

    def counted(self) -> float:
        """Return the seconds since the place is there, 0 before."""
        now = time.monotonic()
        if self._counted_from is None and self._begun.exists():
            self._counted_from = now
        return 0.0 if self._counted_from is None else now - self._counted_from

    def kills(self) -> bool:
        """Return whether the moment to kill has come."""
        counted = self.counted()
        return (
            self._kill_after is not None
            and self._counted_from is not None
            and counted >= self._kill_after
        )

    def is_over(self) -> bool:
        """Return whether the moment to kill has come, or the command hangs."""
        return self.kills() or time.monotonic() - self._start >= self._seconds


def import_once() -> None:
    """Import here what commands need, so that each of many children starts at once."""
    for name in LIBRARIES + MODULES:
        # What is not installed stays out; a command that needs it says so itself.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def run_command(
    module: str,
    flags: Sequence[str],
    folder: Path,
    kill_after: float | None = None,
    seconds: float = 180,
    largest_file: int | None = None,
    begun: str = "",
) -> Ended:
    """Run the command `module` in `folder`; kill it after `kill_after` seconds, or when it hangs.

    Those seconds are counted from when the place `begun` is there, if one is named.
    `largest_file` is the number of bytes at which a file it writes is full.
    """
    clock = Clock(folder / begun, seconds, kill_after)
    notes = folder.parent / f"{folder.name}.printed"
    notes.mkdir(exist_ok=True)
    for name in (*PRINTED, AT_START):
        (notes / name).write_text("")
    child = os.fork()
    if child == 0:
        _become(module, flags, folder, notes, largest_file)
    code = None
    peak_bytes = 0
    while code is None and not clock.is_over():
        found, status, used = os.wait4(child, os.WNOHANG)
        peak_bytes = used.ru_maxrss * 1024
        code = os.waitstatus_to_exitcode(status) if found else None
        time.sleep(0.002)
    if code is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        code = -signal.SIGKILL if clock.kills() else None
    texts = [(notes / name).read_text(errors="replace") for name in PRINTED]
    above = max(0, peak_bytes - int((notes / AT_START).read_text() or 0))
    return Ended(code, *texts, clock.counted(), above)


def _become(
    module: str, flags: Sequence[str], folder: Path, notes: Path, largest_file: int | None
) -> None:
    """Be the command, and never return."""
    code = 70
    try:
        (notes / AT_START).write_text(str(psutil.Process().memory_info().rss))
        os.chdir(folder)
        for number, name in enumerate(PRINTED, 1):
            os.dup2(os.open(notes / name, os.O_WRONLY), number)
        if largest_file is not None:
            # Python ignores SIGXFSZ: the write fails with EFBIG.
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        with (
            open(1, "w", encoding="utf-8", closefd=False) as out,
            open(2, "w", encoding="utf-8", closefd=False) as error,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
        ):
            code = _run(module, flags)
    finally:
        os._exit(code)


def _run(module: str, flags: Sequence[str]) -> int:
    from console.command import run

    sys.argv = [f"{module.replace('.', '/')}.py", *flags]
    try:
        run(importlib.import_module(module).main)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(bool(left.code))
    except BaseException:
        traceback.print_exc()
        return 70
    return 0
