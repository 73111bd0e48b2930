"""Raw Glaive v2: `{"system", "chat"}`, two texts with headed turns and calls in single quotes."""

import json
import re
from dataclasses import dataclass
from typing import Any

from chat.conversation import Conversation, Message, Role, Tool
from data.outcomes import Change, Draft, Rejected
from data.sources.call_text import ReadCall, read_call
from data.sources.declarations import RULE as UNREADABLE_TOOLS
from data.sources.declarations import read_declaration
from data.sources.layout import Source

WITH_TOOLS = (
    "You are a helpful assistant with access to the following functions. Use them if required -"
)
WITHOUT_TOOLS = "You are a helpful assistant, with no access to external functions."
CALL = "<functioncall>"
END = "<|endoftext|>"
ROLES: dict[str, Role] = {"USER": "user", "ASSISTANT": "assistant", "FUNCTION RESPONSE": "tool"}
_HEADER = re.compile(r"(USER|ASSISTANT|FUNCTION RESPONSE):(?=\s|\Z)")
# Rows with functions set their turns apart by three newlines, the others by two.
_BLANK = {
    newlines: re.compile(
        r"(?:\r?\n){" + str(newlines) + r"}(?=(?:USER|ASSISTANT|FUNCTION RESPONSE):(?:\s|\Z))"
    )
    for newlines in (2, 3)
}
_FIRST_OBJECT = re.compile(r"^\s*\{", re.MULTILINE)
_DECODER = json.JSONDecoder(strict=False)


def read(value: Any) -> Draft:
    """Read one row: tools from its system text, messages from its chat."""
    preamble, tools = _read_system(value["system"])
    pieces = _split(value["chat"], newlines=3 if tools else 2)
    messages = [Message("system", preamble)] if preamble else []
    changes: list[Change] = []
    for piece in pieces:
        messages.append(Message(piece.role, piece.content, tuple(c.call for c in piece.calls)))
        changes += [
            Change(
                rule="call-syntax",
                pointer="/chat",
                before=piece.text,
                after={"name": read.call.name, "arguments": dict(read.call.arguments)},
            )
            for read in piece.calls
            if read.mended
        ]
    return Draft(Conversation(tuple(messages), tools), tuple(changes))


@dataclass(frozen=True)
class _Turn:
    """One turn: what was said and called, and the text it was read from."""

    role: Role
    content: str
    calls: tuple[ReadCall, ...]
    text: str


def _read_system(system: str) -> tuple[str, tuple[Tool, ...]]:
    """Return the system text that is not boilerplate, and the functions it declares."""
    body = system.strip().removeprefix("SYSTEM:").strip()
    if body == WITHOUT_TOOLS:
        return "", ()
    first = _FIRST_OBJECT.search(body.removeprefix(WITH_TOOLS))
    if body.startswith(WITH_TOOLS):
        rest = body.removeprefix(WITH_TOOLS).strip()
        return "", tuple(read_declaration(function, "/system") for function in _objects(rest))
    if first is not None:
        try:
            functions = _objects(body[first.start() :])
            return body[: first.start()].strip(), tuple(
                read_declaration(function, "/system") for function in functions
            )
        except Rejected:
            pass
    return body, ()


def _objects(text: str) -> list[Any]:
    """Decode JSON objects that stand one after the other."""
    found, at = [], 0
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            reason = f"the functions are not JSON: {error}"
            raise Rejected(UNREADABLE_TOOLS, "/system", reason, text[at:]) from error
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,"))
    return found


def _split(chat: str, newlines: int) -> list[_Turn]:
    """Cut a chat at the headers that stand after a blank line; others are text."""
    pieces = _BLANK[newlines].split(chat.strip())
    turns = []
    while pieces:
        piece = pieces.pop(0)
        # What looks like a header may stand inside a call's text: such a call goes on.
        while pieces and _is_open_call(piece):
            piece += "\n" * newlines + pieces.pop(0)
        turns.append(_read_turn(piece))
    return turns


def _is_open_call(piece: str) -> bool:
    if not piece.startswith("ASSISTANT:") or CALL not in piece or piece.rstrip().endswith(END):
        return False
    try:
        _read_turn(piece)
    except Rejected:
        return True
    return False


def _read_turn(piece: str) -> _Turn:
    header = _HEADER.match(piece)
    if header is None:
        wanted = ", ".join(f"{role}:" for role in ROLES)
        reason = f"the chat does not begin with one of {wanted}"
        raise Rejected("wrong-layout", "/chat", reason, piece)
    role, text = ROLES[header[1]], piece[header.end() :].strip()
    if role != "assistant":
        return _Turn(role, text, (), piece)
    content, call, rest = text.removesuffix(END).rstrip().partition(CALL)
    try:
        calls = _read_calls(rest) if call else ()
    except ValueError as error:
        raise Rejected("unreadable-call", "/chat", str(error), text) from error
    return _Turn(role, content.rstrip(), calls, piece)


def _read_calls(text: str) -> tuple[ReadCall, ...]:
    try:
        return (read_call(text),)
    except ValueError:
        if CALL not in text:
            raise
    return tuple(read_call(part) for part in text.split(CALL))


SOURCE = Source(
    looks_like='{"system": "SYSTEM: ...", "chat": "USER: ..."}',
    recognises=lambda row: (
        isinstance(row, dict)
        and isinstance(row.get("system"), str)
        and isinstance(row.get("chat"), str)
    ),
    read=read,
)
