"""Anthropic's messages: `tool_use` parts of the assistant, `tool_result` parts of the user."""

from collections.abc import Iterator
from typing import Any

from data.outcomes import Draft, pointer
from data.reading.contents import read_content
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.turns import listed


def read(value: Any) -> Draft:
    """Read one row; `system` is a text or a list of its parts."""
    turns = read_placed(_turns(listed(value["messages"], "/messages")))
    tools = read_tools(value.get("tools"), "/tools")
    system = read_content(value.get("system"), "/system").text
    return draft(turns, tools, system, "/system")


def has_results(turns: Any) -> bool:
    """Return whether turns hold results as parts of the user's content."""
    return any(_results(turn) for turn in turns if isinstance(turn, dict))


def _turns(turns: list[Any]) -> Iterator[PlacedTurn]:
    """Yield the turns, results as turns of their own before the text that stands beside them."""
    for i, turn in enumerate(turns):
        results = _results(turn) if isinstance(turn, dict) else []
        for part in results:
            result = {"tool_call_id": part.get("tool_use_id"), "content": part.get("content")}
            yield "/messages" + pointer(i), {"role": "tool", **result}
        if not results:
            yield "/messages" + pointer(i), turn
        elif rest := [part for part in turn["content"] if not _is_result(part)]:
            yield "/messages" + pointer(i), {**turn, "content": rest}


def _results(turn: dict[str, Any]) -> list[dict[str, Any]]:
    return list(filter(_is_result, _parts(turn)))


def _is_result(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_result"


def _parts(turn: Any) -> list[dict[str, Any]]:
    content = turn.get("content") if isinstance(turn, dict) else None
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _recognises(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("messages"), list | str)


def _detects(row: Any) -> bool:
    """Whether a row has what OpenAI's rows do not have: parts of tools, or their schemas' key."""
    if not _recognises(row):
        return False
    turns, tools = row["messages"], row.get("tools")
    kinds = [part.get("type") for turn in turns for part in _parts(turn)]
    schemas = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return (
        "tool_use" in kinds or "tool_result" in kinds or any("input_schema" in t for t in schemas)
    )


SOURCE = Source(
    looks_like='{"messages": [{"role": "user", "content": [{"type": "tool_result", ...}]}, ...]}',
    recognises=_recognises,
    read=read,
    detects=_detects,
    told_by="parts of the type tool_use or tool_result, or tools with an input_schema",
)
