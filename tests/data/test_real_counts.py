"""Every real file that has a layout: what becomes of its rows, as docs/data-formats.md says."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.cleaning.clean_file import clean_file
from data.cleaning.rules import MEANINGS

DOCUMENT = Path(__file__).parents[2] / "docs" / "data-formats.md"
# Layout, rows, kept, repaired, and how many rows met which rule.
REAL: dict[str, tuple[str, int, int, int, dict[str, Any]]] = {
    "glaive_v2_raw/glaive-function-calling-v2.rows_0_4.jsonl": ("glaive", 5, 5, 0, {}),
    "glaive_v2_raw/reconstructed_layout.en_part.json": (
        "glaive",
        171,
        140,
        0,
        {"duplicate": 28, "duplicate-other-tools": 2, "near-duplicate": 1},
    ),
    "glaive_toolcall_sharegpt/glaive_toolcall_en_demo.part.json": (
        "sharegpt",
        171,
        140,
        0,
        {"duplicate": 28, "duplicate-other-tools": 2, "near-duplicate": 1},
    ),
    "glaive_toolcall_sharegpt/glaive_toolcall_zh_demo.part.json": (
        "sharegpt",
        122,
        94,
        0,
        {"invalid-arguments": 3, "duplicate": 24, "near-duplicate": 1},
    ),
    "glaive_toolcall_sharegpt/reason_tool_use_demo_50.rows_0_24.jsonl": (
        "openai",
        25,
        0,
        24,
        {"reasoning": 24, "call-ids": 6, "invalid-arguments": 1},
    ),
    "openai_finetuning_toolcalls/drone_training.rows.jsonl": ("openai", 3, 3, 0, {}),
    "functionary_openai_messages/test_case.json": ("openai", 1, 0, 0, {"unreadable-call": 1}),
    "functionary_openai_messages/test_case_v2.json": ("openai", 1, 0, 0, {"unreadable-call": 1}),
    "tau_bench/gpt-4o-airline.tasks_0_13.json": (
        "openai",
        56,
        0,
        1,
        {"negative": 44, "unanswered-ending": 1, "undeclared-function": 11},
    ),
    "xlam_function_calling_60k/xlam_rows.json": ("xlam", 9, 8, 0, {"placeholder-value": 1}),
    "hammer/masking_sft_data_example.json": (
        "hammer",
        10,
        6,
        0,
        {"conflicting-tools": 1, "no-assistant": 2, "invalid-arguments": 1},
    ),
    "gorilla_openfunctions_v1/gorilla_openfunctions_v1_test.rows_0_55.json": (
        "gorilla",
        56,
        53,
        0,
        {"unreadable-call": 1, "invalid-arguments": 2},
    ),
    "seal_tools/dataset_for_finetune_dev.rows_0_199.json": (
        "seal_tools",
        200,
        155,
        45,
        {"text-value": 45},
    ),
    "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction/588_CoT@1.json": (
        "toolbench",
        1,
        0,
        0,
        {"negative": 1},
    ),
    "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction/608_CoT@1.json": (
        "toolbench",
        1,
        0,
        1,
        {"split-assistant": 1},
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_rows_have_the_documented_outcomes(shared: Path, tmp_path: Path, name: str) -> None:
    layout, rows, kept, repaired, rules = REAL[name]
    try:
        clean_file(shared / name, tmp_path / "clean.json")
    except ValueError as error:
        assert "rows can be used, most of them for" in str(error) and kept + repaired == 0
    report = json.loads((tmp_path / "clean.report.json").read_text(encoding="utf-8"))
    assert report["source"]["format"] == layout
    rejected = rows - kept - repaired
    wanted = {"input": rows, "kept": kept, "repaired": repaired, "rejected": rejected}
    assert {key: report[key] for key in wanted} == wanted
    assert {rule: e["count"] for rule, e in report["rules"].items() if e["count"]} == rules
    shown = ", ".join(f"{rule} {count}" for rule, count in rules.items()) or "-"
    numbers = f"| {layout} | {rows} | {kept} | {repaired} | {rejected} | {shown} |"
    assert numbers in DOCUMENT.read_text(encoding="utf-8")


NO_LAYOUT = [
    "bfcl/BFCL_v4_multiple.json",
    "bfcl/possible_answer/BFCL_v4_multiple.json",
    "nestful/non-executable-glaive-data.rows_0_84.json",
    "seal_tools/dev.jsonl",
    "seal_tools/tool.jsonl",
    "stabletoolbench/test_instruction/G1_category.json",
    "tau_bench/MockAirlineDomainEnv-few_shot.jsonl",
    "toolalpaca/eval_real.apis_even.json",
]


@pytest.mark.parametrize("name", NO_LAYOUT)
def test_files_of_other_kinds_are_refused_with_one_line(
    shared: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match="no known layout: found an object with the keys"):
        clean_file(shared / name, tmp_path / "clean.json")
    assert not list(tmp_path.iterdir())


def test_every_rule_is_documented_with_its_outcome_and_meaning() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for code, meaning in MEANINGS.items():
        outcome, _, what = meaning.partition(": ")
        assert f"| `{code}` | {outcome} | {what} |" in text
