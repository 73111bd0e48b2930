"""Read the text of a tool call as data sets write it, without ever evaluating it.

Arguments come as an object, as a string that holds one, encoded twice, or (Glaive) in single
quotes: `{"name": "f", "arguments": '{"text": "it's"}'}`, which is not JSON.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chat.conversation import ToolCall

_KEYS = ("arguments", "parameters")
_NAME = r'"name"\s*:\s*(?P<name>"(?:[^"\\]|\\.)*")'
# Greedy: the quote that closes the arguments is the last one that the rest of the form allows.
_ARGUMENTS = r"\"(?:arguments|parameters)\"\s*:\s*'(?P<arguments>.*)'"
_QUOTED = tuple(
    re.compile(r"\s*\{\s*" + first + r"\s*,\s*" + second + r"\s*\}\s*", re.DOTALL)
    for first, second in ((_NAME, _ARGUMENTS), (_ARGUMENTS, _NAME))
)
_LEVELS = 3


@dataclass(frozen=True)
class ReadCall:
    """A call, and whether reading it took more than its data set's usual form."""

    call: ToolCall
    mended: bool = False


def read_call(text: str) -> ReadCall:
    """Read one call; ValueError says what is wrong with it."""
    try:
        value = _loads(text)
    except ValueError as problem:
        for form in _QUOTED:
            if match := form.fullmatch(text):
                arguments, mended = _quoted_arguments(match["arguments"])
                return _call(_loads(match["name"]), arguments, mended)
        raise ValueError(f"the call is not JSON: {problem}") from problem
    return read_call_value(value)


def read_calls(text: str) -> tuple[ReadCall, ...]:
    """Read one call, or a JSON list of calls made in one turn."""
    if not text.lstrip().startswith("["):
        return (read_call(text),)
    calls = tuple(read_call_value(value) for value in _loads(text))
    if not calls:
        raise ValueError("the list of calls is empty")
    return calls


def read_call_value(value: Any) -> ReadCall:
    """Read one call that was decoded already; ValueError says what is wrong with it."""
    if not isinstance(value, dict):
        raise ValueError(f"a call must be an object, found {_kind(value)}")
    unknown = [key for key in value if key not in ("name", *_KEYS)]
    if unknown:
        raise ValueError(f"a call holds name and arguments, found {unknown[0]!r} too")
    given = [key for key in _KEYS if key in value]
    if len(given) > 1:
        raise ValueError("a call holds both arguments and parameters")
    if not given:
        return _call(value.get("name"), {}, mended=True)
    arguments, mended = _arguments(value[given[0]])
    return _call(value.get("name"), arguments, mended)


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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands twice")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


# strict=False lets raw newlines and tabs stand inside strings.
_DECODER = json.JSONDecoder(
    strict=False, object_pairs_hook=_object, parse_float=_number, parse_constant=_number
)


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "an object")
