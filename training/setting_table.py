"""Every setting of a run with its values, default and sentence, for a page of reference."""

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from storage.json_file import read_json_object

_KINDS = {str: "text", int: "whole number", float: "number", bool: "true, false"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted name, what it may be, its default as in JSON between backticks, what
    it does."""

    name: str
    values: str
    default: str
    sentence: str


@dataclass(frozen=True)
class SettingGroup:
    """A section: its dotted name, empty for the settings of no section, and what it is for.

    given: Whether it is there by default; the others are null until one of their settings is given.
    """

    name: str
    about: str
    given: bool
    settings: tuple[Setting, ...]


def setting_groups(section: type, name: str = "", given: bool = True) -> Iterator[SettingGroup]:
    """Yield a section with its own settings, then the sections inside it, in their order."""
    about, sentences = read_docstring(section)
    fields: dict[str, FieldInfo] = section.__pydantic_fields__  # type: ignore[attr-defined]
    prefix = f"{name}." if name else ""
    inner = {key: found for key, field in fields.items() if (found := _section_of(field))}
    yield SettingGroup(
        name,
        about,
        given,
        tuple(
            Setting(prefix + key, _values(field), _default(field), sentences.get(key, ""))
            for key, field in fields.items()
            if key not in inner
        ),
    )
    for key, found in inner.items():
        there = fields[key].is_required() or _default(fields[key]) != "`null`"
        yield from setting_groups(found, prefix + key, there)


def read_docstring(section: type) -> tuple[str, dict[str, str]]:
    """Return what a section's docstring says of all of it, and of each setting by its name."""
    about, sentences = "", {}
    # What a base class says of its settings holds in the class, too.
    for text in [base.__doc__ for base in reversed(section.__mro__) if base.__doc__]:
        first, *entries = re.split(r"\n\s*(?=[a-z_]+(?:, [a-z_]+)*: )", inspect.cleandoc(text))
        about = " ".join(first.split())
        for names, _, sentence in (entry.partition(": ") for entry in entries):
            sentences.update({name: " ".join(sentence.split()) for name in names.split(", ")})
    return about, sentences


def _section_of(field: FieldInfo) -> type | None:
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if hasattr(kind, "__pydantic_fields__")), None)


def _values(field: FieldInfo) -> str:
    limits = [
        f"{words} {json.dumps(limit)}"
        for metadata in field.metadata
        for name, words in _BOUNDS.items()
        if (limit := getattr(metadata, name, None)) is not None
    ]
    kinds = _kind(field.annotation).removesuffix(", null")
    null = ", null" if kinds != _kind(field.annotation) else ""
    return f"{kinds} {', '.join(limits)}".strip() + null


def _kind(annotation: Any) -> str:
    """Return what values an annotation takes, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _KINDS:
        return _KINDS[annotation]
    if annotation is type(None):
        return "null"
    if origin is Literal:
        return ", ".join(inner)
    if origin is typing.Annotated:
        return _kind(inner[0])
    if origin in (typing.Union, types.UnionType):
        return ", ".join(map(_kind, inner))
    return "object" if origin is dict else "list"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if hasattr(value, "__pydantic_fields__") else f"`{json.dumps(value)}`"


def help_groups(section: type, file: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each section's title, and its settings as flags with a sentence, as --help has them.

    `file` is the configuration that the command reads where it is told none.
    """
    others = other_values(section, file)
    for group in setting_groups(section):
        title = ": ".join(filter(None, (group.name, group.about.rstrip("."))))
        yield title, [(f"--{s.name}", _told(s, file, others)) for s in group.settings]


def other_values(section: type, file: str) -> dict[str, str]:
    """Return what a configuration file says otherwise than the defaults, as they are written.

    Nothing where the file is not there.
    """
    values = dict(_flattened(read_json_object(Path(file)))) if Path(file).is_file() else {}
    defaults = {s.name: s.default for group in setting_groups(section) for s in group.settings}
    written = {name: f"`{json.dumps(value)}`" for name, value in values.items() if name in defaults}
    return {name: text for name, text in written.items() if text != defaults[name]}


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        yield prefix + key, value
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{key}.")


def _told(setting: Setting, file: str, others: Mapping[str, str]) -> str:
    default = _bare(setting.default)
    ending = default if default == "required" else f"default: {default}"
    if setting.name in others:
        ending += f"; {file} has {_bare(others[setting.name])}"
    return f"{setting.sentence} [{setting.values}; {ending}]"


def _bare(written: str) -> str:
    return written.strip("`").strip('"')
