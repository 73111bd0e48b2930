"""Canonical JSON Lines: what is written is read back, and content decides what is the same."""

import hashlib
import json
from pathlib import Path

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.conversations import (
    content_sha256,
    fraction,
    json_line,
    read_conversations,
    write_conversations,
)

FULL = Conversation(
    messages=(
        Message("system", "Be brief.\u2028"),
        Message("user", "é 🎉 <|eot_id|>"),
        Message("assistant", "", (ToolCall("f", {"z": 1, "a": [1.0, None]}, id="1"),)),
        Message("tool", "", name="f", tool_call_id="1"),
    ),
    tools=(Tool("f", "d", {"type": "object", "properties": {}}),),
    id="x-1",
    source="x",
    sha256="ab",
)


def test_conversations_come_back_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    assert write_conversations(file, [FULL, FULL]) == 2
    assert list(read_conversations(file)) == [FULL, FULL]
    assert file.read_text(encoding="utf-8").count("\n") == 2
    assert '"z": 1, "a": [1.0, null]' in file.read_text(encoding="utf-8")


def test_a_line_is_the_record_as_json() -> None:
    for conversation in (
        FULL,
        Conversation(FULL.messages),
        Conversation((), FULL.tools * 2, id="x"),
    ):
        assert (
            json_line(conversation)
            == json.dumps(conversation.to_record(), ensure_ascii=False) + "\n"
        )


def test_content_hash_is_of_the_record_with_sorted_keys() -> None:
    record = FULL.to_record()
    content = {"messages": record["messages"], "tools": record["tools"]}
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert content_sha256(FULL) == hashlib.sha256(text.encode()).hexdigest()


def test_a_plain_list_of_messages_and_tools_gets_an_origin(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([{"messages": [{"role": "user", "content": "a"}]}] * 2, indent=1))
    found = list(read_conversations(file))
    assert [(c.id, c.source) for c in found] == [("rows-0", "rows.json"), ("rows-1", "rows.json")]
    assert len(found[0].sha256) == 64


def test_invalid_row_error_names_its_line_and_the_remedy(
    tmp_path: Path,
) -> None:
    file = tmp_path / "rows.json"
    file.write_text('{"messages": []}\n\n{"messages": [{"role": "robot"}]}\n')
    with pytest.raises(ValueError, match=r"row 1 \(line 3\).*messages\[0\].role is 'robot'.*clean"):
        list(read_conversations(file))


def test_content_hash_ignores_origin_and_key_order() -> None:
    other = Conversation.from_record({**FULL.to_record(), "id": "y-2", "source": "y"})
    assert content_sha256(other) == content_sha256(FULL)
    turned = FULL.messages[2].tool_calls[0].arguments
    call = ToolCall("f", dict(reversed(turned.items())), id="1")
    messages = (*FULL.messages[:2], Message("assistant", "", (call,)), *FULL.messages[3:])
    assert content_sha256(Conversation(messages, FULL.tools)) == content_sha256(FULL)
    assert content_sha256(Conversation(FULL.messages)) != content_sha256(FULL)
    assert content_sha256(Conversation(FULL.messages[:2], FULL.tools)) != content_sha256(FULL)


def test_fractions_are_spread_evenly_and_stay_the_same() -> None:
    found = [fraction(str(number)) for number in range(2000)]
    assert all(0 <= number < 1 for number in found)
    assert sum(number < 0.15 for number in found) == pytest.approx(300, abs=50)
    assert fraction("a") == 0xCA978112CA1BB / 16**13  # how the sha256 of "a" begins
