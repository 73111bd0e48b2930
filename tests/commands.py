"""Run a command's function as its script would, in this process: flags in, text and code out."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from console.command import run


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    error: str


def run_command(
    command: Callable[..., str | None],
    arguments: list[object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Outcome:
    """Run `command` with these command-line arguments."""
    monkeypatch.setattr("sys.argv", ["script.py", *map(str, arguments)])
    capsys.readouterr()
    code = 0
    try:
        run(command)
    except SystemExit as left:
        code = int(left.code or 0)
    printed = capsys.readouterr()
    return Outcome(code, printed.out, printed.err)
