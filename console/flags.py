"""What may stand on a command line: known flags, each with a value of its kind, nothing else."""

import difflib
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from console.spellings import SPELLINGS

# From this share of equal characters on, a name may have been meant.
_ALIKE = 0.6
WORDS_FOR_BOOL = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class UsageError(Exception):
    """The command line itself is wrong."""


def check_flags(
    command: Callable[..., object], arguments: list[str], spelled: Mapping[str, str] | None = None
) -> None:
    """Raise UsageError for what the command does not take; fire would notice it after the work.

    Values that stand without a flag fill the required flags in their order. `spelled` holds how
    flags were spelled, as `own_spellings` returns it.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(command).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    given, words = _split(arguments)
    if len(parameters) == len(inspect.signature(command).parameters):
        _check_known(given, list(parameters))
    for name in given:
        if name in parameters and given[name] is None and kind_of(command, name) in (str, Path):
            raise UsageError(f"{flag_of((spelled or {}).get(name, name))} wants a value")
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in given
    ]
    if len(words) > len(missing):
        raise UsageError(f"unexpected {words[len(missing)]!r}; every value follows its flag")
    if missing[len(words) :]:
        raise UsageError("missing " + ", ".join(map(flag_of, missing[len(words) :])))


def other_spellings(command: Callable[..., object], name: str) -> list[str]:
    """Return what else a flag of a command may be called; its other flags keep their names."""
    parameters = inspect.signature(command).parameters
    return [spelling for spelling in SPELLINGS.get(name, ()) if spelling not in parameters]


def typed_name(name: str) -> str:
    """Return a flag's name as it is typed: a parameter named as a word of Python ends with `_`."""
    return name.removesuffix("_")


def own_spellings(
    command: Callable[..., object], arguments: list[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the arguments in the command's own spellings, and how each flag was spelled.

    Raises UsageError where one flag is given in two spellings.
    """
    names = {
        spelling: name
        for name in inspect.signature(command).parameters
        for spelling in (typed_name(name), *other_spellings(command, name))
    }
    spelled: dict[str, str] = {}
    own = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        spelling = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or spelling not in names:
            own.append(argument)
            continue
        name = names[spelling]
        if spelled.setdefault(name, spelling) != spelling:
            both = f"{flag_of(spelled[name])} and {flag_of(spelling)}"
            raise UsageError(f"{both} are one flag in two spellings; give one of them")
        own.append(f"--{name if name.endswith('_') else flag_of(name)[2:]}{equals}{value}")
    return own, spelled


def value_readers(
    command: Callable[..., object], spelled: Mapping[str, str] | None = None
) -> dict[str, Callable[[str], Any]]:
    """Return for each flag how its text is read; UsageError where it is not of the flag's kind.

    `spelled` holds how flags were spelled, for the error.
    """
    read: dict[str, Callable[[str], Any]] = {}
    for name in inspect.signature(command).parameters:
        kind = kind_of(command, name)
        if kind in (str, Path):
            # A shell does not expand the `~` of --flag=~/file.
            read[name] = os.path.expanduser
        elif kind in _NUMBERS:
            read[name] = partial(_read, (spelled or {}).get(name, name), kind)
    return read


def kind_of(command: Callable[..., object], name: str) -> Any:
    """Return the type of a flag's value; `int | None` counts as int, a choice of texts as str."""
    kind = _annotation(command, name)
    return str if typing.get_origin(kind) is typing.Literal else kind


def choices_of(command: Callable[..., object], name: str) -> tuple[str, ...]:
    """Return the values that a flag takes where its type lists them, else none."""
    kind = _annotation(command, name)
    return typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()


def _annotation(command: Callable[..., object], name: str) -> Any:
    kind = typing.get_type_hints(command).get(name)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kinds = [part for part in typing.get_args(kind) if part is not type(None)]
        return kinds[0] if len(kinds) == 1 else None
    return kind


def check_idle_flags(flags: Mapping[str, Any], goes_with: Mapping[str, str]) -> None:
    """Raise UsageError for a flag without effect: it goes with another one, which is not given."""
    for name, other in goes_with.items():
        if flags.get(name) and not flags.get(other):
            raise UsageError(f"{flag_of(name)} goes with {flag_of(other)}, which is not given")


def flag_of(name: str) -> str:
    """Return `--save-file` for save_file, and `--training.batch_size` as it stands."""
    return "--" + (name if "." in name else typed_name(name).replace("_", "-"))


def listed(text: str | None) -> list[str]:
    """Return what a flag names with commas between; nothing where it is not given."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def check_known(flag: str, value: str, known: Iterable[str]) -> None:
    """Raise UsageError for a value that a flag does not take."""
    known = list(known)
    if value not in known:
        close = nearest(value, known)
        meant = f" (did you mean {' or '.join(close)}?)" if close else ""
        raise UsageError(f"{flag}: there is no {value!r}{meant}; there are {', '.join(known)}")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names most like `name`, several where they are equally so, or none.

    The last part of a dotted name counts as the name too: `output_dir` is like
    `logging.output_dir`.
    """
    alike = {
        other: max(
            difflib.SequenceMatcher(None, name, text).ratio()
            for text in (other, other.rpartition(".")[2])
        )
        for other in known
    }
    best = max(alike.values(), default=0.0)
    return [other for other, share in alike.items() if share == best >= _ALIKE]


def unknown_flag(name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown flag, with the nearest known ones."""
    close = " or ".join(map(flag_of, nearest(name, known)))
    return UsageError(f"unknown flag {flag_of(name)}" + (f"; did you mean {close}?" * bool(close)))


def _split(arguments: list[str]) -> tuple[Mapping[str, str | None], list[str]]:
    """Return the flags with their values (None: nothing follows), and the words without a flag."""
    given: dict[str, str | None] = {}
    words = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument.startswith("--") and len(argument) > 2:
            name, equals, value = argument[2:].partition("=")
            follows = not equals and bool(rest) and not rest[0].startswith("--")
            given[name.replace("-", "_")] = value if equals else rest.pop(0) if follows else None
        elif argument.startswith("-"):
            raise UsageError(f"unknown flag {argument}")
        else:
            words.append(argument)
    return given, words


def _check_known(given: Mapping[str, str | None], known: list[str]) -> None:
    # fire also reads --noflag as flag=False
    unknown = sorted(
        name for name in given if name not in known and name.removeprefix("no") not in known
    )
    if unknown:
        others = (spelling for name in known for spelling in SPELLINGS.get(name, ()))
        raise unknown_flag(unknown[0], dict.fromkeys((*known, *others)))


_NUMBERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (lambda text: WORDS_FOR_BOOL[text.lower()], "no value, or true or false"),
}


def _read(name: str, kind: Any, text: str) -> Any:
    read, wanted = _NUMBERS[kind]
    try:
        return read(text)
    except (ValueError, KeyError):
        found = "nothing" if text == "True" else repr(text)
        raise UsageError(f"{flag_of(name)} wants {wanted}, found {found}") from None
