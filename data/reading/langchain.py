"""LangChain: an agent's `intermediate_steps`, and messages told apart by `type` (human, ai, tool).

A step is a pair of an action (`tool`, `tool_input`, `log`) and what was observed.
"""

from collections.abc import Iterator
from typing import Any

from data.outcomes import Draft, Rejected, excerpt_of, pointer
from data.reading.declarations import read_tools
from data.reading.labels import label_of
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.turns import listed

_TYPES = ("human", "ai", "tool", "system", "function")


def read(value: Any) -> Draft:
    """Read one row: an input, its steps and the output, or a list of messages."""
    turns = _steps(value) if _has_steps(value) else _messages(value["messages"])
    tools = read_tools(value.get("tools"), "/tools")
    return draft(read_placed(turns), tools, value.get("system"), "/system")


def _steps(value: Any) -> Iterator[PlacedTurn]:
    for turn in listed(value.get("chat_history") or [], "/chat_history"):
        yield "/chat_history", _message(turn)
    yield "/input", {"role": "user", "content": value["input"]}
    for i, step in enumerate(listed(value["intermediate_steps"], "/intermediate_steps")):
        place = "/intermediate_steps" + pointer(i)
        action, observed = _pair(step, place)
        call = {"name": action.get("tool"), "arguments": action.get("tool_input")}
        if isinstance(call["arguments"], str) and not call["arguments"].lstrip().startswith("{"):
            reason = "the tool's input is a text, wanted an object of arguments"
            raise Rejected("unreadable-call", place, reason, excerpt_of(action))
        number = {"id": action["tool_call_id"]} if action.get("tool_call_id") else {}
        yield place, {"role": "assistant", "content": "", "tool_calls": [{**call, **number}]}
        yield place, {"role": "tool", "name": action.get("tool"), "content": observed}
    if isinstance(value.get("output"), str):
        yield "/output", {"role": "assistant", "content": value["output"]}


def _pair(step: Any, place: str) -> tuple[dict[str, Any], Any]:
    """Return the action and the observation of a step, a pair or an object of both."""
    if isinstance(step, dict):
        step = [step.get("action"), step.get("observation")]
    if not (isinstance(step, list) and len(step) == 2 and isinstance(step[0], dict)):
        reason = "a step must be an action and its observation"
        raise Rejected("wrong-layout", place, reason, excerpt_of(step))
    return step[0], step[1]


def _messages(turns: Any) -> Iterator[PlacedTurn]:
    for i, turn in enumerate(listed(turns, "/messages")):
        yield "/messages" + pointer(i), _message(turn)


def _message(turn: Any) -> Any:
    """Return a message in OpenAI's shape; its fields may stand under `data`, or under `kwargs`."""
    if not isinstance(turn, dict) or turn.get("type") not in _TYPES:
        return turn
    fields = next(
        (turn[key] for key in ("data", "kwargs") if isinstance(turn.get(key), dict)), turn
    )
    extra = fields.get("additional_kwargs")
    extra = extra if isinstance(extra, dict) else {}
    calls = fields.get("tool_calls") or extra.get("tool_calls") or fields.get("invalid_tool_calls")
    kept = {key: fields[key] for key in ("name", "tool_call_id") if fields.get(key)}
    legacy = {} if calls else {"function_call": extra.get("function_call")}
    content = {"content": fields.get("content"), "tool_calls": calls, **legacy}
    return {"role": turn["type"], **kept, **content, **label_of({**fields, **turn})}


def _has_steps(row: Any) -> bool:
    return isinstance(row.get("intermediate_steps"), list) and isinstance(row.get("input"), str)


def _recognises(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    turns = row.get("messages")
    return _has_steps(row) or (
        isinstance(turns, list)
        and bool(turns)
        and isinstance(turns[0], dict)
        and turns[0].keys().isdisjoint({"role", "from"})
        and turns[0].get("type") in _TYPES
    )


SOURCE = Source(
    looks_like='{"input": "...", "intermediate_steps": [[{"tool", "tool_input"}, "..."]], ...}',
    recognises=_recognises,
    read=read,
    told_by="intermediate_steps, or messages that have a type and no role",
)
