"""Find tool declarations that stand only inside a system text."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from chat.strict_json import LENIENT_DECODER
from data.outcomes import Rejected
from data.reading.declarations import Declarations, read_tools
from data.reading.json_sequence import after_space
from data.reading.python_text import last_collection

WITH_TOOLS = (
    "You are a helpful assistant with access to the following functions. Use them if required -"
)
WITHOUT_TOOLS = "You are a helpful assistant, with no access to external functions."
_START = re.compile(r"(?:\[\s*)?\{\s*[\"'](?:name|type|function|description|parameters)[\"']")
# How many places are tried, and how often the whole text may be read in vain; what else looks like
# a declaration is prose.
_MOST_STARTS = 1000
_MOST_READ = 16
_TAGS = (
    ("<tools>", "</tools>"),
    ("<functions>", "</functions>"),
    ("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
)
_NONE = Declarations()


@dataclass(frozen=True)
class SystemText:
    """What a system text says beside boilerplate, and the tools it declares."""

    content: str
    declarations: Declarations = _NONE


def says_nothing(text: str) -> bool:
    """Return whether a system text only says that tools follow, or that there are none."""
    return text.strip().removeprefix("SYSTEM:").strip() in (WITH_TOOLS, WITHOUT_TOOLS)


def read_system(text: str, where: str) -> SystemText:
    """Read a system text; what is announced as functions and cannot be read is rejected."""
    body = text.strip().removeprefix("SYSTEM:").strip()
    if body == WITHOUT_TOOLS:
        return SystemText("")
    if body.startswith(WITH_TOOLS):
        return SystemText("", read_tools(body.removeprefix(WITH_TOOLS).strip(), where))
    problem: Rejected | None = None
    for opening, closing in _TAGS:
        for start, end in _between(body, opening, closing):
            around = body[: start - len(opening)].rstrip() + "\n\n"
            around += body[end + len(closing) :].lstrip()
            try:
                return SystemText(around.strip(), read_tools(body[start:end], where))
            except Rejected as rejected:
                problem = problem or rejected
    found = _beside_prose(body, where)
    if problem and found is None:
        raise problem
    return found or SystemText(body)


def _between(body: str, opening: str, closing: str) -> Iterator[tuple[int, int]]:
    """Yield where records stand between two tags; a text may name them, or hold prose there."""
    at = 0
    while (end := body.find(closing, at)) >= 0:
        start = body.rfind(opening, at, end)
        inside = body[start + len(opening) : end].lstrip() if start >= 0 else ""
        if inside.startswith(("{", "[")):
            yield start + len(opening), end
        at = end + len(closing)


def _beside_prose(body: str, where: str) -> SystemText | None:
    """Find declarations that nothing announces: JSON anywhere, or Python's repr at the end."""
    reached, left = 0, _MOST_READ * (len(body) + 1000)
    for start in islice(_START.finditer(body), _MOST_STARTS):
        if start.start() < reached:
            continue
        records, end, read = _decoded(body, start.start())
        reached, left = end if records else reached, left - read
        if left < 0:
            break
        if _are_functions(records):
            around = body[: start.start()].rstrip() + "\n\n" + body[end:].lstrip()
            with suppress(Rejected):  # an example of a record, which prose may have
                return SystemText(around.strip(), read_tools(records, where))
    return None


def _decoded(body: str, at: int) -> tuple[list[Any], int, int]:
    """Decode what stands at a place, and what follows it in the same way.

    Return where it ends, and how many characters were read in vain.
    """
    records: list[Any] = []
    read = 0
    while at < len(body):
        try:
            value, end = LENIENT_DECODER.raw_decode(body, at)
        except (ValueError, RecursionError) as error:
            read = (error.pos if isinstance(error, json.JSONDecodeError) else len(body)) - at
            break
        records += value if isinstance(value, list) else [value]
        at = after_space(body, end)
    if not records:
        value, end = last_collection(body, at)
        if value is None:
            return [], at, read + end - at
        return (value if isinstance(value, list) else [value]), len(body), read
    return records, at, read


def _are_functions(records: list[Any]) -> bool:
    """Whether all are named and one at least has parameters, which no other object would."""
    objects = [record.get("function", record) for record in records if isinstance(record, dict)]
    named = len(objects) == len(records) and all(
        isinstance(function, dict) and isinstance(function.get("name"), str) for function in objects
    )
    return named and any(_PARAMETERS & function.keys() for function in objects)


_PARAMETERS = frozenset(("parameters", "input_schema", "inputSchema"))
