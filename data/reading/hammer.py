"""Hammer's training rows: query and tools between marks in an `instruction`, calls in `output`."""

import re
from collections.abc import Iterator
from typing import Any

from chat.conversation import Message
from data.outcomes import Draft, Rejected
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.turns import Turns
from data.reading.xlam import read_answer

_MARK = re.compile(r"\[(BEGIN|END) OF ([A-Z ]+)\]")
_FENCE = "```"


def read(value: Any) -> Draft:
    """Read one row; the marks' other sections say how to answer, which a chat format does."""
    sections = dict(_sections(value["instruction"]))
    missing = next(
        (section for section in ("AVAILABLE TOOLS", "QUERY") if section not in sections), None
    )
    if missing:
        reason = f"the instruction has no section {missing}"
        raise Rejected("wrong-layout", "/instruction", reason, value["instruction"])
    answer = read_answer(_without_fence(value["output"].strip()), "/output")
    turns = Turns((Message("user", sections["QUERY"]), *answer.messages), answer.changes)
    return draft(turns, read_tools(sections["AVAILABLE TOOLS"], "/instruction"))


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stands between two marks of one name, with the name; a mark alone is text."""
    marks = list(_MARK.finditer(text))
    ends: dict[str, list[re.Match[str]]] = {}
    for mark in reversed(marks):
        if mark[1] == "END":
            ends.setdefault(mark[2], []).append(mark)
    reached = 0
    for mark in marks:
        closing = ends.get(mark[2], [])
        while closing and closing[-1].start() < max(reached, mark.end()):
            closing.pop()
        if mark[1] == "BEGIN" and mark.start() >= reached and closing:
            yield mark[2], text[mark.end() : closing[-1].start()].strip()
            reached = closing[-1].end()


def _without_fence(text: str) -> str:
    if len(text) < 2 * len(_FENCE) or not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    return text[len(_FENCE) : -len(_FENCE)].removeprefix("json").strip()


SOURCE = Source(
    looks_like='{"instruction": "... [BEGIN OF AVAILABLE TOOLS] ...", "output": "..."}',
    recognises=lambda row: (
        isinstance(row, dict)
        and isinstance(row.get("instruction"), str)
        and "[BEGIN OF AVAILABLE TOOLS]" in row["instruction"]
        and isinstance(row.get("output"), str)
    ),
    read=read,
)
