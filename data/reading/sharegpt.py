"""ShareGPT tool conversations: `conversations` of from/value turns, `tools` as JSON text."""

from typing import Any

from data.outcomes import Draft
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.turns import END, ROLES, Style, listed, read_turns


def read(value: Any) -> Draft:
    """Read one row; a call and the text beside it may be turns of their own."""
    turns = listed(value["conversations"], "/conversations")
    key = "functions" if value.get("tools") is None and "functions" in value else "tools"
    tools = value.get(key)
    if tools is None and turns and isinstance(turns[0], dict):
        # Some put the tools into the turn of the system.
        tools = turns[0].get("tools")
    named = [turn.get("from", turn.get("role")) for turn in turns if isinstance(turn, dict)]
    speakers = {name for name in named if isinstance(name, str)}
    # Beside `observation`, a function's turn is its call; elsewhere it is what came back.
    roles = {**ROLES, "function": "call"} if "observation" in speakers else ROLES
    read = read_turns(turns, "/conversations", Style(roles, end=END))
    return draft(read, read_tools(tools, "/" + key), value.get("system"), "/system")


SOURCE = Source(
    looks_like='{"conversations": [{"from": "human", "value": "..."}, ...], "tools": "[...]"}',
    recognises=lambda row: (
        isinstance(row, dict) and isinstance(row.get("conversations"), list | str)
    ),
    read=read,
)
