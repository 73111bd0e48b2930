"""Read texts that are calls of declared tools and nothing else, without any mark of calls.

JSON of names and arguments, `f(a=1)`, `[f(a=1), g()]`, or a name, a line, and JSON.
"""

import re
from collections.abc import Mapping, Sequence

from chat.conversation import Tool
from chat.strict_json import LENIENT_DECODER, call_decoder
from data.reading.call_text import (
    NAME_KEYS,
    ReadCall,
    has_arguments,
    read_call_value,
    read_calls,
    read_expressions,
)
from data.reading.python_text import end_of_group

Tools = Mapping[str, Tool]

_NAMES = "|".join(NAME_KEYS)
_RECORD = re.compile(
    rf"""[\[\s]*+(?:\{{\s*"(?:tool_uses|tool_calls|calls|function_call)"\s*:\s*\[?\s*)?\{{\s*
    (?:["'](?:id|type)["']\s*:\s*["'][^"']*["']\s*,\s*)*(?:["']function["']\s*:\s*\{{\s*)?
    ["'](?:{_NAMES})["']\s*:\s*["'](?P<name>[^"']*)(?:["']\s*(?:,\s*["']?(?:arg|par|inp|act|kw|tool_|\Z)|\Z))""",
    re.VERBOSE,
)
_EXPRESSION = re.compile(r"(?:\[\s*)?(?P<name>[^\W\d][^()\[\]{}\"'=,\n]*+)\(")
_DECODER = call_decoder(raw_newlines=True, exact=True)


def is_declared(name: str, tools: Tools) -> bool:
    """Return whether a tool has a name, spaces and the prefix `functions.` aside."""
    return name in tools or name.strip().removeprefix("functions.").strip() in tools


def any_declared(calls: Sequence[ReadCall], tools: Tools) -> bool:
    """Return whether one of several calls is of a declared tool."""
    return any(is_declared(read.call.name, tools) for read in calls)


def read_bare(text: str, tools: Tools) -> tuple[ReadCall, ...]:
    """Read a text that is calls of declared tools and nothing else, without any mark."""
    if text[0] in "[{":
        calls = _records(text, tools) or _by_name(text, tools)
        if calls:
            return calls
    name, newline, arguments = text.partition("\n")
    if newline and text[-1] == "}" and is_declared(name, tools):  # as the first GLM models write
        return (read_call_value({"name": name.strip(), "arguments": arguments}),)
    code = text.rstrip(".;").strip("`")
    if code.startswith("print(") and end_of_group(code) == len(code):
        code = code[len("print(") : -1]
    begin = _EXPRESSION.match(code) if code[:1] == "[" or code[-1:] in (")", "]") else None
    if begin is None or begin["name"][-1].isspace() or not is_declared(begin["name"], tools):
        return ()
    if code.startswith("[") and end_of_group(code) < 0:
        raise ValueError("the list of calls is cut off")
    return _expressions(code) if code[-1] in ")]" else ()


def _records(text: str, tools: Tools) -> tuple[ReadCall, ...]:
    """Read JSON of calls; no calls where it is another JSON, or names no declared tool."""
    try:
        calls = read_calls(text)
    except (ValueError, RecursionError):
        begin = _RECORD.match(text)
        if begin is None or not is_declared(begin["name"], tools) or _is_other_json(text):
            return ()
        raise
    if not any_declared(calls, tools) and '"recipient_name"' not in text:
        return ()
    return calls if has_arguments(text) and not _are_schemas(calls, tools) else ()


def _by_name(text: str, tools: Tools) -> tuple[ReadCall, ...]:
    """Read `{"f": {"a": 1}}`, or a list of such: a declared tool with parameters that it has."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return ()
    records = value if isinstance(value, list) else [value]
    if not all(isinstance(record, dict) and len(record) == 1 for record in records):
        return ()
    named = [(name, given) for record in records for name, given in record.items()]
    if not all(_takes(tools.get(name), given) for name, given in named):
        return ()
    return tuple(read_call_value({"name": name, "arguments": given}) for name, given in named)


def _takes(tool: Tool | None, given: object) -> bool:
    """Whether a tool has parameters of all the names in an object."""
    names = (tool.parameters.get("properties") or {}) if tool else {}
    return isinstance(given, dict) and bool(given) and given.keys() <= names.keys()


def _is_other_json(text: str) -> bool:
    """Whether a text is JSON with prose after it, or has descriptions, as declarations have."""
    try:
        value, end = LENIENT_DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False
    if text[end:] and text[end:].lstrip()[0] not in "{}[],;":
        return True
    values = value if isinstance(value, list) else [value]
    return any(isinstance(value, dict) and "description" in value for value in values)


def _are_schemas(calls: Sequence[ReadCall], tools: Tools) -> bool:
    """Whether the `parameters` are a declaration's, of a tool that takes no such arguments."""
    for read in calls:
        tool = tools.get(read.call.name)
        taken = tool.parameters.get("properties") or {} if tool else {}
        if {"type", "properties"} <= read.call.arguments.keys() - taken.keys():
            return True
    return False


def _expressions(text: str) -> tuple[ReadCall, ...]:
    """Read `f(a=1)`, or a list of such calls; ValueError where it is one and cannot be read."""
    try:
        return read_expressions(text)
    except ValueError:
        if end_of_group(text) != len(text):
            return ()
        raise
