"""Seal-Tools' fine-tuning rows: tools as Python's repr in the user's text, calls likewise."""

from typing import Any

from chat.conversation import Message
from data.outcomes import Draft, Rejected
from data.reading.call_text import read_call_values
from data.reading.declarations import decode_tools, read_tools
from data.reading.layout import Source, draft
from data.reading.turns import Turns

_TOOLS, _QUERY = "api_list = ", 'task_instruction = "'


def read(value: Any) -> Draft:
    """Read one row; the answers' `responses`, which name the results, have no place in a call."""
    asked, answered = (turn.get("value") for turn in value["conversations"])
    found = _parts(str(asked))
    if found is None:
        reason = "the text holds no api_list and task_instruction"
        raise Rejected("wrong-layout", "/conversations/0/value", reason, str(asked))
    tools = read_tools(found[0], "/conversations/0/value")
    try:
        values = decode_tools(str(answered), "/conversations/1/value")
        calls = read_call_values([_call(item) for item in values])
    except (Rejected, ValueError, TypeError) as error:
        reason = error.reason if isinstance(error, Rejected) else str(error)
        raise Rejected(
            "unreadable-call", "/conversations/1/value", reason, str(answered)
        ) from error
    answer = Message("assistant", tool_calls=tuple(call.call for call in calls))
    return draft(Turns((Message("user", found[1]), answer)), tools)


def _parts(text: str) -> tuple[str, str] | None:
    """Return the tools and the query: as long as they can be, up to the last query and quote."""
    begin, closing = text.find(_TOOLS), text.rfind('"')
    begin += len(_TOOLS)
    place = text.rfind(_QUERY, begin, closing) if begin >= len(_TOOLS) else -1
    while place > begin and not text[place - 1].isspace():
        place = text.rfind(_QUERY, begin, place)
    if place <= begin:
        return None
    return text[begin : place - 1], text[place + len(_QUERY) : closing]


def _call(value: Any) -> Any:
    if not isinstance(value, dict) or "api" not in value:
        return value
    rest = {key: item for key, item in value.items() if key not in ("api", "responses")}
    return {"name": value["api"], **rest}


def _recognises(row: Any) -> bool:
    turns = row.get("conversations") if isinstance(row, dict) else None
    return (
        isinstance(turns, list)
        and len(turns) == 2
        and all(isinstance(turn, dict) for turn in turns)
        and "api_list = " in str(turns[0].get("value"))
    )


SOURCE = Source(
    looks_like='{"conversations": [{"from": "human", "value": "... api_list = [...] ..."}, ...]}',
    recognises=_recognises,
    read=read,
    told_by="two turns, the first of which holds api_list",
)
