"""OpenAI's Responses API: `input` items, then those of `output`, with calls as items of their own.

Calls that follow one another, and the text before them, are one turn of the assistant.
"""

from collections.abc import Iterator
from typing import Any

from data.outcomes import Draft, Rejected, excerpt_of, pointer
from data.reading.contents import thought_text
from data.reading.declarations import read_tools
from data.reading.labels import label_of
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, open_turn, read_placed
from data.reading.turns import listed

_ITEMS = ("function_call", "function_call_output", "reasoning")


def read(value: Any) -> Draft:
    """Read one row; `instructions` are the system text."""
    turns = read_placed(_turns(value))
    tools = read_tools(value.get("tools"), "/tools")
    return draft(turns, tools, value.get("instructions"), "/instructions")


def _turns(value: Any) -> list[PlacedTurn]:
    turns: list[PlacedTurn] = []
    calling: dict[str, Any] | None = None
    # What was thought and belongs to the turn that follows, and by the turn's place all of it.
    thoughts: list[str] = []
    beside: dict[int, list[str]] = {}
    for place, item in _items(value):
        kind = item.get("type") or "message"
        if kind == "reasoning":
            thoughts += filter(None, map(thought_text, (item.get("summary"), item.get("content"))))
        elif kind == "function_call":
            if calling is None:
                calling = {"role": "assistant", "content": "", "tool_calls": []}
                turns.append((place, calling))
            calling["tool_calls"].append(_call(item))
            calling.update(label_of(item))
        elif kind == "function_call_output":
            result = {"tool_call_id": item.get("call_id"), "content": item.get("output")}
            turns.append((place, {"role": "tool", **result}))
            calling = None
        else:
            calling = open_turn(item)
            turns.append((place, calling or dict(item)))
        if thoughts and kind != "reasoning":
            beside.setdefault(len(turns) - 1, []).extend(thoughts)
            thoughts = []
    for i, found in beside.items():
        turns[i][1]["reasoning_content"] = [turns[i][1].get("reasoning_content"), *found]
    return turns


def _items(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for key in ("input", "output"):
        items = value.get(key)
        if key == "input" and isinstance(items, str) and not items.lstrip().startswith("[{"):
            yield "/input", {"role": "user", "content": items}
            continue
        for i, item in enumerate(listed(items, "/" + key) if items is not None else ()):
            place = f"/{key}" + pointer(i)
            if not isinstance(item, dict):
                raise Rejected("wrong-layout", place, "an item must be an object", excerpt_of(item))
            if "role" not in item and item.get("type") not in _ITEMS:
                wanted = f"a role or a type of {', '.join(_ITEMS)}"
                reason = f"an item of the type {item.get('type')!r}, wanted {wanted}"
                raise Rejected("wrong-layout", place, reason, excerpt_of(item))
            yield place, item


def _call(item: dict[str, Any]) -> dict[str, Any]:
    number = item.get("call_id") or item.get("id")
    return {"id": number, "name": item.get("name"), "arguments": item.get("arguments")}


def _recognises(row: Any) -> bool:
    """Whether a row holds items: a list of objects with roles or types, or a text and an output."""
    if not isinstance(row, dict):
        return False
    items = row.get("output") if isinstance(row.get("input"), str) else row.get("input")
    return (
        isinstance(items, list)
        and bool(items)
        and all(isinstance(item, dict) and item.keys() & {"role", "type"} for item in items)
    )


SOURCE = Source(
    looks_like='{"input": [{"role": "user", "content": "..."}, {"type": "function_call"}, ...]}',
    recognises=_recognises,
    read=read,
)
