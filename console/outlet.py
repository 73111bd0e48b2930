"""What lies beneath everything printed: stdout or stderr, and what happens when nobody reads it.

A command ends quietly then, as the tools of a shell do, with the exit code of SIGPIPE. One that
outlives its output, such as training, goes on and says so once on stderr. What cannot be written to
stderr is passed over: errors keep their exit codes.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import IO, Any


class Outlet:
    """A text stream whose first error of writing, an OSError, is given to `closed`.

    From then on the stream leads nowhere.
    """

    def __init__(self, stream: IO[str], closed: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._closed = closed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._close(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream beneath."""
        try:
            self._stream.flush()
        except OSError as error:
            self._close(error)

    def _close(self, error: OSError) -> None:
        _lead_nowhere(self._stream.fileno())
        self._closed(error)


def end_quietly(error: OSError) -> None:
    """End the command: stdout cannot be written to. Where a pipe is closed nothing is said."""
    if error.errno == errno.EPIPE:
        raise SystemExit(128 + signal.SIGPIPE)
    print(f"error: stdout: {error.strerror}", file=sys.stderr)
    raise SystemExit(1)


def go_on(error: OSError) -> None:
    """Say that stdout cannot be written to, and go on."""
    print(f"warning: stdout: {error.strerror}; the run goes on without it", file=sys.stderr)


def pass_over(error: OSError) -> None:
    """Do nothing: stderr cannot be written to."""


def open_closed_streams() -> None:
    """Let streams that were closed when the process started lead nowhere.

    Else the next file that is opened would be taken for one of them, and be written to.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            _lead_nowhere(number)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _lead_nowhere(number: int) -> None:
    """Point a file descriptor to /dev/null; programs that this one starts inherit it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
    os.set_inheritable(number, True)
