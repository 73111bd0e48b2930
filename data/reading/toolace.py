"""ToolACE: tools in the `system` text, calls as `[Some Tool(a=1), f(b=2)]`, results as a list.

Its tools have names of several words.
"""

import re
from collections.abc import Iterator
from typing import Any

from data.outcomes import Draft, pointer
from data.reading.contents import json_or_text
from data.reading.declarations import Declarations
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.turns import listed

# Every system text of the set asks for its notation in such words.
_NOTATION = re.compile(r"\[func(?:_name)?1\(params_name1?=")


def read(value: Any) -> Draft:
    """Read one row; the tools are found in the system text, and the calls in the texts of turns."""
    turns = [
        turn
        for i, said in enumerate(listed(value["conversations"], "/conversations"))
        for turn in _turns(said, "/conversations" + pointer(i))
    ]
    return draft(read_placed(turns), Declarations(), value["system"], "/system")


def _turns(turn: Any, place: str) -> Iterator[PlacedTurn]:
    """Yield a turn, or in place of one that lists results a turn for each."""
    text = turn.get("value") if isinstance(turn, dict) else None
    if not isinstance(text, str) or turn.get("from") not in ("tool", "observation"):
        yield place, turn
        return
    for name, content in _results(text):
        yield place, {"role": "tool", "name": name, "content": content}


def _results(text: str) -> list[tuple[str | None, Any]]:
    """Return the results that a text lists, each with its tool's name, or the text as one."""
    records = json_or_text(text)
    listed = isinstance(records, list) and all(
        isinstance(record, dict) and record.keys() == {"name", "results"} for record in records
    )
    return [(record["name"], record["results"]) for record in records] if listed else [(None, text)]


def _recognises(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("system"), str)
        and isinstance(row.get("conversations"), list | str)
    )


SOURCE = Source(
    looks_like='{"system": "... [func1(params_name=...)] ...", "conversations": [...]}',
    recognises=_recognises,
    read=read,
    detects=lambda row: _recognises(row) and bool(_NOTATION.search(row["system"])),
    told_by="a system text that asks for calls as [func1(params_name=params_value)]",
)
