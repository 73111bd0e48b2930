"""ToolACE: tools in the `system` text, calls as `[Some Tool(a=1), f(b=2)]`, results as a list.

Its tools have names of several words, which no Python call has.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from data.outcomes import Draft, Rejected, pointer
from data.reading.declarations import Declarations
from data.reading.labels import label_of
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.python_text import read_call_expressions
from data.reading.system_text import read_system
from data.reading.turns import listed

# Every system text of the set asks for its notation in such words.
_NOTATION = re.compile(r"\[func(?:_name)?1\(params_name1?=")


def read(value: Any) -> Draft:
    """Read one row; a list that begins with a call of a declared tool is calls, else a text."""
    names = [tool.name for tool in read_system(value["system"], "/system").declarations.tools]
    turns = [
        turn
        for i, said in enumerate(listed(value["conversations"], "/conversations"))
        for turn in _turns(said, "/conversations" + pointer(i), names)
    ]
    return draft(read_placed(turns), Declarations(), value["system"], "/system")


def _turns(turn: Any, place: str, names: Sequence[str]) -> Iterator[PlacedTurn]:
    text = turn.get("value") if isinstance(turn, dict) else None
    speaker = turn.get("from") if isinstance(turn, dict) else None
    if not isinstance(text, str) or speaker not in ("assistant", "gpt", "tool", "observation"):
        yield place, turn
    elif speaker in ("assistant", "gpt"):
        calls = _calls(text.strip(), place, names)
        called = {"role": "assistant", "tool_calls": calls, **label_of(turn)}
        yield place, called if calls else turn
    else:
        for name, content in _results(text):
            yield place, {"role": "tool", "name": name, "content": content}


def _calls(text: str, place: str, names: Sequence[str]) -> list[dict[str, Any]]:
    opened = text[1:].lstrip() if text.startswith("[") else ""
    if not any(opened.startswith(name + "(") for name in names):
        return []
    try:
        read = read_call_expressions(text)
    except ValueError as error:
        raise Rejected("unreadable-call", place, str(error), text) from error
    return [{"name": name, "arguments": arguments} for name, arguments in read]


def _results(text: str) -> list[tuple[str | None, Any]]:
    """Return the results that a text lists, each with its tool's name, or the text as one."""
    try:
        records = json.loads(text)
    except (ValueError, RecursionError):
        return [(None, text)]
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
