"""Tools declared in a JSON file: a list, MCP's result of `tools/list`, or a single tool."""

from pathlib import Path
from typing import Any

from chat.conversation import Tool
from chat.schemas.validation import read_tool
from chat.strict_json import read_json

# What an object has that is meant to be a tool.
_OF_TOOLS = {
    "name",
    "function",
    "description",
    "title",
    "parameters",
    "inputSchema",
    "input_schema",
}
_MOST_KEYS = 12


def read_json_tools(path: Path, flag: str) -> tuple[Tool, ...]:
    """Read the tools of a file, bare or as `{"type": "function", "function": {...}}`.

    ValueError names the `flag`, the file and what is wrong; FileNotFoundError where there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{flag} {path} does not exist; name a .json or .py file")
    try:
        records = tool_records(read_json(path.read_text(encoding="utf-8-sig")))
        for record in records:
            _check_no_row(record)
        return tuple(map(read_tool, records))
    except (ValueError, RecursionError) as error:
        lines = "; wanted one list of tools, and this is JSON Lines, as files of rows are"
        raise ValueError(
            f"{flag} {path}: {error}{lines if 'Extra data' in str(error) else ''}"
        ) from error


def _check_no_row(record: Any) -> None:
    """Raise ValueError for an object that is no attempt at a tool, as a dataset's rows are."""
    if not isinstance(record, dict) or record.keys() & _OF_TOOLS:
        return
    keys = ", ".join(map(repr, list(record)[:_MOST_KEYS]))
    raise ValueError(
        f"found an object with the keys {keys or '(none)'}, wanted a tool with its name; rows of "
        "conversations go with --source-file"
    )


def tool_records(value: Any) -> list[Any]:
    """Return the declarations; MCP's answer holds them as `{"result": {"tools": [...]}}`."""
    if isinstance(value, dict) and isinstance(value.get("result"), dict):
        value = value["result"]
    if isinstance(value, dict):
        value = value.get("tools", [value])
    if not isinstance(value, list) or not value:
        raise ValueError('wanted a list of tools, or an object with "tools"')
    return value
