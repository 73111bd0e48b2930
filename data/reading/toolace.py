"""ToolACE: tools in the `system` text, calls as `[Some Tool(a=1), f(b=2)]`, results as a list.

Its tools have names of several words, which no Python call has.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from data.outcomes import Change, Draft, Rejected, pointer
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.python_text import read_call_expressions
from data.reading.system_text import read_system
from data.reading.turns import listed

# Every system text of the set asks for its notation in such words.
_NOTATION = re.compile(r"\[func(?:_name)?1\(params_name1?=")
_LEAD_IN = re.compile(r"(?:Here is a list of functions|Should you decide to return)[^\n]*+")
_ABOUT_CALLS = re.compile(r"\b(?:functions?|tools?|NO other text)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s++|\n")
_QUOTED = r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\""


def read(value: Any) -> Draft:
    """Read one row; a list that begins with a call of a declared tool is calls, else a text."""
    system = read_system(value["system"], "/system")
    declarations = system.declarations
    names = [tool.name for tool in declarations.tools]
    turns = [
        turn
        for i, said in enumerate(listed(value["conversations"], "/conversations"))
        for turn in _turns(said, "/conversations" + pointer(i), names)
    ]
    own = _own_words(system.content)
    lost = Change("foreign-instructions", "/system", system.content, own)
    read = draft(read_placed(turns), declarations, own, "/system", search=False)
    return replace(read, changes=(lost, *read.changes)) if own != system.content else read


def _own_words(system: str) -> str:
    """Return what a system text says beside how to compose functions and write their calls."""
    sentences = _SENTENCE_END.split(_LEAD_IN.sub("\n", system))
    return " ".join(part.strip() for part in sentences if not _ABOUT_CALLS.search(part)).strip()


def _turns(turn: Any, place: str, names: Sequence[str]) -> Iterator[PlacedTurn]:
    text = turn.get("value") if isinstance(turn, dict) else None
    speaker = turn.get("from") if isinstance(turn, dict) else None
    if not isinstance(text, str) or speaker not in ("assistant", "gpt", "tool", "observation"):
        yield place, turn
    elif speaker in ("assistant", "gpt"):
        calls = _calls(text.strip(), place, names)
        yield place, {"role": "assistant", "content": "", "tool_calls": calls} if calls else turn
    else:
        for name, content in _results(text):
            yield place, {"role": "tool", "name": name, "content": content}


def _calls(text: str, place: str, names: Sequence[str]) -> list[dict[str, Any]]:
    opened = text[1:].lstrip() if text.startswith("[") else ""
    if not any(opened.startswith(name + "(") for name in names):
        return []
    try:
        read = read_call_expressions(_with_plain_names(text, names))
    except ValueError as error:
        raise Rejected("unreadable-call", place, str(error), text) from error
    return [{"name": _name(name, names), "arguments": arguments} for name, arguments in read]


def _with_plain_names(text: str, names: Sequence[str]) -> str:
    """Return calls with numbers for the tools' names, but inside quotes."""
    numbers = {name: f"tool_{number}" for number, name in enumerate(names)}
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    calls = re.compile(rf"{_QUOTED}|(?P<name>{'|'.join(longest_first)})(?=\s*\()")
    return calls.sub(lambda found: numbers.get(found["name"] or "", found[0]), text)


def _name(number: str, names: Sequence[str]) -> str:
    place = number.removeprefix("tool_")
    return names[int(place)] if place.isdecimal() and int(place) < len(names) else number


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
