"""Raw Glaive v2: `{"system", "chat"}`, two texts with headed turns and calls in single quotes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chat.conversation import Message, Role
from chat.recurring import MOST_KEPT
from data.outcomes import Change, Draft, Rejected
from data.reading.call_text import ReadCall, read_call
from data.reading.layout import Source, draft
from data.reading.system_text import SystemText, read_system
from data.reading.turns import CALL, END, Turns

ROLES: dict[str, Role] = {"USER": "user", "ASSISTANT": "assistant", "FUNCTION RESPONSE": "tool"}
# How often a call that seems to end is read before it is one that never does.
MOST_ENDS = 32
_SYSTEM = "/system"
_LONGEST_KEPT = 4000  # characters of a system text
_HEADER = re.compile(r"(USER|ASSISTANT|FUNCTION RESPONSE):(?=\s|\Z)")
# Rows with functions set their turns apart by three newlines, the others by two.
_BLANK = {
    # Starting with a literal character is faster: the search skips to the next newline.
    newlines: re.compile(
        r"\n(?:\r?\n){" + str(newlines - 1) + r"}(?=(?:USER|ASSISTANT|FUNCTION RESPONSE):(?:\s|\Z))"
    )
    for newlines in (2, 3)
}


def read(value: Any) -> Draft:
    """Read one row: tools from its system text, messages from its chat."""
    text = value["system"]
    system = _known_system(text) if len(text) <= _LONGEST_KEPT else read_system(text, _SYSTEM)
    tools = system.declarations.tools
    pieces = _split(value["chat"], newlines=3 if tools else 2)
    messages = [Message("system", system.content)] if system.content else []
    changes = list[Change]()
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
    return draft(Turns(tuple(messages), tuple(changes)), system.declarations)


@lru_cache(maxsize=MOST_KEPT)
def _known_system(text: str) -> SystemText:
    # Many rows offer the same functions.
    return read_system(text, _SYSTEM)


@dataclass
class _Turn:
    """One turn: what was said and called, and the text it was read from."""

    role: Role
    content: str
    calls: tuple[ReadCall, ...]
    text: str


def _split(chat: str, newlines: int) -> list[_Turn]:
    """Cut a chat at the headers that stand after a blank line; others are text."""
    pieces = _BLANK[newlines].split(chat.strip())
    turns, start = list[_Turn](), 0
    while start < len(pieces):
        end = _end_of_turn(pieces, start, "\n" * newlines)
        turns.append(_read_turn(("\n" * newlines).join(pieces[start:end])))
        start = end
    return turns


def _end_of_turn(pieces: Sequence[str], start: int, between: str) -> int:
    """Return the place after a turn's last piece.

    What looks like a header may stand inside a call's text: a call that cannot be read goes on. It
    is read again at MOST_ENDS places where it could end.
    """
    if not pieces[start].startswith("ASSISTANT:") or CALL not in pieces[start]:
        return start + 1
    tried = 0
    for end in range(start + 1, len(pieces)):
        last = pieces[end - 1].rstrip()
        if last.endswith(END):
            return end
        # A call ends with a brace, or Python's parentheses around one.
        if last.endswith(("}", ")")) and tried < MOST_ENDS:
            tried += 1
            if _is_readable(between.join(pieces[start:end])):
                return end
    return len(pieces)


def _is_readable(piece: str) -> bool:
    try:
        _read_turn(piece)
    except Rejected:
        return False
    return True


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
