"""Layouts: told apart by what a row holds, and every real row of each is read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from data.outcomes import Rejected
from data.reading import SOURCES, detect_format, read_rows

XLAM = {"query": "a", "tools": "[]", "answers": "[]"}
TURN = {"role": "user", "content": "a"}

FILES = {
    "glaive_v2_raw/glaive-function-calling-v2.rows_0_4.jsonl": ("glaive", 5),
    "glaive_v2_raw/reconstructed_layout.en_part.json": ("glaive", 171),
    "xlam_function_calling_60k/xlam_rows.json": ("xlam", 9),
    "openai_finetuning_toolcalls/drone_training.rows.jsonl": ("openai", 3),
    "glaive_toolcall_sharegpt/reason_tool_use_demo_50.rows_0_24.jsonl": ("openai", 25),
    "tau_bench/gpt-4o-airline.tasks_0_13.json": ("openai", 56),
    "functionary_openai_messages/test_case.json": ("openai", 1),
    "functionary_openai_messages/test_case_v2.json": ("openai", 1),
    "glaive_toolcall_sharegpt/glaive_toolcall_en_demo.part.json": ("sharegpt", 171),
    "glaive_toolcall_sharegpt/glaive_toolcall_zh_demo.part.json": ("sharegpt", 122),
    "seal_tools/dataset_for_finetune_dev.rows_0_199.json": ("seal_tools", 200),
    "hammer/masking_sft_data_example.json": ("hammer", 10),
    "gorilla_openfunctions_v1/gorilla_openfunctions_v1_test.rows_0_55.json": ("gorilla", 56),
    "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction/608_CoT@1.json": ("toolbench", 1),
    "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction/588_CoT@1.json": ("toolbench", 1),
}
# Calls in the code of another language, and an answer in which no step was taken.
REFUSED = {
    "functionary_openai_messages/test_case.json": ["unreadable-call"],
    "functionary_openai_messages/test_case_v2.json": ["unreadable-call"],
    "gorilla_openfunctions_v1/gorilla_openfunctions_v1_test.rows_0_55.json": ["unreadable-call"],
    "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction/588_CoT@1.json": ["no-assistant"],
}


@pytest.mark.parametrize("file", FILES)
def test_the_real_rows_of_a_file_are_read(shared: Path, file: str) -> None:
    layout, count = FILES[file]
    rows = list(read_rows(shared / file))
    assert len(rows) == count and detect_format(rows[0].value) == layout
    refused = []
    for row in rows:
        assert SOURCES[layout].recognises(row.value)
        try:
            found = SOURCES[layout].read(row.value).conversation
        except Rejected as rejected:
            refused.append(rejected.rule)
        else:
            assert found.messages and json.dumps(found.to_record())
    assert refused == REFUSED.get(file, [])


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ({"system": "", "chat": ""}, "glaive"),
        (XLAM, "xlam"),
        ({**XLAM, "tools": [], "answers": []}, "xlam"),
        ({"messages": [TURN], "tools": []}, "openai"),
        ({"messages": [TURN], "functions": [], "parallel_tool_calls": False}, "openai"),
        ({"messages": [{**TURN, "role": "function", "name": "f"}]}, "openai"),
        ({"messages": [TURN], "tools": ["{}"]}, "lmflow"),
        ({"messages": [TURN], "tools": [], "system": ""}, "lmflow"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "sharegpt"),
        ({"instruction": "[BEGIN OF AVAILABLE TOOLS]", "output": ""}, "hammer"),
        ({"question": "a", "function": {}, "model_answer": ""}, "gorilla"),
        ({"answer_generation": {}}, "toolbench"),
        ({"input": [TURN], "tools": []}, "responses"),
        ({"input": "a", "output": [{"type": "message", **TURN}]}, "responses"),
        ({"messages": [TURN], "tools": [{"name": "f", "input_schema": {}}]}, "anthropic"),
        ({"contents": [{"parts": []}]}, "gemini"),
        ({"messages": [{"type": "human", "content": "a"}]}, "langchain"),
        ({"messages": [TURN, {"jsonrpc": "2.0", "id": 1}]}, "mcp"),
        ({"prompt": "a", "completion": "b", "label": True}, "prompt_completion"),
        ({"prompt": "a", "chosen": [TURN], "rejected": [TURN], "messages": [TURN]}, "preference"),
        ({"prompt": [TURN], "reward_model": {}}, "reward"),
        ({"system": "", "conversations": [{"from": "human", "value": "a"}]}, "sharegpt"),
    ],
)
def test_a_row_has_one_layout(row: dict[str, Any], layout: str) -> None:
    assert detect_format(row) == layout
    assert SOURCES[layout].looks_like.startswith("{")


@pytest.mark.parametrize("layout", SOURCES)
@pytest.mark.parametrize(
    "row", [None, 5, "a", [], {}, [TURN], {"messages": None}, {"query": 1}, {"text": "a"}]
)
def test_other_values_have_no_layout(layout: str, row: Any) -> None:
    assert not SOURCES[layout].recognises(row)
    with pytest.raises(ValueError, match="no known layout: found"):
        detect_format(row)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"question": "q", "answer": "a"},
            "found an object with the keys 'question', 'answer'; nearest is gorilla (lacks "
            "'function', 'model_answer'); README's layout is {\"messages\": ",
        ),
        ({"messages": 3}, "nearest is openai (lacks 'tools'); README's"),
        ({"messages": 3, "tools": []}, 'nearest is openai (wants {"messages": '),
        ({"other": 1}, "found an object with the keys 'other'; README's layout is"),
        (dict.fromkeys(map(str, range(99)), 1), "'11' and 87 more; README's"),
        ({"name": "f", "description": "d"}, "this is a file of tools; name it with --tools-file"),
        ({"type": "function", "function": {"name": "f"}}, "this is a file of tools; name"),
        ({"tools": [{"name": "f", "inputSchema": {}}]}, "this is a file of tools; name"),
    ],
)
def test_an_unknown_layout_is_told_shortly_with_the_nearest(row: Any, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as raised:
        detect_format(row)
    assert len(str(raised.value)) < 400


def test_a_benchmark_file_is_no_training_layout(shared: Path) -> None:
    for file in (shared / "bfcl").glob("BFCL*.json"):
        with pytest.raises(ValueError, match=r"no known layout: .*'question'"):
            detect_format(next(read_rows(file)).value)
