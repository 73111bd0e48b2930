"""Read the text of a tool call as data sets write it, without ever evaluating it.

Arguments come as an object, as a string that holds one, encoded twice, as Python writes a dict, or
(Glaive) in single quotes: `{"name": "f", "arguments": '{"text": "it's"}'}`, which is not JSON. The
call may be wrapped (`{"id", "type", "function": {...}}`), its arguments called parameters, its name
`tool` or `recipient_name`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from chat.conversation import ToolCall
from chat.strict_json import call_decoder
from data.reading.json_sequence import read_sequence
from data.reading.python_text import read_call_expressions, read_literal

# How the tool of a call is named, and what holds its arguments.
NAME_KEYS = ("name", "tool", "tool_name", "function_name", "recipient_name", "action")
_KEYS = (
    *("arguments", "parameters", "args", "input", "params", "kwargs"),
    *("tool_input", "tool_arguments", "tool_args", "action_input"),
)
# Keys that may stand beside a call, and say nothing of it; ids are read, the rest is left out.
_BESIDE = frozenset(
    (
        *("id", "type", "index", "call_id", "tool_call_id", "status", "strict", "object"),
        *("parsed_arguments", "extra_content", "provider_specific_fields", "metadata"),
        *("signature", "thought_signature", "cache_control", "caller", "created_at"),
    )
)
# An object of one of these keys holds the calls of a turn.
_WRAPPERS = frozenset(("tool_uses", "tool_calls", "calls", "function_call", "function_calls"))
_HAS_ARGUMENTS = re.compile(rf"""["'](?:{"|".join(_KEYS)})["']\s*:""")
_NAME = r'"name"\s*:\s*(?P<name>"(?:[^"\\]|\\.)*")'
# Greedy: the quote that closes the arguments is the last one that the rest of the form allows.
_ARGUMENTS = r"\"(?:arguments|parameters)\"\s*:\s*'(?P<arguments>.*)'"
_QUOTED = tuple(
    re.compile(r"\s*\{\s*" + first + r"\s*,\s*" + second + r"\s*\}\s*", re.DOTALL)
    for first, second in ((_NAME, _ARGUMENTS), (_ARGUMENTS, _NAME))
)
_LEVELS = 3
# Marks of Python literals; a text without any of them is not tried as Python.
_PYTHON = ("'", "None", "True", "False")


@dataclass(frozen=True)
class ReadCall:
    """A call, and whether reading it took more than its data set's usual form."""

    call: ToolCall
    mended: bool = False


def read_call(text: str) -> ReadCall:
    """Read one call; ValueError says what is wrong with it."""
    # No JSON has this form; trying it first saves Glaive's calls an attempt in vain.
    for form in _QUOTED:
        if match := form.fullmatch(text):
            arguments, mended = _quoted_arguments(match["arguments"])
            name = match["name"]
            return _call(_loads(name) if "\\" in name else name[1:-1], arguments, mended)
    try:
        value = _loads(text)
    except ValueError as problem:
        if (value := _literal(text)) is not None:
            return replace(read_call_value(value), mended=True)
        raise ValueError(f"the call is not JSON: {problem}") from problem
    return read_call_value(value)


def read_calls(text: str) -> tuple[ReadCall, ...]:
    """Read one call, or those made in one turn: a list, or one after the other."""
    try:
        values = _loads(text)
    except ValueError:
        if text.lstrip().startswith("["):
            if (values := _literal(text)) is None:
                raise
            return tuple(replace(read, mended=True) for read in read_call_values(values))
    else:
        return read_call_values(values)
    try:
        return (read_call(text),)
    except ValueError:
        if (values := _one_after_the_other(text)) is None:
            raise
        return read_call_values(values)


def read_expressions(text: str) -> tuple[ReadCall, ...]:
    """Read calls as Python writes them, `f(a=1)`; ValueError for anything else."""
    return tuple(ReadCall(ToolCall(*call)) for call in read_call_expressions(text))


def has_arguments(text: str) -> bool:
    """Return whether a text of calls has a key of arguments, which no mere name has."""
    return _HAS_ARGUMENTS.search(text) is not None


def read_call_values(values: Any) -> tuple[ReadCall, ...]:
    """Read calls that were decoded already: a list of them, one, or an object around them."""
    if isinstance(values, dict) and len(values) == 1 and values.keys() <= _WRAPPERS:
        (values,) = values.values()
    if not isinstance(values, list):
        return (read_call_value(values),)
    if not values:
        raise ValueError("the list of calls is empty")
    return tuple(
        read_call(value) if isinstance(value, str) else read_call_value(value) for value in values
    )


def read_call_value(value: Any) -> ReadCall:
    """Read one call that was decoded already; ValueError says what is wrong with it."""
    if not isinstance(value, dict):
        raise ValueError(f"a call must be an object, found {_kind(value)}")
    outer = value
    if isinstance(value.get("function"), dict):
        _check_known(value, _BESIDE | {"function"})
        value = value["function"]
    elif isinstance(value.get("function"), str) and "name" not in value:
        value = {**value, "name": value["function"]}
        del value["function"]
    name_key = next((key for key in NAME_KEYS if value.get(key) is not None), "name")
    _check_known(value, _BESIDE.union((name_key, *_KEYS)))
    given = [key for key in _KEYS if key in value]
    if len(given) > 1:
        # A column of a table has every key for every row.
        given = [key for key in given if value[key] is not None]
    if len(given) > 1:
        raise ValueError(f"a call holds both {given[0]} and {given[1]}")
    arguments, mended = _arguments(value[given[0]]) if given else ({}, True)
    number = outer.get("id") or value.get("id")
    read = _call(value.get(name_key), arguments, mended)
    return replace(read, call=replace(read.call, id=None if number is None else str(number)))


def _check_known(value: dict[str, Any], known: frozenset[str]) -> None:
    unknown = [key for key in value if key not in known and value[key] is not None]
    if unknown:
        raise ValueError(f"a call holds name and arguments, found {unknown[0]!r} too")


def _literal(text: str) -> Any:
    """Return the value of a Python literal, or None."""
    try:
        return read_literal(text) if any(mark in text for mark in _PYTHON) else None
    except ValueError:
        return None


def _one_after_the_other(text: str) -> list[Any] | None:
    """Return several JSON objects that stand one after the other, or None."""
    try:
        found = read_sequence(text, _DECODER)
    except (ValueError, RecursionError):
        return None
    return found if len(found) > 1 else None


def _call(name: Any, arguments: dict[str, Any], mended: bool) -> ReadCall:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a call's name must be a string, found {_kind(name)}")
    return ReadCall(ToolCall(name, arguments), mended)


def _arguments(value: Any, level: int = 0) -> tuple[dict[str, Any], bool]:
    """Return arguments as an object; those encoded more than once count as mended."""
    if isinstance(value, str) and level < _LEVELS:
        if not value.strip():
            return {}, True
        try:
            return _arguments(_loads(value), level + 1)
        except json.JSONDecodeError as problem:
            literal = _literal(value)
            if isinstance(literal, dict):
                return literal, True
            raise ValueError(f"the arguments are not JSON: {problem}") from problem
    if not isinstance(value, dict):
        raise ValueError(f"the arguments must be an object, found {_kind(value)}")
    return value, level > 1


def _quoted_arguments(text: str) -> tuple[dict[str, Any], bool]:
    """Read what stood in single quotes: as it is, else with one level of escapes taken off."""
    attempts: tuple[Callable[[str], Any], ...] = (
        _loads,
        lambda text: _loads(_unescape(text, "'")),
        lambda text: _loads(_unescape(text, "'\"\\")),
        lambda text: _loads(_loads(f'"{text}"')),
    )
    if not text.strip():
        return {}, True
    problems: list[ValueError] = []
    for number, attempt in enumerate(attempts):
        try:
            arguments, mended = _arguments(attempt(text), level=1)
            return arguments, mended or number > 0
        except (ValueError, TypeError) as problem:
            problems.append(ValueError(str(problem)))
    raise ValueError(f"the arguments are not JSON: {problems[0]}")


def _unescape(text: str, characters: str) -> str:
    return re.sub(r"\\(.)", lambda m: m[1] if m[1] in characters else m[0], text, flags=re.DOTALL)


def _loads(text: str) -> Any:
    """Decode JSON that may hold raw newlines in strings, but no NaN, Infinity or repeated key."""
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


_DECODER = call_decoder(raw_newlines=True, exact=True)


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "an object")
