"""OpenAI's shape: `messages` and `tools`. Fine-tuning rows, canonical conversations, and the like.

Also legacy `functions` and `function_call`, calls as `{"name", "parameters"}`, content as parts.
"""

from typing import Any

from data.outcomes import Draft
from data.reading import anthropic
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.turns import listed, read_turns

_MESSAGES = ("messages", "traj")
# Toucan calls them available_tools.
_TOOLS = ("tools", "functions", "available_tools")


def read(value: Any) -> Draft:
    """Read one row; tools may stand beside the messages, in the first of them, or in its text."""
    key = next(key for key in _MESSAGES if isinstance(value.get(key), list | str))
    turns = listed(value[key], "/" + key)
    if key == "messages" and anthropic.has_results(turns):
        # Only a file's first row decides on its layout.
        return anthropic.read(value)
    holder, where = value, ""
    if not any(value.get(field) for field in _TOOLS) and turns and isinstance(turns[0], dict):
        holder, where = turns[0], f"/{key}/0"
    name = next((field for field in _TOOLS if holder.get(field)), "tools")
    tools = read_tools(holder.get(name), f"{where}/{name}")
    # Conversations that were cleaned already have a sha256: their texts are texts.
    cleaned = "sha256" in value
    return draft(
        read_turns(turns, "/" + key), tools, value.get("system"), "/system", search=not cleaned
    )


SOURCE = Source(
    looks_like='{"messages": [{"role": "user", "content": "..."}, ...], "tools": [...]}',
    recognises=lambda row: (
        isinstance(row, dict) and any(isinstance(row.get(key), list | str) for key in _MESSAGES)
    ),
    read=read,
)
