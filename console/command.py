"""Run a function as a command: fire reads the flags, errors are one line, exit codes are kept.

Exit codes: 0 the work is whole, 1 it is not, 2 the command line is wrong, 130 interrupted.
"""

import difflib
import inspect
import os
import re
import sys
import textwrap
import traceback
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

HELP_FLAGS = {"-h", "--help"}


def run(command: Callable[..., None]) -> None:
    """Run `command` with the flags in sys.argv and leave with its exit code."""
    with one_line_errors():
        arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
        if HELP_FLAGS & set(arguments):
            print(help_text(command, f"python {sys.argv[0]}"))
            return
        _check_flags(command, arguments)
        _call(command, arguments)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn an exception into one line and an exit code; --debug shows the traceback too."""
    try:
        yield
    except KeyboardInterrupt:
        _leave("interrupted", 130)
    except UsageError as error:
        _leave(f"{error}; see: python {sys.argv[0]} --help", 2)
    except Exception as error:
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        _leave(_one_line(error), 1)


class UsageError(Exception):
    """The command line itself is wrong."""


def print_next(*commands: str) -> None:
    """Print the command a user would type next."""
    console = Console(highlight=False)
    console.print("\n[bold]Next:[/bold]")
    for command in commands:
        console.print(f"  {command}", soft_wrap=True, markup=False)


def help_text(command: Callable[..., None], invocation: str) -> str:
    """Return the help of a command: what it does, and each flag with its sentence and default."""
    about, _, rest = inspect.cleandoc(command.__doc__ or "").partition("\n\nArgs:\n")
    sentences = {}
    for entry in re.split(r"\n(?=    \S)", "\n" + rest)[1:]:
        name, _, sentence = entry.partition(":")
        sentences[name.strip().lstrip("*")] = " ".join(sentence.split())
    flags = []
    for name, parameter in inspect.signature(command).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            flags.append(("--section.key=value", sentences.get(name, "")))
            continue
        value = "" if parameter.default is False else f" {name.split('_')[-1].upper()}"
        ending = _default_note(parameter.default)
        flags.append((_flag(name) + value, sentences.get(name, "") + ending))
    flags.append(("--debug", "Show the traceback of an error."))
    width = max(len(flag) for flag, _ in flags)
    lines = [
        textwrap.fill(
            sentence,
            100,
            initial_indent=f"  {flag:<{width}}  ",
            subsequent_indent=" " * (width + 4),
        )
        for flag, sentence in flags
    ]
    return "\n".join([f"usage: {invocation} [flags]", "", about, "", *lines])


def _default_note(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return " Required."
    return "" if default is None or default is False else f" Default: {default}."


def _call(command: Callable[..., None], arguments: list[str]) -> None:
    import fire
    from fire.core import FireExit
    from fire.decorators import SetParseFns

    # fire reads values as Python literals; a path or a name must stay the text that was typed.
    hints = typing.get_type_hints(command)
    texts = {name: _as_typed for name, kind in hints.items() if _is_text(kind)}
    try:
        fire.Fire(SetParseFns(**texts)(command), command=arguments, name=Path(sys.argv[0]).name)
    except FireExit as left:
        sys.exit(left.code)


def _as_typed(text: str) -> str:
    """Return a text flag; a shell leaves the `~` of --flag=~/file for us to read."""
    return os.path.expanduser(text)


def _is_text(kind: Any) -> bool:
    if isinstance(kind, types.UnionType):
        return all(part in (str, Path, type(None)) for part in kind.__args__)
    return kind in (str, Path)


def _check_flags(command: Callable[..., None], arguments: list[str]) -> None:
    """Refuse unknown and missing flags before any work; fire would only notice them afterwards."""
    parameters = inspect.signature(command).parameters
    given = {
        argument[2:].split("=", 1)[0].replace("-", "_")
        for argument in arguments
        if argument.startswith("--") and len(argument) > 2
    }
    takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    # fire also reads --noflag as flag=False
    unknown = sorted(
        flag for flag in given if flag not in named and flag.removeprefix("no") not in named
    )
    if unknown and not takes_more:
        close = difflib.get_close_matches(unknown[0], named, n=1)
        hint = f"; did you mean {_flag(close[0])}?" if close else ""
        raise UsageError(f"unknown flag {_flag(unknown[0])}{hint}")
    positional = [a for a in arguments if not a.startswith("--")]
    required = [n for n in named if parameters[n].default is inspect.Parameter.empty]
    missing = [name for name in required if name not in given]
    if missing and not positional:
        raise UsageError("missing " + ", ".join(_flag(name) for name in missing))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _one_line(error: Exception) -> str:
    message = " ".join(str(error).split()) or "no message"
    if isinstance(error, (ValueError, OSError)):
        return message
    return f"{type(error).__name__}: {message} (run again with --debug for the traceback)"


def _leave(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
