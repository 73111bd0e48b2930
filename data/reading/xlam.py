"""xLAM: `query`, `tools` and `answers`, the last two usually as JSON text; one turn of calls."""

import json
from typing import Any

from chat.conversation import Message
from data.outcomes import Change, Draft, Rejected
from data.reading.call_text import read_call_values
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.notations import read_calls_of_turn
from data.reading.thoughts import format_thoughts, split_thoughts
from data.reading.turns import ROLES, Style, Turns, read_turns

# Hammer's test rows, in the same layout, call the assistant so.
_STYLE = Style({**ROLES, "agent": "assistant"})


def read(value: Any) -> Draft:
    """Read one row; where no call answers the query there may be a text."""
    query = value["query"]
    if isinstance(query, str):
        turns = Turns((Message("user", query),))
    else:
        turns = read_turns(query, "/query", _STYLE)
    answer = read_answer(value["answers"], "/answers")
    together = Turns(turns.messages + answer.messages, turns.changes + answer.changes)
    return draft(together, read_tools(value.get("tools"), "/tools"), value.get("system"), "/system")


def read_answer(value: Any, where: str) -> Turns:
    """Read the calls that answer a query, or the text of an answer without calls."""
    text = value if isinstance(value, str) else None
    thought = ""
    if text is not None and (found := split_thoughts(text)).ends:
        thought, text = format_thoughts(found.thoughts), found.answer
    if text is not None and not set('{}[]"') & set(text):
        return Turns((Message("assistant", thought + text),))
    if value in ([], {}) or (text is not None and text.strip() in ("[]", "{}")):
        return Turns((Message("assistant", thought),))
    try:
        calls = read_calls_of_turn(text) if text is not None else read_call_values(value)
    except (ValueError, RecursionError) as error:
        excerpt = text if text is not None else json.dumps(value, ensure_ascii=False)
        raise Rejected("unreadable-call", where, str(error), excerpt) from error
    changes: tuple[Change, ...] = ()
    if any(call.mended for call in calls):
        after = [{"name": c.call.name, "arguments": dict(c.call.arguments)} for c in calls]
        changes = (Change("call-syntax", where, value, after),)
    answer = Message("assistant", thought, tuple(read.call for read in calls))
    return Turns((answer,), changes)


SOURCE = Source(
    looks_like='{"query": "...", "tools": "[...]", "answers": "[{\\"name\\", ...}]"}',
    recognises=lambda row: (
        isinstance(row, dict)
        and isinstance(row.get("query"), str | list)
        and isinstance(row.get("answers"), str | list | dict)
    ),
    read=read,
)
