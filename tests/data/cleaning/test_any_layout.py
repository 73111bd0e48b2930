"""Any layout that can be cleaned is read; canonical conversations stay as they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.any_layout import is_canonical, read_any_layout
from data.cleaning.clean_file import clean_file
from data.conversations import read_conversations, write_conversations
from data.reading import SOURCES

LYON = Message("assistant", "", (ToolCall("weather", {"city": "Lyon"}),))
CANONICAL = Conversation(
    (Message("user", "Rain in Lyon?"), LYON),
    (Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}}),),
    id="a-7",
    source="somewhere",
    sha256="1" * 64,
)
# A file of each layout that lies among the real rows.
REAL = {
    "glaive": "glaive_v2_raw",
    "xlam": "xlam_function_calling_60k",
    "openai": "openai_finetuning_toolcalls",
    "sharegpt": "glaive_toolcall_sharegpt",
    "hammer": "hammer",
    "gorilla": "gorilla_openfunctions_v1",
    "seal_tools": "seal_tools",
}


def parameters_row(city: str, **changes: Any) -> dict[str, Any]:
    """Return a row whose calls are {name, parameters}, as tool_using.py writes them."""
    tool = {
        "name": "weather",
        "description": "Get the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    call = {"name": "weather", "parameters": {"city": city}}
    messages = [
        {"role": "user", "content": f"How is it in {city}?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "content": "It rains.", "name": "weather"},
        {"role": "assistant", "content": f"It rains in {city}."},
    ]
    return {"messages": messages, "tools": [tool], **changes}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_canonical_conversations_are_read_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    write_conversations(file, [CANONICAL])
    told: list[str] = []
    assert list(read_any_layout(file, told.append)) == [CANONICAL]
    assert told == []


def test_rows_of_another_layout_are_cleaned_while_read(tmp_path: Path) -> None:
    talk = parameters_row("x", messages=[{"role": "user", "content": "Hi"}, {"role": "assistant"}])
    talk["messages"][1]["content"] = "Hello"
    unknown = parameters_row("Nice", tools=[])
    file = write(tmp_path / "rows.json", [talk, parameters_row("Oslo"), unknown])
    told: list[str] = []
    found = list(read_any_layout(file, told.append))
    assert [conversation.id for conversation in found] == ["openai-0", "openai-1"]
    assert found[1].messages[1].tool_calls == (ToolCall("weather", {"city": "Oslo"}),)
    assert told == [
        f"{file}: rows of the layout openai, cleaned while they were read: 2 used, 1 rejected "
        "(undeclared-function 1)"
    ]
    clean_file(file, tmp_path / "cleaned.jsonl")
    assert found == list(read_conversations(tmp_path / "cleaned.jsonl"))


@pytest.mark.parametrize("layout", REAL)
def test_real_rows_of_a_layout_are_read(layout: str, shared: Path, tmp_path: Path) -> None:
    files = [p for p in (shared / REAL[layout]).iterdir() if p.suffix in (".json", ".jsonl")]
    (rows, *_) = sorted(files)
    assert not is_canonical(rows)
    told: list[str] = []
    found = next(iter(read_any_layout(rows, told.append)))
    assert found.id.startswith(f"{layout}-") and layout in SOURCES
    assert f"rows of the layout {layout}" in told[0]


def test_unknown_layout_or_file_without_usable_rows_is_refused(tmp_path: Path) -> None:
    foreign = write(tmp_path / "foreign.json", [{"chat": "USER: hi"}])
    with pytest.raises(ValueError, match=r"foreign.json, line 1: no known layout: found an object"):
        list(read_any_layout(foreign))
    useless = write(tmp_path / "useless.json", [parameters_row("Rome", tools=[])])
    with pytest.raises(ValueError, match=r"none of 1 rows can be used; see why with: python scri"):
        list(read_any_layout(useless, lambda line: None))
