"""A file of tools: a list, MCP's answer, one tool, or a Python file of functions."""

import json
from pathlib import Path
from typing import Any

import pytest

from synthesis.tools_file import read_user_tools

SCHEMA = {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]}
BARE = {"name": "find_tide", "description": "Finds a tide.", "parameters": SCHEMA}
MCP = {"name": "find_tide", "description": "Finds a tide.", "inputSchema": SCHEMA}
FUNCTION = '''
def find_tide(port: str, days: int = 1) -> str:
    """Finds a tide.

    Args:
        port: The harbour.
    """
    return "14:20"
'''


@pytest.mark.parametrize(
    "content",
    [
        [BARE],
        [{"type": "function", "function": BARE}],
        {"tools": [MCP]},
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": [MCP], "nextCursor": None}},
        BARE,
    ],
)
def test_json_of_every_shape_is_read(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps(content))
    (tool,), functions = read_user_tools(file, "--tools-file")
    assert (tool.name, tool.description, dict(tool.parameters)) == (
        "find_tide",
        "Finds a tide.",
        SCHEMA,
    )
    assert functions == ()


def test_python_file_gives_schemas_of_its_functions(tmp_path: Path) -> None:
    file = tmp_path / "tools.py"
    file.write_text(FUNCTION)
    (tool,), (function,) = read_user_tools(file, "--tools-file")
    assert tool.parameters["required"] == ["port"] and function.run({"port": "Hull"}) == "14:20"
    assert tool.parameters["properties"]["port"]["description"] == "The harbour."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "wanted a list of tools"),
        ('{"tools": "none"}', "wanted a list of tools"),
        ('[{"description": "x"}]', "a tool's name must be text"),
        ('[{"name": "f", "parameters": NaN}]', "NaN is no JSON"),
        ("[", "Expecting value"),
    ],
)
def test_unreadable_file_is_named_with_the_flag(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=rf"--tools-file .*tools\.json: .*{message}"):
        read_user_tools(file, "--tools-file")
    with pytest.raises(FileNotFoundError, match=r"--tools-file .*nowhere\.json does not exist"):
        read_user_tools(tmp_path / "nowhere.json", "--tools-file")
