"""The help of a command: what it does, examples, and its flags in groups, in 80 columns."""

import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from console.flags import choices_of, flag_of, other_spellings, typed_name

# A title, and flags with their sentences.
Group = tuple[str, Sequence[tuple[str, str]]]

_WIDTH = 80
# Flags that are longer stand on a line of their own.
_COLUMN = 26
# What starts a command, where it stands as an example in a docstring.
_STARTS = ("python ", "deepspeed ", "make ")
_TRUST = ("--trust-files", "Take files that differ from their recorded hash as they are.")
_EVERY_COMMAND = (
    ("--quiet", "Print errors, warnings and the answer's one line: no tables, no progress."),
    ("--debug", "Show the traceback of an error."),
)


def help_text(
    command: Callable[..., object],
    invocation: str,
    more: Iterable[Group] = (),
    reads_written: bool = True,
) -> str:
    """Return the help of a command, from its docstring and its module's.

    The docstring's sections that hold parameters, `Args:` or others, are the groups; examples are
    the command lines in the module's docstring. `more` are groups that come after them.
    For `reads_written` see console.command.run.
    """
    about, groups = _sections(inspect.cleandoc(command.__doc__ or ""))
    parameters = inspect.signature(command).parameters
    told = {name for _, sentences in groups for name in sentences}
    rest = {name: "" for name in parameters if name not in told}
    if rest:
        groups.append(("Flags", rest))
    parts = [f"usage: {invocation} [flags]", textwrap.fill(" ".join(about.split()), _WIDTH)]
    if examples := _examples(command):
        parts.append("\n".join(["Examples:", *(f"  {line}" for line in examples)]))
    for title, sentences in groups:
        flags = [
            _flag(command, parameters[name], sentence)
            for name, sentence in sentences.items()
            if name in parameters
        ]
        parts.append(_group("Flags" if title == "Args" else title, flags))
    parts += [_group(title, flags) for title, flags in more]
    trust = [_TRUST] if reads_written else []
    parts.append(_group("Every command", [*trust, *_EVERY_COMMAND]))
    return "\n\n".join(parts)


def _sections(docstring: str) -> tuple[str, list[tuple[str, dict[str, str]]]]:
    """Return what stands before the first section, and each section's title and sentences."""
    about, *parts = re.split(r"\n\n([A-Z][^\n]*):\n(?=    \S)", docstring)
    groups = []
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        sentences = {}
        for entry in re.split(r"\n(?=    \S)", "\n" + body)[1:]:
            name, _, sentence = entry.partition(":")
            sentences[name.strip().lstrip("*")] = " ".join(sentence.split())
        groups.append((title, sentences))
    return about, groups


def _examples(command: Callable[..., object]) -> list[str]:
    """Return the lines of the module's docstring that are commands, with those they go on in."""
    module = sys.modules[command.__module__].__doc__ or ""
    found: list[str] = []
    continued = False
    for line in map(str.strip, module.splitlines()):
        if continued or line.startswith(_STARTS):
            found.append(f"    {line}" if continued else line)
            continued = line.endswith("\\")
    return found


def _flag(
    command: Callable[..., object], parameter: inspect.Parameter, sentence: str
) -> tuple[str, str]:
    """Return a flag with a word for its value, and its sentence with default and spellings."""
    if parameter.kind is parameter.VAR_KEYWORD:
        return "--section.key=value", sentence
    name = parameter.name
    word = "|".join(choices_of(command, name)) or typed_name(name).split("_")[-1].upper()
    value = "" if parameter.default is False else f" {word}"
    others = ", ".join(map(flag_of, other_spellings(command, name)))
    ending = _default_note(parameter.default) + (f" Also {others}." if others else "")
    return flag_of(name) + value, sentence + ending


def _default_note(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return " Required."
    return "" if default is None or default is False else f" Default: {default}."


def _group(title: str, flags: Sequence[tuple[str, str]]) -> str:
    lines = textwrap.wrap(f"{title}:", _WIDTH)
    for flag, sentence in flags:
        start = f"  {flag:<{_COLUMN - 4}}  "
        if len(start) > _COLUMN:
            lines.append(f"  {flag}")
            start = " " * _COLUMN
        lines += textwrap.wrap(
            sentence,
            _WIDTH,
            initial_indent=start,
            subsequent_indent=" " * _COLUMN,
            break_on_hyphens=False,
        ) or [start.rstrip()]
    return "\n".join(lines)
