"""What the parsers of vLLM and SGLang were recorded to read (export/record_verdicts.py)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from export.parsers import Reading
from export.shapes import SHAPES

_RECORD: dict[str, Any] = json.loads(
    (Path(__file__).parent / "export" / "verdicts.json").read_text(encoding="utf-8")
)
VERSIONS: dict[str, str] = _RECORD["versions"]
# Every reply by its name, `FORMAT: SHAPE`.
REPLIES: dict[str, str] = _RECORD["replies"]
# Formats whose replies are those of another.
SAME_REPLIES = {
    "llama3_short": "llama3",
    "qwen3": "qwen2_5",
    "hermes": "qwen2_5",
    "hermes_short": "qwen2_5",
    "qwen2_for_tool": "llama3_for_tool",
}


def recorded_parsers() -> list[tuple[str, str]]:
    """Return server and name of each parser that was recorded."""
    return [(server, parser) for server, parser in map(str.split, _RECORD["verdicts"])]


def reading(server: str, parser: str, reply: str) -> Reading:
    """Return what a parser read in a whole reply; content without surrounding white space."""
    return _reading(_verdict(server, parser, reply), REPLIES[reply])


def streamed_readings(server: str, parser: str, reply: str) -> Iterator[Reading]:
    """Yield what a parser read in a streamed reply, where that differed from the whole one."""
    for verdict in _verdict(server, parser, reply).get("streamed", {}).values():
        yield _reading(verdict, REPLIES[reply])


def shapes_of(format_name: str) -> dict[str, Reading]:
    """Return what is to be read in each recorded reply of a format, by the name of the reply."""
    name = SAME_REPLIES.get(format_name, format_name)
    return {
        f"{name}: {shape}": Reading(
            message.content.strip(), tuple((c.name, c.arguments) for c in message.tool_calls)
        )
        for shape, message in SHAPES
        if f"{name}: {shape}" in REPLIES
    }


def _verdict(server: str, parser: str, reply: str) -> dict[str, Any]:
    left_as_text = {"content": REPLIES[reply], "calls": []}
    return _RECORD["verdicts"][f"{server} {parser}"].get(reply, left_as_text)


def _reading(verdict: dict[str, Any], text: str) -> Reading:
    # Where a parser fails, its server passes the reply on as text.
    if "error" in verdict:
        return Reading(text.strip())
    calls = ((name, _arguments(text)) for name, text in verdict["calls"])
    return Reading(verdict["content"].strip(), tuple(calls))


def _arguments(text: str) -> Any:
    """Return streamed arguments; as text where they are no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
