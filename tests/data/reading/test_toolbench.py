"""ToolBench answers: the messages of the last step are the whole conversation."""

from pathlib import Path

import pytest

from data.outcomes import Rejected
from data.reading import SOURCES, detect_format, read_rows

FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}, "optional": []}}
FIRST = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def test_the_last_step_is_read() -> None:
    steps = [FIRST[:1], FIRST]
    row = {"answer_generation": {"function": [FUNCTION], "train_messages": steps}}
    assert detect_format(row) == "toolbench"
    found = SOURCES["toolbench"].read(row).conversation
    assert [message.content for message in found.messages] == ["a", "b"]
    assert [tool.name for tool in found.tools] == ["f"]


def test_an_answer_without_steps_is_rejected() -> None:
    with pytest.raises(Rejected, match="no step was taken"):
        SOURCES["toolbench"].read({"answer_generation": {"function": [], "train_messages": []}})


def test_a_real_answer_is_read(shared: Path) -> None:
    folder = shared / "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction"
    (row,) = read_rows(folder / "608_CoT@1.json")
    found = SOURCES["toolbench"].read(row.value).conversation
    assert [message.role for message in found.messages][:2] == ["system", "user"]
    assert found.messages[-1].tool_calls[0].name == "Finish"
