"""ShareGPT tool conversations: `conversations` of from/value turns, `tools` as JSON text."""

import json
from typing import Any

from chat.conversation import Conversation, Message, Role
from data.outcomes import Change, Draft, Rejected, pointer
from data.sources.call_text import read_calls
from data.sources.declarations import read_tools
from data.sources.layout import Source

ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
}


def read(value: Any) -> Draft:
    """Read one row; a call and the text beside it may be turns of their own."""
    tools = read_tools(value.get("tools"), "/tools")
    messages: list[Message] = []
    changes: list[Change] = []
    system = value.get("system")
    if isinstance(system, str) and system.strip():
        messages.append(Message("system", system))
    for index, turn in enumerate(value["conversations"]):
        where = pointer("conversations", index)
        message, mended = _read_turn(turn, where)
        messages.append(message)
        if mended:
            after = [{"name": c.name, "arguments": dict(c.arguments)} for c in message.tool_calls]
            changes.append(Change("call-syntax", where + "/value", turn["value"], after))
    return Draft(Conversation(tuple(messages), tools), tuple(changes))


def _read_turn(turn: Any, where: str) -> tuple[Message, bool]:
    """Return a turn's message, and whether its call took mending."""
    if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
        excerpt = json.dumps(turn, ensure_ascii=False)
        raise Rejected("wrong-layout", where, "a turn must be an object with a value", excerpt)
    speaker, text = turn.get("from"), turn["value"]
    if not isinstance(speaker, str) or speaker not in ROLES:
        reason = f"from is {speaker!r}, wanted one of {', '.join(ROLES)}"
        raise Rejected("wrong-layout", where + "/from", reason, text)
    if speaker != "function_call":
        return Message(ROLES[speaker], text), False
    try:
        calls = read_calls(text)
    except ValueError as error:
        raise Rejected("unreadable-call", where + "/value", str(error), text) from error
    message = Message("assistant", tool_calls=tuple(read.call for read in calls))
    return message, any(read.mended for read in calls)


SOURCE = Source(
    looks_like='{"conversations": [{"from": "human", "value": "..."}, ...], "tools": "[...]"}',
    recognises=lambda row: isinstance(row, dict) and isinstance(row.get("conversations"), list),
    read=read,
)
