"""Read turns, however their roles, texts, calls and results are written, as messages."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chat.conversation import Message
from data.outcomes import Change, Rejected, pointer
from data.reading.call_text import ReadCall, read_call, read_call_values, read_calls
from data.reading.contents import Parts, read_content, result_text
from data.reading.labels import is_trained

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


@dataclass(frozen=True)
class Style:
    """How a layout writes its turns.

    roles: The speaker for each name of a role.
    end: What may stand at the end of an assistant's text and is no part of it.
    marked: Whether calls can stand in an assistant's text, after `<functioncall>` or inside
        `<tool_call>`; None where they do unless the conversation has calls of another form.
    """

    roles: Mapping[str, Speaker] = field(default_factory=lambda: ROLES)
    end: str = ""
    marked: bool | None = None


PLAIN = Style()


@dataclass(frozen=True)
class Turns:
    """Messages, and the repairs that reading them took."""

    messages: tuple[Message, ...]
    changes: tuple[Change, ...] = ()


def read_turns(turns: Any, where: str, style: Style = PLAIN) -> Turns:
    """Read a list of turns, or the JSON text of one; `where` is its JSON pointer."""
    messages: list[Message] = []
    changes: list[Change] = []
    turns = listed(turns, where)
    if style.marked is None:
        style = replace(style, marked=not any(_has_calls(turn, style) for turn in turns))
    for index, turn in enumerate(turns):
        called = {call.name for call in messages[-1].tool_calls} if messages else set()
        found = _read_turn(turn, where + pointer(index), style, called)
        messages += found.messages
        changes += found.changes
    return Turns(tuple(messages), tuple(changes))


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


def _has_calls(turn: Any, style: Style) -> bool:
    if not isinstance(turn, dict):
        return False
    role = turn.get("role", turn.get("from"))
    alone = isinstance(role, str) and style.roles.get(_plain(role)) == "call"
    return alone or bool(turn.get("tool_calls") or turn.get("function_call"))


def _plain(role: str) -> str:
    return re.sub(r"[\s-]+", "_", role.strip().lower())


def _read_turn(turn: Any, where: str, style: Style, called: set[str]) -> Turns:
    """Read one turn; `called` are the functions that the turn before it called."""
    if not isinstance(turn, dict):
        raise Rejected("wrong-layout", where, "a turn must be an object", _json(turn))
    speaker = _speaker(turn, where, style.roles)
    key = next((key for key in ("content", "value", "text") if key in turn), "content")
    place = where + pointer(key)
    if speaker == "call":
        calls = _Source(place, turn.get(key))
        message = Message("assistant", name=_name(turn), trained=is_trained(turn))
        return _with_calls(message, [calls])
    if speaker == "tool":
        return Turns(tuple(_results(turn, turn.get(key), called)))
    parts = read_content(turn.get(key), place)
    if speaker == "user" and called and _are_responses(parts.text):
        # Qwen's templates write results so.
        return Turns(tuple(_results(turn, parts.text, called)))
    if speaker == "assistant":
        return _assistant(turn, parts, where, place, style)
    return Turns((Message(speaker, parts.text, name=_name(turn)),))


def _speaker(turn: dict[str, Any], where: str, roles: Mapping[str, Speaker]) -> Speaker:
    key = "role" if "role" in turn or "from" not in turn else "from"
    given = turn.get(key)
    name = _plain(given) if isinstance(given, str) else ""
    if name not in roles:
        reason = f"{key} is {given!r}, wanted one of {', '.join(roles)}"
        raise Rejected("wrong-layout", where + pointer(key), reason, _json(turn))
    # OpenAI's function turns, which name their function, are results in every layout.
    return "tool" if name == "function" and _name(turn) else roles[name]


def _assistant(turn: dict[str, Any], parts: Parts, where: str, place: str, style: Style) -> Turns:
    """Read an assistant's turn: its text, and the calls that stand beside, among or inside it."""
    sources: list[_Source] = []
    text = parts.text
    if style.end and text.rstrip().endswith(style.end):
        text = text.rstrip().removesuffix(style.end).rstrip()
    if style.marked and (CALL in text or "<tool_call>" in text):
        whole = text
        text = _blocks(whole.partition(CALL)[0], "tool_call")[0].partition("<tool_call>")[0].strip()
        sources.append(_Source(place, whole))
    sources += [_Source(part_place, value) for part_place, value in parts.calls]
    for key in ("tool_calls", "function_call"):
        value = turn.get(key)
        if value and value not in ("none", "auto"):
            sources.append(_Source(where + pointer(key), value))
    if not text and isinstance(turn.get("refusal"), str):
        text = turn["refusal"]
    message = Message("assistant", text, name=_name(turn), trained=is_trained(turn))
    found = _with_calls(message, sources)
    return replace(found, changes=(*_left_out(turn, parts, where, place), *found.changes))


def _left_out(turn: dict[str, Any], parts: Parts, where: str, place: str) -> Iterator[Change]:
    for value in parts.reasoning:
        yield Change("reasoning", place, value, None)
    for key in ("reasoning_content", "reasoning"):
        if isinstance(turn.get(key), str) and turn[key].strip():
            yield Change("reasoning", where + pointer(key), turn[key], None)


@dataclass(frozen=True)
class _Source:
    """Calls as they stand in a row, and where."""

    place: str
    value: Any

    def read(self) -> tuple[ReadCall, ...]:
        if not isinstance(self.value, str):
            return read_call_values(self.value)
        text = self.value.strip().removesuffix(END).rstrip()
        if CALL in text:
            return tuple(read_call(part) for part in text.split(CALL)[1:])
        if "<tool_call>" not in text:
            return read_calls(text)
        around, blocks = _blocks(text, "tool_call")
        if "<tool_call>" in around:
            raise ValueError("a call is opened by <tool_call> and not closed")
        return tuple(read for block in blocks for read in read_calls(block))


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
    called = replace(message, tool_calls=tuple(call.call for call in calls))
    return Turns((called,), tuple(changes))


def _results(turn: dict[str, Any], value: Any, called: set[str]) -> Iterator[Message]:
    """Read results: one, or several in one turn."""
    text = result_text(value)
    number = turn.get("tool_call_id")
    message = Message(
        "tool", name=_name(turn), tool_call_id=None if number is None else str(number)
    )
    several = _several_results(text, called)
    if several is not None:
        for record in several:
            number = record.get("tool_call_id")
            yield replace(
                message,
                content=result_text(record["content"]),
                name=_name(record) or message.name,
                tool_call_id=message.tool_call_id if number is None else str(number),
            )
        return
    if _are_responses(text):
        _, blocks = _blocks(text, "tool_response")
        yield from (replace(message, content=block) for block in blocks)
        return
    yield replace(message, content=text)


def _are_responses(text: str) -> bool:
    around, blocks = _blocks(text, "tool_response")
    return bool(blocks) and not around.strip()


def _blocks(text: str, tag: str) -> tuple[str, list[str]]:
    """Return what stands around the blocks between two tags, and what stands in each of them."""
    before, *rest = text.split(f"<{tag}>")
    around, blocks = [before], list[str]()
    for i, part in enumerate(rest):
        inside, closed, after = part.partition(f"</{tag}>")
        if not closed:
            return "".join(around) + f"<{tag}>" + f"<{tag}>".join(rest[i:]), blocks
        blocks.append(inside.strip())
        around.append(after)
    return "".join(around), blocks


def _several_results(text: str, called: set[str]) -> list[dict[str, Any]] | None:
    """Return the results that a text lists, each with its content and whose it is, or None."""
    if not text.startswith("[") or '"content"' not in text:
        return None
    try:
        records = json.loads(text)
    except (ValueError, RecursionError):
        return None
    listed = isinstance(records, list) and all(
        isinstance(record, dict)
        and "content" in record
        and ("tool_call_id" in record or _name(record) in called)
        for record in records
    )
    return records if listed and records else None


def _name(turn: Mapping[str, Any]) -> str | None:
    name = turn.get("name")
    return name if isinstance(name, str) and name else None


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
