"""Seal-Tools' fine-tuning rows: everything is Python's repr inside two texts."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Message, ToolCall
from data.outcomes import Rejected
from data.reading import SOURCES, detect_format, read_rows, seal_tools

API = {
    "api_name": "f",
    "api_description": "It's f.",
    "parameters": {"a": {"type": "int"}},
    "required": [],
    "responses": {"r": {"type": "str"}},
}
ASKED = f'Choose.\n\nInput:\napi_list = {[API]}\ntask_instruction = "Do "this" now."\nOutput:\n'


def row(answer: str) -> dict[str, Any]:
    turns = [{"from": "human", "value": ASKED}, {"from": "gpt", "value": answer}]
    return {"id": "1", "conversations": turns}


@pytest.mark.parametrize("quote", ["'", '"'])
def test_tools_and_calls_are_read_from_their_texts(quote: str) -> None:
    answer = "[{'api': 'f', 'parameters': {'a': 1}, 'responses': ['API_call_0']}]"
    value = row(answer.replace("'", quote))
    assert detect_format(value) == "seal_tools"
    found = SOURCES["seal_tools"].read(value).conversation
    assert found.messages == (
        Message("user", 'Do "this" now.'),
        Message("assistant", tool_calls=(ToolCall("f", {"a": 1}),)),
    )
    assert found.tools[0].description == "It's f."
    assert found.tools[0].parameters["required"] == []


@pytest.mark.parametrize("answer", ["[{'api': 'f', 'parameters': {'a'", "[5]", "5", "[]"])
def test_answer_that_is_no_list_of_calls_is_rejected(answer: str) -> None:
    with pytest.raises(Rejected) as raised:
        SOURCES["seal_tools"].read(row(answer))
    assert raised.value.rule == "unreadable-call"


def test_real_seal_tools_rows_are_read(shared: Path) -> None:
    rows = list(read_rows(shared / "seal_tools" / "dataset_for_finetune_dev.rows_0_199.json"))
    assert detect_format(rows[0].value) == "seal_tools"
    found = [SOURCES["seal_tools"].read(row.value).conversation for row in rows]
    assert len(found) == 200 and all(conversation.messages[1].tool_calls for conversation in found)
    declared = [{tool.name for tool in conversation.tools} for conversation in found]
    called = [{call.name for call in conversation.messages[1].tool_calls} for conversation in found]
    assert all(names <= tools for names, tools in zip(called, declared, strict=True))


def test_tools_and_query_agree_with_a_regular_expression() -> None:
    plain = re.compile(r"api_list = (.*)\s+task_instruction = \"(.*)\"", re.S)
    draw = random.Random(6)
    pieces = ["api_list = ", ' task_instruction = "', 'task_instruction = "', '"', " ", "\n", "x"]
    for _ in range(3000):
        text = "".join(draw.choices(pieces, k=draw.randrange(8)))
        found = plain.search(text)
        assert seal_tools._parts(text) == (found.groups() if found else None), text


def test_a_text_without_a_task_is_rejected() -> None:
    value = row("[]")
    value["conversations"][0]["value"] = "api_list = []"
    assert detect_format(value) == "seal_tools"
    with pytest.raises(Rejected, match="the text holds no api_list and task_instruction"):
        SOURCES["seal_tools"].read(value)
