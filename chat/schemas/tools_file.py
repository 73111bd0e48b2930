"""Tools declared in a JSON file: a list, MCP's result of `tools/list`, or a single tool."""

from pathlib import Path
from typing import Any

from chat.conversation import Tool
from chat.schemas.validation import read_tool
from chat.strict_json import read_json


def read_json_tools(path: Path, flag: str) -> tuple[Tool, ...]:
    """Read the tools of a file, bare or as `{"type": "function", "function": {...}}`.

    ValueError names the `flag`, the file and what is wrong; FileNotFoundError where there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{flag} {path} does not exist; name a .json or .py file")
    try:
        return tuple(map(read_tool, tool_records(read_json(path.read_text(encoding="utf-8-sig")))))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{flag} {path}: {error}") from error


def tool_records(value: Any) -> list[Any]:
    """Return the declarations; MCP's answer holds them as `{"result": {"tools": [...]}}`."""
    if isinstance(value, dict) and isinstance(value.get("result"), dict):
        value = value["result"]
    if isinstance(value, dict):
        value = value.get("tools", [value])
    if not isinstance(value, list) or not value:
        raise ValueError('wanted a list of tools, or an object with "tools"')
    return value
