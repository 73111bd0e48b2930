"""TRL's `prompt` and `completion`: texts, or lists of turns that follow one another."""

from collections.abc import Iterator
from typing import Any

from data.outcomes import Draft, pointer
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.rendered import is_rendered, read_text
from data.reading.turns import listed


def read(value: Any) -> Draft:
    """Read one row; two texts that a chat format has written are read as one."""
    if is_rendered(value["prompt"]) and isinstance(value["completion"], str):
        return read_text(value["prompt"] + value["completion"], value.get("tools"), "/prompt")
    turns = read_placed((*said(value, "prompt", "user"), *said(value, "completion", "assistant")))
    tools = read_tools(value.get("tools"), "/tools")
    return draft(turns, tools, value.get("system"), "/system")


def said(value: Any, key: str, role: str) -> Iterator[PlacedTurn]:
    """Yield the turns under a key; a text is one turn of the role."""
    found = value[key]
    if isinstance(found, str) and not found.lstrip().startswith("[{"):
        yield "/" + key, {"role": role, "content": found}
        return
    turns = [found] if isinstance(found, dict) else listed(found, "/" + key)
    for i, turn in enumerate(turns):
        yield f"/{key}" + pointer(i), turn


SOURCE = Source(
    looks_like='{"prompt": [{"role": "user", ...}], "completion": [{"role": "assistant", ...}]}',
    recognises=lambda row: (
        isinstance(row, dict)
        and isinstance(row.get("prompt"), str | list)
        and isinstance(row.get("completion"), str | list | dict)
    ),
    read=read,
    told_by="the keys prompt and completion",
)
