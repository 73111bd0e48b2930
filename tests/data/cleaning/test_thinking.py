"""Thinking is dropped or kept alike, whatever the layout of a row."""

from typing import Any

import pytest

from data.cleaning.audit import Outcome
from data.cleaning.clean_row import Settings, clean_row
from data.cleaning.thinking import Thinking
from data.reading import RawRow, detect_format

USER = {"role": "user", "content": "Good morning."}
GLAIVE = "SYSTEM: You are a helpful assistant, with no access to external functions."


def cleaned(row: dict[str, Any], thinking: Thinking = "drop") -> Outcome:
    settings = Settings(thinking=thinking)
    return clean_row(RawRow(0, row, "", "line 1"), detect_format(row), "rows", settings)


ROWS = [
    {"messages": [USER, {"role": "assistant", "content": "Hi.", "reasoning_content": "Hm."}]},
    {"messages": [USER, {"role": "assistant", "content": "<think>Hm.</think>\nHi."}]},
    {"messages": [USER, {"role": "assistant", "content": "Hm.\n</think>\n\nHi."}]},
    {
        "messages": [
            USER,
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, "Hi."]},
        ]
    },
    {
        "conversations": [
            {"from": "human", "value": "Good morning."},
            {"from": "gpt", "value": "<thinking>Hm.</thinking>Hi."},
        ]
    },
    {"query": "Good morning.", "tools": [], "answers": "<think>Hm.</think>\n\nHi."},
    {
        "system": GLAIVE,
        "chat": "USER: Good morning.\n\n\nASSISTANT: <think>Hm.</think>\nHi. <|endoftext|>",
    },
]


@pytest.mark.parametrize("row", ROWS)
def test_thinking_is_dropped_and_noted(row: dict[str, Any]) -> None:
    found = cleaned(row)
    assert '"content": "Hi."' in found.line and "Hm." not in found.line
    assert [change.rule for change in found.changes] == ["reasoning"]


@pytest.mark.parametrize("row", ROWS)
def test_thinking_that_is_kept_looks_alike(row: dict[str, Any]) -> None:
    assert r'"content": "<think>\nHm.\n</think>\n\nHi."' in cleaned(row, "keep").line


def test_an_unfinished_thought_rejects_a_row_without_a_call() -> None:
    turn: dict[str, Any] = {"role": "assistant", "content": "<think>\nI should"}
    rejected = cleaned({"messages": [USER, turn]}).rejected
    assert rejected and rejected.rule == "unfinished-thought"
    called = {**turn, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    tools = [{"name": "f", "description": "", "parameters": {}}]
    found = cleaned({"messages": [USER, called], "tools": tools})
    assert found.rejected is None and "I should" not in found.line


def test_another_value_of_thinking_is_refused() -> None:
    with pytest.raises(ValueError, match="--thinking is 'no', wanted drop, keep"):
        Settings(thinking="no")  # type: ignore[arg-type]
