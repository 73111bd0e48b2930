"""What every setting says of itself: its section, its sentence, its values, its default."""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from training.config import Config

# Where a docstring begins to tell of settings: one name, or several, and a colon.
_ENTRY = re.compile(r"\n(?=[a-z_]+(?:, [a-z_]+)*: )")


def setting_groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each section's title, and its settings as flags, each with its sentence."""
    return list(_groups(Config, "", ""))


def _groups(
    section: type[BaseModel], prefix: str, name: str
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    about, sentences = _told(section)
    inner = []
    settings = []
    for setting, field in section.__pydantic_fields__.items():
        sections = [kind for kind in _kinds(field) if hasattr(kind, "__pydantic_fields__")]
        inner += [(kind, f"{prefix}{setting}.") for kind in sections]
        if not sections:
            flag = f"--{prefix}{setting}"
            settings.append((flag, " ".join(filter(None, _sentences(setting, field, sentences)))))
    yield f"{name}: {about}" if name else about, settings
    for kind, where in inner:
        yield from _groups(kind, where, where[:-1])


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    return (field.annotation, *get_args(field.annotation))


def _told(section: type[BaseModel]) -> tuple[str, dict[str, list[str]]]:
    """Return what a section's docstring says of it all, and of each of its settings."""
    about, *entries = _ENTRY.split(inspect.cleandoc(section.__doc__ or ""))
    for base in section.__bases__:
        entries += _ENTRY.split(inspect.cleandoc(base.__doc__ or ""))[1:]
    sentences: dict[str, list[str]] = {}
    for entry in entries:
        names, _, sentence = " ".join(entry.split()).partition(": ")
        for name in names.split(", "):
            sentences.setdefault(name, []).append(sentence)
    return " ".join(about.split()).rstrip("."), sentences


def _sentences(name: str, field: FieldInfo, told: dict[str, list[str]]) -> list[str]:
    choices = [
        str(value)
        for kind in _kinds(field)
        if get_origin(kind) is Literal
        for value in get_args(kind)
    ]
    given = f"One of {', '.join(choices)}." if len(choices) > 1 else ""
    return [*told.get(name, []), given, _default(field)]


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "Required."
    return f"Default: {default if isinstance(default, str) else json.dumps(default)}."
