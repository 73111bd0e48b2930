"""OpenAI's shape and its relatives: one reader for messages with tools."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.conversations import json_line
from data.reading import SOURCES, detect_format, read_rows

F = {"name": "f", "description": "d", "parameters": {"a": {"type": "int"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
USER = {"role": "user", "content": "hello"}


def read(row: dict[str, Any]) -> Conversation:
    assert SOURCES["openai"].recognises(row)
    return SOURCES["openai"].read(row).conversation


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER], "tools": [{"type": "function", "function": F}]},
        {"messages": [USER], "tools": json.dumps([F])},
        {"messages": json.dumps([USER]), "tools": [F]},
        {"messages": [USER], "functions": [F]},
        {"messages": [USER], "tools": None, "functions": [F]},
        {"messages": [{"role": "system", "content": "", "tools": [F]}, USER]},
        {"messages": [{"role": "system", "content": json.dumps([F])}, USER], "tools": []},
        {"traj": [USER], "tools": [F], "reward": 1.0},
    ],
)
def test_tools_are_found_wherever_they_stand(row: dict[str, Any]) -> None:
    found = read(row)
    assert found.tools == (Tool("f", "d", SCHEMA),)
    assert found.messages == (Message("user", "hello"),)


def test_the_rows_of_a_synthetic_generator_are_read() -> None:
    parameter = {"name": "city", "type": "string", "description": "where", "required": True}
    row = {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": "I'll look.",
                "tool_calls": [{"name": "weather", "parameters": {"city": "Rome"}}],
            },
            {"role": "tool", "content": "sunny", "name": "weather"},
            {"role": "assistant", "content": "It is sunny."},
        ],
        "tools": [{"name": "weather", "description": "d", "parameters": [parameter]}],
    }
    assert detect_format(row) == "openai"
    found = read(row)
    assert found.messages == (
        Message("user", "hello"),
        Message("assistant", "I'll look.", (ToolCall("weather", {"city": "Rome"}),)),
        Message("tool", "sunny", name="weather"),
        Message("assistant", "It is sunny."),
    )
    assert found.tools[0].parameters == {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "where"}},
        "required": ["city"],
    }


def test_legacy_functions_are_read() -> None:
    row = {
        "messages": [
            USER,
            {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a": 1}'}},
            {"role": "function", "name": "f", "content": "2"},
            {"role": "assistant", "content": "It is 2."},
        ],
        "functions": [F],
    }
    assert detect_format(row) == "openai"
    roles = [message.role for message in read(row).messages]
    assert roles == ["user", "assistant", "tool", "assistant"]


def test_a_canonical_conversation_comes_back_as_it_is() -> None:
    conversation = Conversation(
        messages=(
            Message("system", f" Be brief. <tools>{json.dumps(F)}</tools> "),
            Message("user", "hello"),
            Message("assistant", "ok", (ToolCall("f", {"z": 1.0, "a": [None]}, id="c1"),)),
            Message("tool", "", name="f", tool_call_id="c1"),
            Message("assistant", "<tool_call> and <functioncall> are text. <|endoftext|>"),
        ),
        tools=(Tool("f", "d", SCHEMA),),
        id="x-1",
        sha256="ab",
    )
    row = json.loads(json_line(conversation))
    assert detect_format(row) == "openai"
    assert read(row) == replace(conversation, id="", sha256="")
    del row["messages"][2]["tool_calls"]
    assert read(row).messages[-1] == conversation.messages[-1]


def test_real_fine_tuning_rows_are_read(shared: Path) -> None:
    file = shared / "openai_finetuning_toolcalls" / "drone_training.rows.jsonl"
    for row in read_rows(file):
        assert detect_format(row.value) == "openai"
        found = read(row.value)
        assert [m.role for m in found.messages] == ["system", "user", "assistant"]
        assert found.messages[2].tool_calls[0].id == "call_id"
        assert len(found.tools) > 5 and not found.messages[2].content


def test_real_rows_have_one_result_for_each_call(shared: Path) -> None:
    folder = shared / "glaive_toolcall_sharegpt"
    rows = list(read_rows(folder / "reason_tool_use_demo_50.rows_0_24.jsonl"))
    conversations = [read(row.value) for row in rows]
    assert len(conversations) == 25
    for found in conversations:
        calls = sum(len(message.tool_calls) for message in found.messages)
        results = sum(message.role == "tool" for message in found.messages)
        last = len(found.messages[-1].tool_calls)
        assert results == calls - last


def test_real_trajectories_keep_errors_and_recoveries(shared: Path) -> None:
    rows = read_rows(shared / "tau_bench" / "gpt-4o-airline.tasks_0_13.json")
    found = [read(row.value) for row in rows]
    results = [m for conversation in found for m in conversation.messages if m.role == "tool"]
    assert any(message.content.startswith("Error: ") for message in results)
    assert all(message.tool_call_id and message.name for message in results)
