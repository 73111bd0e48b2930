"""A command at a real pseudo-terminal: keys are pressed, and what appears is read."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
CTRL_C, CTRL_D = "\x03", "\x04"
# Makes the terminal the one whose Ctrl-C reaches the process, which heeds it even when the tests
# run in the background and ignore it, then becomes the command.
_TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")
_SECONDS = 30.0


class Terminal:
    """The keyboard and the screen of a running command."""

    def __init__(self, process: subprocess.Popen[bytes], file: int) -> None:
        self.process = process
        self.raw = ""
        self._file, self._seen = file, 0

    @property
    def text(self) -> str:
        """All that has appeared, without colours and movements."""
        return _ESCAPES.sub("", self.raw)

    def press(self, keys: str) -> None:
        """Press keys; a line ends with a newline."""
        os.write(self._file, keys.encode())

    def until(self, wanted: str) -> str:
        """Read until a text appears after what was last waited for; return what came up to it."""
        end = time.monotonic() + _SECONDS
        while (place := self.text.find(wanted, self._seen)) < 0:
            if time.monotonic() > end or not self._read(end - time.monotonic()):
                raise AssertionError(f"{wanted!r} did not appear in:\n{self.text[-2000:]}")
        begin, self._seen = self._seen, place + len(wanted)
        return self.text[begin : self._seen]

    def end(self) -> int:
        """Read until the command has ended; return its exit code."""
        end = time.monotonic() + _SECONDS
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(timeout=_SECONDS)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._file], [], [], max(seconds, 0))[0]:
            return False
        try:
            piece = os.read(self._file, 65536)
        except OSError:  # what Linux says when nobody holds the other side any more
            return False
        self.raw += piece.decode(errors="replace")
        return bool(piece)


@contextmanager
def at_terminal(arguments: Sequence[object]) -> Iterator[Terminal]:
    """Run a Python script of this project at a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", _TAKE_TERMINAL, sys.executable, *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)
