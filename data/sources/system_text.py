"""Find tool declarations that stand only inside a system text."""

import json
import re
from dataclasses import dataclass
from typing import Any

from data.sources.declarations import Declarations, read_tools
from data.sources.python_text import read_literal

WITH_TOOLS = (
    "You are a helpful assistant with access to the following functions. Use them if required -"
)
WITHOUT_TOOLS = "You are a helpful assistant, with no access to external functions."
_START = re.compile(r"(?:\[\s*)?\{\s*[\"'](?:name|type|function|description|parameters)[\"']")
_DECODER = json.JSONDecoder(strict=False)
_TAGS = tuple(
    re.compile(rf"{re.escape(opening)}(?P<tools>.*?){re.escape(closing)}", re.DOTALL)
    for opening, closing in (
        ("<tools>", "</tools>"),
        ("<functions>", "</functions>"),
        ("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    )
)


_NONE = Declarations()


@dataclass(frozen=True)
class SystemText:
    """What a system text says beside boilerplate, and the tools it declares."""

    content: str
    declarations: Declarations = _NONE


def read_system(text: str, where: str) -> SystemText:
    """Read a system text; what is announced as functions and cannot be read is rejected."""
    body = text.strip().removeprefix("SYSTEM:").strip()
    if body == WITHOUT_TOOLS:
        return SystemText("")
    if body.startswith(WITH_TOOLS):
        return SystemText("", read_tools(body.removeprefix(WITH_TOOLS).strip(), where))
    for tags in _TAGS:
        for match in tags.finditer(body):
            if match["tools"].strip(" \n,."):
                around = body[: match.start()].rstrip() + "\n\n" + body[match.end() :].lstrip()
                return SystemText(around.strip(), read_tools(match["tools"], where))
    return _beside_prose(body, where) or SystemText(body)


def _beside_prose(body: str, where: str) -> SystemText | None:
    """Find declarations that nothing announces: JSON anywhere, or Python's repr at the end."""
    for start in _START.finditer(body):
        records, end = _decoded(body, start.start())
        if _are_functions(records):
            around = body[: start.start()].rstrip() + "\n\n" + body[end:].lstrip()
            return SystemText(around.strip(), read_tools(records, where))
    return None


def _decoded(body: str, at: int) -> tuple[list[Any], int]:
    """Decode what stands at a place, and what follows it in the same way; return where it ends."""
    records: list[Any] = []
    while at < len(body):
        try:
            value, end = _DECODER.raw_decode(body, at)
        except (ValueError, RecursionError):
            break
        records += value if isinstance(value, list) else [value]
        at = end + len(body[end:]) - len(body[end:].lstrip(" \t\r\n,"))
    if not records:
        try:
            value = read_literal(body[at:])
        except ValueError:
            return [], at
        return (value if isinstance(value, list) else [value]), len(body)
    return records, at


def _are_functions(records: list[Any]) -> bool:
    """Whether all are named and one at least has parameters, which no other object would."""
    objects = [each.get("function", each) for each in records if isinstance(each, dict)]
    named = len(objects) == len(records) and all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in objects
    )
    return named and any(_PARAMETERS & each.keys() for each in objects)


_PARAMETERS = frozenset(("parameters", "input_schema", "inputSchema"))
