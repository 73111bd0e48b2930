"""LMFlow conversations: one object around all rows, calls in turns of `function`."""

import json
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Message, Tool, ToolCall
from data.outcomes import Rejected
from data.reading import SOURCES, detect_format, read_rows
from data.reading.system_text import WITH_TOOLS, WITHOUT_TOOLS

F = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
TURNS = [
    {"role": "user", "content": "hello"},
    {"role": "function", "content": '{"name": "f", "arguments": {}}'},
    {"role": "observation", "content": "1"},
    {"role": "assistant", "content": "It is 1."},
]
WITH = {"system": WITH_TOOLS + " ", "tools": [json.dumps(F)], "messages": TURNS}
WITHOUT = {"system": WITHOUT_TOOLS, "tools": [], "messages": [TURNS[0], TURNS[3]]}


def test_an_instance_is_a_conversation() -> None:
    found = SOURCES["lmflow"].read(WITH).conversation
    assert found.tools == (Tool("f", "d", F["parameters"]),)
    assert found.messages == (
        Message("user", "hello"),
        Message("assistant", tool_calls=(ToolCall("f", {}),)),
        Message("tool", "1"),
        Message("assistant", "It is 1."),
    )
    assert SOURCES["lmflow"].read(WITHOUT).conversation.tools == ()


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_the_instances_of_a_file_are_its_rows(
    tmp_path: Path, indent: int | None, name: str
) -> None:
    file = tmp_path / name
    whole = {"type": "conversation", "instances": [WITH, WITHOUT, WITH]}
    file.write_text(json.dumps(whole, indent=indent))
    rows = [row.value for row in read_rows(file)]
    assert rows == [WITH, WITHOUT, WITH]
    assert {detect_format(row) for row in rows} == {"lmflow"}


@pytest.mark.parametrize(
    "content",
    [
        """{"name": "f", "arguments": '{}'}""",
        """<functioncall> {"name": "f", "arguments": '{}'} <|endoftext|>""",
        "{'name': 'f', 'arguments': {}}",
        '[{"name": "f", "parameters": {}}]',
    ],
)
def test_calls_are_read_in_several_forms(content: str) -> None:
    turns = [TURNS[0], {"role": "function", "content": content}]
    found = SOURCES["lmflow"].read({**WITH, "messages": turns}).conversation
    assert found.messages[1].tool_calls == (ToolCall("f", {}),)


@pytest.mark.parametrize(
    "row",
    [
        WITH,
        WITHOUT,
        {"tools": [json.dumps(F)], "messages": TURNS[:1]},
        {"messages": TURNS},
        {"conversation_id": 1, "messages": TURNS[:1]},
        {"type": "conversation", "instances": [WITH]},
    ],
)
def test_lmflow_rows_are_detected(row: dict[str, Any]) -> None:
    assert detect_format(row) == "lmflow"
    assert SOURCES["lmflow"].read(row).conversation.messages


def test_a_row_of_several_instances_is_rejected() -> None:
    row = {"type": "conversation", "instances": [WITH, WITH]}
    with pytest.raises(Rejected, match="must hold one instance, found 2"):
        SOURCES["lmflow"].read(row)
    with pytest.raises(Rejected, match="not JSON"):
        SOURCES["lmflow"].read({**WITH, "messages": [{"role": "function", "content": "{"}]})
