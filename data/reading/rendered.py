"""Rendered rows, `{"text": "<|im_start|>system\\n..."}`, in the chat formats of chat/formats/.

Turns are cut at the format's marks, and calls read by the format's own reader.
"""

from dataclasses import replace
from typing import Any

from data.outcomes import Change, Draft, Rejected
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.placed_turns import read_placed


def read(value: Any) -> Draft:
    """Read one row; tools may stand beside the text, else they are those that it announces."""
    return read_text(value["text"], value.get("tools"), "/text")


def read_text(text: str, tools: Any, where: str) -> Draft:
    """Read a rendered text; `where` is its JSON pointer, and that of all that is found in it."""
    try:
        found = _read(text, tools)
    except Rejected as rejected:
        raise Rejected(rejected.rule, where, rejected.reason, rejected.excerpt) from rejected
    return replace(found, changes=tuple(replace(c, pointer=where) for c in found.changes))


def is_rendered(text: Any) -> bool:
    """Return whether a value is a text with the marks of a known chat format."""
    if not isinstance(text, str):
        return False
    # Not at the top: it loads all formats and their tokenizers, which most files do not need.
    from data.reading.rendered_turns import find_family

    return find_family(text) is not None


def _read(text: str, tools: Any) -> Draft:
    from data.reading.rendered_turns import find_family

    family = find_family(text)
    if family is None:
        raise Rejected("wrong-layout", "", "the text has the marks of no known chat format", text)
    found = family.read(text)
    if found.has_types and not tools:
        reason = (
            "the tools are announced as TypeScript, which does not hold their schemas; "
            "give them beside the text, as a list under tools"
        )
        raise Rejected("unreadable-tools", "", reason, text)
    turns = read_placed(("", turn) for turn in found.turns)
    read = draft(turns, read_tools(tools or found.tools, ""))
    changes: tuple[Change, ...] = (*found.changes, *read.changes)
    return replace(read, changes=changes)


SOURCE = Source(
    looks_like='{"text": "<|im_start|>system\\n..."}, a text that a chat format has written',
    recognises=lambda row: isinstance(row, dict) and is_rendered(row.get("text")),
    read=read,
    told_by="a text that begins with the marks of a chat format",
)
