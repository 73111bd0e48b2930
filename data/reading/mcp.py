"""Traces of the Model Context Protocol: JSON-RPC messages, with what was said around them.

`tools/list` declares the tools, `tools/call` is a call, and the response of its id the result.
Turns with a role may stand among the messages, or the user's `prompt` beside them.
"""

from collections.abc import Iterator
from typing import Any

from data.outcomes import Draft, Rejected, excerpt_of, pointer
from data.reading.declarations import Declarations, read_tools
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, open_turn, read_placed
from data.reading.turns import listed

_TRACES = ("trace", "messages", "events", "log", "rpc", "jsonrpc")
_ASKED = ("prompt", "query", "question", "input", "user")
_ANSWERED = ("answer", "response", "output", "final_answer", "completion")
# What a trace's entry may hold its message under, beside a time or a direction.
_INSIDE = ("message", "payload", "data")


def read(value: Any) -> Draft:
    """Read one row; messages of other methods than the two of tools are passed over."""
    key = _trace(value) or _TRACES[0]
    entries = [
        ("/" + key + pointer(i), _unwrapped(entry))
        for i, entry in enumerate(listed(value[key], ""))
    ]
    asked = next((k for k in _ASKED if isinstance(value.get(k), str)), None)
    answered = next((k for k in _ANSWERED if isinstance(value.get(k), str)), None)
    turns = [("/" + asked, {"role": "user", "content": value[asked]})] if asked else []
    turns += _turns(entries)
    if answered:
        turns.append(("/" + answered, {"role": "assistant", "content": value[answered]}))
    if not any(turn.get("role") in ("user", "human") for _, turn in turns):
        reason = f"a trace without what a user asked; wanted a turn, or one of {', '.join(_ASKED)}"
        raise Rejected("wrong-layout", "/" + key, reason, excerpt_of(value[key]))
    system = value.get("system")
    tools = read_tools(value["tools"], "/tools") if value.get("tools") else _tools(entries)
    return draft(read_placed(turns), tools, system, "/system")


def _tools(entries: list[PlacedTurn]) -> Declarations:
    """Read the tools of all responses that list some; a later one goes on or begins anew."""
    found: dict[str, Any] = {}
    for place, entry in entries:
        result = entry.get("result")
        if isinstance(result, dict) and isinstance(result.get("tools"), list):
            declared = read_tools(result["tools"], place + "/result/tools")
            found |= {tool.name: tool for tool in declared.tools}
    return Declarations(tuple(found.values()))


def _turns(entries: list[PlacedTurn]) -> Iterator[PlacedTurn]:
    """Yield what was said; calls that follow one another without a result are one turn."""
    awaited: dict[str, str] = {}
    calling: dict[str, Any] | None = None
    for place, entry in entries:
        if isinstance(entry.get("role"), str):
            calling = open_turn(entry)
            yield place, calling or entry
        elif entry.get("method") == "tools/call":
            params = entry.get("params") if isinstance(entry.get("params"), dict) else {}
            number, name = str(entry.get("id")), params.get("name")
            awaited[number] = str(name)
            if calling is None:
                calling = {"role": "assistant", "content": "", "tool_calls": []}
                yield place, calling
            call = {"id": number, "name": name, "arguments": params.get("arguments") or {}}
            calling["tool_calls"].append(call)
        elif "method" not in entry and (name := awaited.pop(str(entry.get("id")), "")):
            calling = None
            content = _outcome(entry)
            number = str(entry.get("id"))
            yield place, {"role": "tool", "tool_call_id": number, "name": name, "content": content}


def _outcome(response: dict[str, Any]) -> Any:
    """Return the content of a response, or the error that came instead."""
    if "error" in response:
        return {"error": response["error"]}
    result = response.get("result")
    return result["content"] if isinstance(result, dict) and "content" in result else result


def _unwrapped(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        return {}
    inside = (entry[key] for key in _INSIDE if isinstance(entry.get(key), dict))
    return entry if entry.keys() & {"jsonrpc", "role"} else next(inside, entry)


def _trace(row: Any) -> str | None:
    """Return the key of the list that holds JSON-RPC messages, or None."""
    for key in _TRACES:
        entries = row.get(key) if isinstance(row, dict) else None
        if isinstance(entries, list) and any("jsonrpc" in _unwrapped(entry) for entry in entries):
            return key
    return None


SOURCE = Source(
    looks_like='{"prompt": "...", "trace": [{"jsonrpc": "2.0", "method": "tools/call"}, ...]}',
    recognises=lambda row: _trace(row) is not None,
    read=read,
    told_by="a list that holds messages with the key jsonrpc",
)
