"""Read turns, however their roles, texts, calls and results are written, as messages."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chat.conversation import Message
from data.outcomes import Change, Rejected, pointer
from data.reading.call_text import ReadCall, read_call_values
from data.reading.contents import Parts, read_content, result_text, thought_text
from data.reading.labels import is_trained
from data.reading.notations import read_calls_of_turn
from data.reading.thoughts import format_thoughts

Speaker = Literal["system", "user", "assistant", "tool", "call"]

# A turn of a `call` is an assistant's, and its text is the call itself.
ROLES: Mapping[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "function_call": "call",
    "tool_call": "call",
    "tool_calls": "call",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "function_result": "tool",
    "tool_result": "tool",
    "ipython": "tool",
    "api": "tool",
}
END = "<|endoftext|>"
CALL = "<functioncall>"
# Where a turn's thoughts stand beside its text.
_REASONING = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_details")


@dataclass(frozen=True)
class Style:
    """How a layout writes its turns.

    roles: The speaker for each name of a role.
    end: What may stand at the end of an assistant's text and is no part of it.
    """

    roles: Mapping[str, Speaker] = field(default_factory=lambda: ROLES)
    end: str = ""


PLAIN = Style()


@dataclass(frozen=True)
class Turns:
    """Messages, the repairs that reading them took, and where the text of each stood in its row."""

    messages: tuple[Message, ...]
    changes: tuple[Change, ...] = ()
    places: tuple[str, ...] = ()


def read_turns(turns: Any, where: str, style: Style = PLAIN) -> Turns:
    """Read a list of turns, or the JSON text of one; `where` is its JSON pointer."""
    read = [
        _read_turn(turn, where + pointer(index), style)
        for index, turn in enumerate(listed(turns, where))
    ]
    return Turns(
        tuple(message for found in read for message in found.messages),
        tuple(change for found in read for change in found.changes),
        tuple(place for found in read for place in found.places),
    )


def listed(value: Any, where: str) -> list[Any]:
    """Return a list, decoding the JSON text of one; anything else is rejected."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise Rejected(
                "wrong-layout", where, f"not the JSON of a list: {error}", value
            ) from error
    if not isinstance(value, list):
        raise Rejected("wrong-layout", where, "wanted a list", _json(value))
    return value


def _plain(role: str) -> str:
    return re.sub(r"[\s-]+", "_", role.strip().lower())


def _read_turn(turn: Any, where: str, style: Style) -> Turns:
    if not isinstance(turn, dict):
        raise Rejected("wrong-layout", where, "a turn must be an object", _json(turn))
    speaker = _speaker(turn, where, style.roles)
    key = next((key for key in ("content", "value", "text") if key in turn), "content")
    place = where + pointer(key)
    if speaker == "call":
        found = _assistant(turn, Parts("", ((place, turn.get(key)),)), where, style)
    elif speaker == "assistant":
        found = _assistant(turn, read_content(turn.get(key), place), where, style)
    elif speaker == "tool":
        number = turn.get("tool_call_id")
        number = None if number is None else str(number)
        text = result_text(turn.get(key))
        found = Turns((Message("tool", text, name=_name(turn), tool_call_id=number),))
    else:
        text = read_content(turn.get(key), place).text
        found = Turns((Message(speaker, text, name=_name(turn)),))
    return Turns(found.messages, found.changes, (place,))


def _speaker(turn: dict[str, Any], where: str, roles: Mapping[str, Speaker]) -> Speaker:
    key = "role" if "role" in turn or "from" not in turn else "from"
    given = turn.get(key)
    name = _plain(given) if isinstance(given, str) else ""
    if name not in roles:
        reason = f"{key} is {given!r}, wanted one of {', '.join(roles)}"
        raise Rejected("wrong-layout", where + pointer(key), reason, _json(turn))
    # OpenAI's function turns, which name their function, are results in every layout.
    return "tool" if name == "function" and _name(turn) else roles[name]


def _assistant(turn: dict[str, Any], parts: Parts, where: str, style: Style) -> Turns:
    """Read an assistant's turn: what it thinks and says, and the calls among or beside that."""
    text = parts.text
    if style.end and text.rstrip().endswith(style.end):
        text = text.rstrip().removesuffix(style.end).rstrip()
    sources = [_Source(part_place, value) for part_place, value in parts.calls]
    for key in ("tool_calls", "function_call"):
        value = turn.get(key)
        if value and value not in ("none", "auto"):
            sources.append(_Source(where + pointer(key), value))
    if not text and isinstance(turn.get("refusal"), str):
        text = turn["refusal"]
    beside = [thought for key in _REASONING if (thought := thought_text(turn.get(key)))]
    if beside or parts.reasoning:
        thoughts = [thought for thought in (*beside, *parts.reasoning) if thought not in text]
        text = format_thoughts(tuple(dict.fromkeys(thoughts))) + text
    message = Message("assistant", text, name=_name(turn), trained=is_trained(turn))
    return _with_calls(message, sources)


@dataclass(frozen=True)
class _Source:
    """Calls as they stand in a row, and where."""

    place: str
    value: Any

    def read(self) -> tuple[ReadCall, ...]:
        if not isinstance(self.value, str):
            return read_call_values(self.value)
        return read_calls_of_turn(self.value)


def _with_calls(message: Message, sources: list[_Source]) -> Turns:
    """Read the calls of each source into the message; what took mending is noted."""
    calls: list[ReadCall] = []
    changes: list[Change] = []
    for source in sources:
        try:
            found = source.read()
        except (ValueError, RecursionError) as error:
            excerpt = _json(source.value)
            raise Rejected("unreadable-call", source.place, str(error), excerpt) from error
        calls += found
        if any(call.mended for call in found):
            after = [{"name": c.call.name, "arguments": dict(c.call.arguments)} for c in found]
            changes.append(Change("call-syntax", source.place, source.value, after))
    if calls:
        message = replace(message, tool_calls=tuple(call.call for call in calls))
    return Turns((message,), tuple(changes))


def _name(turn: Mapping[str, Any]) -> str | None:
    name = turn.get("name")
    return name if isinstance(name, str) and name else None


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
