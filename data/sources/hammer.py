"""Hammer's training rows: query and tools between marks in an `instruction`, calls in `output`."""

import re
from typing import Any

from chat.conversation import Message
from data.outcomes import Draft, Rejected
from data.sources.declarations import read_tools
from data.sources.layout import Source, draft
from data.sources.turns import Turns
from data.sources.xlam import read_answer

_SECTION = re.compile(
    r"\[BEGIN OF (?P<name>[A-Z ]+)\]\n?(?P<text>.*?)\n?\[END OF (?P=name)\]", re.S
)
_FENCE = re.compile(r"\s*```(?:json)?\s*(?P<text>.*?)\s*```\s*", re.S)


def read(value: Any) -> Draft:
    """Read one row; the marks' other sections say how to answer, which a chat format does."""
    sections = {m["name"]: m["text"].strip() for m in _SECTION.finditer(value["instruction"])}
    missing = next((each for each in ("AVAILABLE TOOLS", "QUERY") if each not in sections), None)
    if missing:
        reason = f"the instruction has no section {missing}"
        raise Rejected("wrong-layout", "/instruction", reason, value["instruction"])
    fence = _FENCE.fullmatch(value["output"])
    answer = read_answer(fence["text"] if fence else value["output"].strip(), "/output")
    turns = Turns((Message("user", sections["QUERY"]), *answer.messages), answer.changes)
    return draft(turns, read_tools(sections["AVAILABLE TOOLS"], "/instruction"))


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
