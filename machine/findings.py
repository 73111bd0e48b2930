"""What a check found, and how it is told in 80 columns."""

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from console.printable import printable

WIDTH = 80
State = Literal["ok", "note", "wrong", "none"]
# What stands before a line; "none" is a check that does not apply to this machine.
_MARKS = {"ok": "ok", "note": "note", "wrong": "WRONG", "none": "-"}
_NAME_WIDTH, _LONGEST = 24, 600
# What is not tried in a process of its own reads files of the project.
_FILES = "compare the project's files with what was committed: git status"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    todo: What to do about it, with the command, in one line; nothing where nothing is to be done.
    """

    name: str
    state: State
    detail: str
    todo: str = ""


def findings_of(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what a check found; one that fails is itself a finding."""
    try:
        return list(check())
    except (Exception, SystemExit) as error:
        return [Finding(name, "wrong", f"the check failed: {error_in_words(error)}", _FILES)]


def error_in_words(error: BaseException) -> str:
    """Return an error as one line, with its type where it is not ours to tell."""
    message = " ".join(str(error).split())
    ours = isinstance(error, (ValueError, OSError)) and message
    return (message if ours else f"{type(error).__name__}: {message}")[:_LONGEST]


def format_findings(title: str, findings: Iterable[Finding]) -> str:
    """Return a part of the report, with a line for each finding."""
    return "\n".join([title, *map(_format, findings)])


def todos_of(findings: Iterable[Finding]) -> list[str]:
    """Return what is to be done, each thing once; what is wrong and says no way is repeated."""
    wrong = [finding for finding in findings if finding.state == "wrong"]
    todos = [finding.todo or f"{finding.name}: {finding.detail}" for finding in wrong]
    return list(dict.fromkeys(map(_in_one_line, todos)))


def _format(finding: Finding) -> str:
    start = f"  {_MARKS[finding.state]:<5} {_in_one_line(finding.name):<{_NAME_WIDTH}} "
    # No word is broken, so that a path or a command can be copied.
    return (
        textwrap.fill(
            _in_one_line(finding.detail)[:_LONGEST],
            WIDTH,
            initial_indent=start,
            subsequent_indent=" " * (_NAME_WIDTH + 9),
            break_long_words=False,
            break_on_hyphens=False,
        )
        or start.rstrip()
    )


def _in_one_line(text: str) -> str:
    return printable(" ".join(text.split()))
