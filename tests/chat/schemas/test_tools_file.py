"""Tools of a JSON file: which shapes are read, and what is said of others."""

import json
from pathlib import Path

import pytest

from chat.schemas.tools_file import read_json_tools


@pytest.mark.parametrize(
    "value",
    [
        [{"name": "now"}],
        {"name": "now"},
        {"tools": [{"name": "now"}]},
        {"result": {"tools": [{"name": "now"}]}},
    ],
    ids=["list", "tool", "object", "MCP"],
)
def test_every_shape_of_a_file_is_read(value: object, tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps(value))
    (tool,) = read_json_tools(file, "--tools-file")
    assert tool.name == "now"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", 'wanted a list of tools, or an object with "tools"'),
        ('{"tools": 3}', 'wanted a list of tools, or an object with "tools"'),
        ("[7]", "a tool must be an object, found 7"),
        ("[" * 100_000, "it is nested too deeply"),
        ('[{"messages": []}]', "found an object with the keys 'messages', wanted a tool with its"),
        (
            '{"name": "a"}\n{"name": "b"}',
            "Extra data.*; wanted one list of tools, and this is JSON L",
        ),
    ],
    ids=["JSON", "empty", "number", "tool", "deep", "rows", "lines"],
)
def test_another_file_is_named_with_its_flag(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"--tools-file .*{problem}"):
        read_json_tools(file, "--tools-file")


def test_a_missing_file_is_named_with_its_flag(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"--tools-file .* does not exist; name a \.json"):
        read_json_tools(tmp_path / "tools.json", "--tools-file")
