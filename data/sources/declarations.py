"""Read the tool declarations of a row; their schemas stay as they are until cleaning."""

import json
from typing import Any

from chat.conversation import Tool
from data.outcomes import Rejected, pointer

RULE = "unreadable-tools"


def read_tools(value: Any, where: str) -> tuple[Tool, ...]:
    """Read a list of declarations, or the JSON text of one; `where` is its JSON pointer."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except (ValueError, RecursionError) as error:
            reason = f"the tools are not JSON: {error}"
            raise Rejected(RULE, where, reason, value) from error
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Rejected(RULE, where, "the tools must be a list", _text(value))
    return tuple(read_tool(record, where + pointer(i)) for i, record in enumerate(value))


def read_tool(record: Any, where: str) -> Tool:
    """Read one declaration, bare or wrapped as `{"type": "function", "function": {...}}`."""
    function = record.get("function", record) if isinstance(record, dict) else record
    if not isinstance(function, dict):
        raise Rejected(RULE, where, "a tool must be an object", _text(record))
    name, description = function.get("name"), function.get("description")
    parameters = function.get("parameters")
    if not isinstance(name, str) or not name:
        raise Rejected(RULE, where, "a tool must have a name", _text(record))
    if not isinstance(description, str | None):
        raise Rejected(RULE, where, f"the description of {name!r} is no text", _text(record))
    if not isinstance(parameters, dict | None):
        raise Rejected(RULE, where, f"the parameters of {name!r} are no object", _text(record))
    return Tool(name, description or "", parameters or {})


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
