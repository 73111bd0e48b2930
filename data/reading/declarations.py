"""Read the tool declarations of a row, their schemas brought to JSON Schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from chat.conversation import Tool
from chat.recurring import MOST_KEPT, read_once
from chat.schemas.validation import read_tool
from chat.strict_json import LENIENT_DECODER
from data.outcomes import Change, Rejected, excerpt_of, pointer
from data.reading.json_sequence import read_sequence
from data.reading.python_text import read_literal

RULE = "unreadable-tools"
_LEVELS = 3
# How Glaive writes one declaration after the other, and the longest that is kept, in characters.
_BETWEEN = "}\n\n{"
_LONGEST_KEPT = 4000
# One of them at least has an object that is a declaration.
_KEYS = frozenset(("name", "function", "type", "api_name"))
# How the keys of a tool are written elsewhere.
_OTHER_NAMES = {"api_name": "name", "api_description": "description"}


@dataclass(frozen=True)
class Declarations:
    """The tools of a row, and those left out because they are no functions."""

    tools: tuple[Tool, ...] = ()
    changes: tuple[Change, ...] = ()


def read_tools(value: Any, where: str) -> Declarations:
    """Read declarations: a list, JSON or Python text of one, or tools by name.

    `where` is their JSON pointer; inside a text it goes on as if that were decoded. The tools of a
    list may be texts themselves.
    """
    if isinstance(value, str) and value.startswith("{") and (known := _of_texts(value)):
        return known
    tools: list[Tool] = []
    changes: list[Change] = []
    for place, record in _records(value, where):
        if _is_built_in(record):
            changes.append(Change("tool-without-schema", place, record, None))
        else:
            tool, padding = _declared(record, place)
            tools.append(tool)
            if padding:
                changes.append(Change("null-padding", place, padding, ()))
    return Declarations(tuple(tools), tuple(changes))


def _of_texts(text: str) -> Declarations | None:
    """Read objects that stand one after the other, each of which is one tool and no more."""
    tools: list[Tool] = []
    parts = text.split(_BETWEEN)
    for i, part in enumerate(parts):
        alone = f"{'{' if i else ''}{part}{'}' if i + 1 < len(parts) else ''}"
        tool = _read_alone(alone) if len(alone) <= _LONGEST_KEPT else None
        if tool is None:
            return None
        tools.append(tool)
    return Declarations(tuple(tools))


@lru_cache(maxsize=MOST_KEPT)
def _read_alone(text: str) -> Tool | None:
    # Rows offer the same tools in ever other company.
    try:
        record = LENIENT_DECODER.decode(text)
        if not isinstance(record, dict) or not record.keys() & _KEYS or _is_built_in(record):
            return None
        tool, padding = _declared(record, "")
    except (ValueError, RecursionError, Rejected):
        return None
    return None if padding else tool


def _declared(record: Any, where: str) -> tuple[Tool, tuple[str, ...]]:
    """Return a declared tool, bare or wrapped, and the pointers to properties that are null."""
    if isinstance(record, Mapping) and "name" not in record and "api_name" in record:
        record = {_OTHER_NAMES.get(key, key): value for key, value in record.items()}
    try:
        return _read(record)
    except (ValueError, RecursionError) as error:
        raise Rejected(RULE, where, str(error), excerpt_of(record)) from error


@read_once
def _read(record: Any) -> tuple[Tool, tuple[str, ...]]:
    return read_tool(record), tuple(_null_properties(record, ""))


def _null_properties(value: Any, where: str) -> Iterator[str]:
    inside = value.items() if isinstance(value, Mapping) else enumerate(value)
    for step, inner in inside:
        place = where + pointer(step)
        if step == "properties" and isinstance(inner, Mapping):
            yield from (place + pointer(name) for name, schema in inner.items() if schema is None)
        if isinstance(inner, Mapping | list):
            yield from _null_properties(inner, place)


def decode_tools(text: str, where: str) -> Any:
    """Decode the text of declarations: JSON, objects one after the other, or Python's repr."""
    problem: Exception
    try:
        return LENIENT_DECODER.decode(text) if text.strip() else []
    except (ValueError, RecursionError) as error:
        problem = error
    for read in (partial(read_sequence, decoder=LENIENT_DECODER), read_literal):
        try:
            return read(text)
        except (ValueError, RecursionError):
            continue
    raise Rejected(RULE, where, f"the tools are not JSON: {problem}", text) from problem


def _records(value: Any, where: str, level: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the declarations with their places, decoding the texts among them."""
    if isinstance(value, str) and level < _LEVELS:
        yield from _records(decode_tools(value, where), where, level + 1)
    elif isinstance(value, list):
        for i, record in enumerate(value):
            if isinstance(record, str | list) and level < _LEVELS:
                yield from _records(record, where + pointer(i), level + 1)
            else:
                yield where + pointer(i), record
    elif isinstance(value, dict):
        yield from _of_object(value, where, level)
    elif value is not None:
        raise Rejected(RULE, where, "the tools must be a list", excerpt_of(value))


def _of_object(value: dict[str, Any], where: str, level: int) -> Iterator[tuple[str, Any]]:
    """Yield one declaration, those under a key of their own, or those given by name."""
    if value.keys() & _KEYS:
        yield where, value
        return
    for key in ("tools", "functions"):
        if key in value and level < _LEVELS:
            yield from _records(value[key], where + pointer(key), level + 1)
            return
    if not all(isinstance(record, dict) for record in value.values()):
        yield where, value
        return
    for name, record in value.items():
        yield where + pointer(name), {"name": name, **record}


def _is_built_in(record: Any) -> bool:
    """Whether this is a tool of the service that ran the conversation, which has no schema."""
    if not isinstance(record, Mapping) or record.keys() & {"function", "name", "api_name"}:
        return False
    return isinstance(record.get("type"), str) and record["type"] not in ("function", "object")
