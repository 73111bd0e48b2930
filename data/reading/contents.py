"""Read what a turn says: text, nothing, or a list of parts of several kinds."""

import json
from dataclasses import dataclass
from typing import Any

from data.outcomes import Rejected, pointer

_TEXTS = frozenset(("text", "input_text", "output_text", "refusal"))
_REASONINGS = frozenset(("reasoning", "thinking", "reasoning_content", "redacted_thinking"))
_CALLS = frozenset(("tool_call", "tool_use", "function_call"))
_VALUES = ("text", "value", "content", "thinking", "reasoning", "refusal")


@dataclass(frozen=True)
class Parts:
    """The text of a turn, the calls among its parts with their places, and its reasoning."""

    text: str
    calls: tuple[tuple[str, Any], ...] = ()
    reasoning: tuple[str, ...] = ()


def read_content(value: Any, where: str) -> Parts:
    """Read a turn's content; parts that are neither text, reasoning nor calls are rejected."""
    if value is None or isinstance(value, str):
        return Parts(value or "")
    if not isinstance(value, list):
        raise Rejected("wrong-layout", where, "a turn's content must be text", _json(value))
    texts: list[str] = []
    calls: list[tuple[str, Any]] = []
    reasoning: list[str] = []
    for i, part in enumerate(value):
        place = where + pointer(i)
        kind = str(part.get("type") or "text") if isinstance(part, dict) else "text"
        if kind in _CALLS and isinstance(part, dict):
            calls.append((place, _call(part)))
        elif kind in _TEXTS or kind in _REASONINGS:
            (texts if kind in _TEXTS else reasoning).append(_part_text(part, place))
        else:
            reason = f"a part of the kind {kind!r} cannot be learned from"
            raise Rejected("wrong-layout", place, reason, _json(part))
    return Parts("".join(texts), tuple(calls), tuple(filter(None, reasoning)))


def result_text(value: Any) -> str:
    """Return a tool's result as text: as it is, joined from its parts, or as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and value and all(map(_is_text_part, value)):
        return "".join(str(_value(part)) for part in value)
    return _json(value)


def json_or_text(text: str) -> Any:
    """Return the value of a text that is JSON; the text as it is where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def thought_text(value: Any) -> str:
    """Return a thought that stands as a text, as an object that holds one, or as a list of such."""
    if isinstance(value, list):
        return "\n\n".join(filter(None, map(thought_text, value)))
    if isinstance(value, dict):
        held = (value.get(key) for key in (*_VALUES, "summary"))
        return next(filter(None, map(thought_text, held)), "")
    return value if isinstance(value, str) else ""


def _is_text_part(part: Any) -> bool:
    return (
        isinstance(part, dict) and str(part.get("type")) in _TEXTS and isinstance(_value(part), str)
    )


def _call(part: dict[str, Any]) -> Any:
    """Return the call of a part, which is its value, its text, or the part itself."""
    value = next((part[key] for key in ("value", "tool_call", "text") if key in part), None)
    return {key: item for key, item in part.items() if key != "type"} if value is None else value


def _part_text(part: Any, where: str) -> str:
    text = _value(part) if isinstance(part, dict) else part
    if text is not None and not isinstance(text, str):
        raise Rejected("wrong-layout", where, "a part's text must be text", _json(part))
    return text or ""


def _value(part: dict[str, Any]) -> Any:
    return next((part[key] for key in _VALUES if part.get(key) is not None), None)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
