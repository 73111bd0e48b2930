"""Run a function as a command: fire reads the flags, errors are one line, exit codes are kept.

Exit codes: 0 the work is whole, 1 it is not, 2 the command line is wrong, 130 interrupted,
141 nobody reads what is printed, 143 terminated.
"""

import errno
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from console.flags import (
    UsageError,
    check_flags,
    flag_of,
    own_spellings,
    value_readers,
)
from console.help import Group, help_text
from console.output import Console, be_quiet, printable_streams
from console.printable import printable
from storage.manifest import TRUST_FILES

HELP_FLAGS = {"-h", "--help"}
TRUST_FLAG = "--trust-files"
# The command that has all others; console/commands.py.
PROGRAM = "llama-tools"
# How long a process waits for another to print an error, in seconds; launchers kill after 30.
ERROR_GRACE_SECONDS = 3.0
# The disk, a user's share of it, or what one file may be.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAKE_ROOM = (
    "; make room, or write to another disk, and run the same command again "
    "(training: with --resume)"
)


class RankError(ValueError):
    """An error that is printed by the process that raises it, first of its machine or not."""


def run(
    command: Callable[..., str | None],
    launcher: str = "python",
    settings: Callable[[], Iterable[Group]] = tuple,
    outlives_output: bool = False,
    reads_written: bool = True,
) -> None:
    """Run `command` with the flags in sys.argv and leave with its exit code.

    `launcher` starts it, for its help; `settings` gives what its help says after its own flags.
    Where a launcher starts several processes, the first of each machine prints errors; a RankError
    is printed by the process that raised it. Where nobody reads its stdout any more, the command
    ends, or goes on if it outlives its output. What a command returns is its answer in one line,
    which --quiet alone prints: without it the command has printed more. A command
    that `reads_written`, files that another command wrote with their hashes, takes --trust-files.
    """
    # SystemExit lets context managers remove what is half-written.
    signal.signal(
        signal.SIGTERM,
        lambda *_: _leave("terminated", 128 + signal.SIGTERM, _first_of_machine()),
    )
    with one_line_errors(outlives_output):
        arguments = [word for word in sys.argv[1:] if word not in ("--debug", "--quiet")]
        if HELP_FLAGS & set(arguments):
            print(help_text(command, _invocation(launcher), settings(), reads_written))
            return
        if reads_written and TRUST_FLAG in arguments:
            arguments.remove(TRUST_FLAG)
            os.environ[TRUST_FILES] = "1"
        arguments, spelled = own_spellings(command, arguments)
        check_flags(command, arguments, spelled)
        if "--quiet" not in sys.argv[1:]:
            _call(command, arguments, spelled)
            return
        before = be_quiet()
        if answer := _call(command, arguments, spelled):
            with os.fdopen(before, "w", encoding="utf-8") as stdout:
                stdout.write(printable(answer) + "\n")


@contextmanager
def one_line_errors(outlives_output: bool = False) -> Iterator[None]:
    """Turn an exception into one line and an exit code; --debug shows the traceback too.

    What is printed meanwhile is made printable; for `outlives_output` see `run`.
    """
    with printable_streams(outlives_output), _errors_in_one_line():
        yield


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _leave("interrupted", 130, _first_of_machine())
    except UsageError as error:
        message = f"{error}; see: {_invocation('python')} --help"
        _leave(message, 2, _first_of_machine())
    except Exception as error:
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        _leave(one_line(error), 1, isinstance(error, RankError) or _first_of_machine())


def _invocation(launcher: str) -> str:
    """Return how this command is typed, without its flags."""
    name, _, command = sys.argv[0].partition(" ")
    if Path(name).name == PROGRAM:
        return f"{PROGRAM} {command}".rstrip()
    return f"{launcher} {sys.argv[0]}"


def print_error(message: str) -> None:
    """Print the one line of an error, where a process ends without raising it."""
    print(f"error: {message}", file=sys.stderr, flush=True)


def print_next(*commands: str) -> None:
    """Print the command a user would type next."""
    console = Console()
    console.print("\nNext:", style="bold")
    for command in commands:
        console.print(f"  {command}", soft_wrap=True)


def shell_quote(path: Path | str) -> str:
    """Return a path as it is typed in a shell: in quotes where it needs them."""
    home, rest = ("~/", str(path)[2:]) if str(path).startswith("~/") else ("", str(path))
    return home + shlex.quote(rest)


def typed_flags(values: Mapping[str, Any]) -> str:
    """Return flags with their values as they are typed; those that are None are left out."""
    given = {name: value for name, value in values.items() if value is not None}
    return " ".join(f"{flag_of(name)} {shell_quote(str(value))}" for name, value in given.items())


def _call(
    command: Callable[..., str | None], arguments: list[str], spelled: Mapping[str, str]
) -> str | None:
    import fire
    from fire.core import FireExit
    from fire.decorators import SetParseFns

    # fire reads values as Python literals; a path or a name must stay the text that was typed.
    read = SetParseFns(**value_readers(command, spelled))(command)
    try:
        name = Path(sys.argv[0]).name
        # Else fire would print what the command returns.
        returned: str | None = fire.Fire(read, arguments, name, serialize=lambda _: None)
        return returned
    except FireExit as left:
        sys.exit(left.code)


def one_line(error: BaseException) -> str:
    """Return an error as the one line that is printed of it.

    What files hold may be part of it, so control characters are replaced.
    """
    try:
        text = str(error)
    except Exception:
        text = ""
    message = printable(" ".join(text.split())) or "no message"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        # Where a copy or a rename failed, the second name is what was to be written.
        line = printable(f"{error.filename2 or error.filename}: {error.strerror}")
        return line + (_MAKE_ROOM if error.errno in _NO_ROOM else "")
    if isinstance(error, RecursionError):
        return "a file that was read is nested too deep (run again with --debug to see which)"
    if isinstance(error, (ValueError, OSError)):
        return message
    return f"{type(error).__name__}: {message} (run again with --debug for the traceback)"


def _first_of_machine() -> bool:
    """Return whether no launcher started this process, or it is the first of its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _leave(message: str, code: int, prints: bool) -> None:
    if prints:
        print_error(message)
    elif code < 128:
        # A launcher terminates all processes when one ends: give the first time to print.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(ERROR_GRACE_SECONDS)
    sys.exit(code)
