"""Read the tool declarations of a row, their schemas brought to JSON Schema."""

import json
from typing import Any

from chat.conversation import Tool
from chat.schemas import read_tool
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
        raise Rejected(RULE, where, "the tools must be a list", json.dumps(value))
    return tuple(read_declaration(record, where + pointer(i)) for i, record in enumerate(value))


def read_declaration(record: Any, where: str) -> Tool:
    """Read one declaration, bare or wrapped as `{"type": "function", "function": {...}}`."""
    try:
        return read_tool(record)
    except (ValueError, RecursionError) as error:
        raise Rejected(RULE, where, str(error), json.dumps(record, ensure_ascii=False)) from error
