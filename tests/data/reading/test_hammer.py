"""Hammer's training rows: tools and query between marks, the calls in a fence."""

import json
import random
import re
from pathlib import Path

import pytest

from chat.conversation import Message, ToolCall
from data.outcomes import Rejected
from data.reading import SOURCES, detect_format, hammer, read_rows

TOOLS = [{"name": "f", "description": "d", "parameters": {"a": {"type": "int"}}}]
INSTRUCTION = (
    "[BEGIN OF TASK INSTRUCTION]\nCall tools.\n[END OF TASK INSTRUCTION]\n\n"
    f"[BEGIN OF AVAILABLE TOOLS]\n{json.dumps(TOOLS)}\n[END OF AVAILABLE TOOLS]\n\n"
    "[BEGIN OF QUERY]\nWhat is f?\n[END OF QUERY]\n\n"
)


@pytest.mark.parametrize("fence", ["{}", "```\n{}\n```", "```json\n{}\n```"])
def test_calls_in_a_code_fence_are_read(fence: str) -> None:
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


def test_real_hammer_rows_are_read(shared: Path) -> None:
    rows = list(read_rows(shared / "hammer" / "masking_sft_data_example.json"))
    found = [SOURCES["hammer"].read(row.value).conversation for row in rows]
    assert len(found) == 10 and all(
        conversation.tools and conversation.messages[0].content for conversation in found
    )
    assert sum(not conversation.messages[1].tool_calls for conversation in found) == 2


def test_sections_and_fences_agree_with_regular_expressions() -> None:
    section = re.compile(r"\[BEGIN OF ([A-Z ]+)\](.*?)\[END OF \1\]", re.S)
    fence = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.S)
    draw = random.Random(5)
    marks = [f"[{kind} OF {name}]" for kind in ("BEGIN", "END") for name in ("A", "B", "A B")]
    for _ in range(3000):
        text = "".join(draw.choices([*marks, "x", "\n", " ", "["], k=draw.randrange(9)))
        expected = [(name, inside.strip()) for name, inside in section.findall(text)]
        assert list(hammer._sections(text)) == expected
        text = "".join(draw.choices(["```", "`", "json", "x", "\n", " "], k=draw.randrange(7)))
        found = fence.fullmatch(text)
        assert hammer._without_fence(text.strip()) == (found[1] if found else text.strip())
