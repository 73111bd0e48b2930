"""Hammer's training rows: tools and query between marks, the calls in a fence."""

import json
from pathlib import Path

import pytest

from chat.conversation import Message, ToolCall
from data.outcomes import Rejected
from data.reading import SOURCES, detect_format, read_rows

TOOLS = [{"name": "f", "description": "d", "parameters": {"a": {"type": "int"}}}]
INSTRUCTION = (
    "[BEGIN OF TASK INSTRUCTION]\nCall tools.\n[END OF TASK INSTRUCTION]\n\n"
    f"[BEGIN OF AVAILABLE TOOLS]\n{json.dumps(TOOLS)}\n[END OF AVAILABLE TOOLS]\n\n"
    "[BEGIN OF QUERY]\nWhat is f?\n[END OF QUERY]\n\n"
)


@pytest.mark.parametrize("fence", ["{}", "```\n{}\n```", "```json\n{}\n```"])
def test_calls_may_stand_in_a_fence(fence: str) -> None:
    output = fence.replace("{}", '[{"name": "f", "arguments": {"a": 1}}]')
    row = {"instruction": INSTRUCTION, "input": "", "output": output}
    assert detect_format(row) == "hammer"
    found = SOURCES["hammer"].read(row).conversation
    assert found.messages == (
        Message("user", "What is f?"),
        Message("assistant", tool_calls=(ToolCall("f", {"a": 1}),)),
    )
    assert [tool.name for tool in found.tools] == ["f"]


def test_an_instruction_without_its_marks_is_rejected() -> None:
    row = {"instruction": INSTRUCTION.replace("QUERY", "QUESTION"), "output": "[]"}
    with pytest.raises(Rejected, match="no section QUERY"):
        SOURCES["hammer"].read(row)


def test_real_rows_are_read(shared: Path) -> None:
    rows = list(read_rows(shared / "hammer" / "masking_sft_data_example.json"))
    found = [SOURCES["hammer"].read(row.value).conversation for row in rows]
    assert len(found) == 10 and all(each.tools and each.messages[0].content for each in found)
    assert sum(not each.messages[1].tool_calls for each in found) == 2
