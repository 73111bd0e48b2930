"""Leakage: planted copies of a benchmark's questions are found, and nothing else is."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool
from data.benchmarks.bfcl import Question, read_questions
from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings
from data.cleaning.leakage import Benchmark, load_benchmark
from data.outcomes import Rejected

SUM = {
    "id": "simple_1",
    "question": [
        [{"role": "user", "content": "Please add the numbers 17 and 25 for me, quickly."}]
    ],
    "function": [
        {
            "name": "math.add",
            "parameters": {
                "type": "dict",
                "properties": {"first": {"type": "integer"}, "second": {"type": "float"}},
            },
        }
    ],
}
SHORT = {
    "id": "live_2",
    "question": [[{"role": "user", "content": "list c drive"}]],
    "function": [
        {"name": "cmd", "parameters": {"type": "dict", "properties": {"command": {"type": "any"}}}}
    ],
}
ASKED = SUM["question"][0][0]["content"]  # type: ignore[index]


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    file = tmp_path / "BFCL_v4_made.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in (SUM, SHORT)))
    return load_benchmark((file,))


def tool(name: str, *parameters: str) -> Tool:
    properties = {parameter: {"type": "string"} for parameter in parameters}
    return Tool(name, "", {"type": "object", "properties": properties})


def reason(benchmark: Benchmark, text: str, *tools: Tool, before: int = 0) -> str | None:
    talk = (Message("user", "hello"), Message("assistant", "hi")) * before
    asked = (Message("user", text), Message("assistant", "yes"))
    try:
        benchmark.check_no_copy(Conversation((*talk, *asked), tools))
    except Rejected as rejected:
        assert rejected.rule == "benchmark-copy"
        assert rejected.pointer == f"/messages/{2 * before}/content"
        return rejected.reason
    return None


@pytest.mark.parametrize(
    ("tools", "how"),
    [
        ([tool("math.add", "first", "second")], "math.add too"),
        ([tool("math.add", "second", "first")], "math.add too, its parameters otherwise"),
        ([tool("sum_up", "second", "first")], "math.add under another name"),
        ([tool("something", "else")], "other tools"),
        ([], "other tools"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        ASKED.upper().replace(",", ""),
        "Hello! " + ASKED + " Thank you very much.",
        ASKED.replace("quickly", "please"),
    ],
)
def test_copied_question_is_found_and_its_tools_are_compared(
    benchmark: Benchmark, text: str, tools: list[Tool], how: str
) -> None:
    found = reason(benchmark, text, *tools, before=2)
    assert found == f"simple_1 of BFCL_v4_made.json asks this, with {how}"


def test_copy_that_renames_a_tool_in_its_text_is_found(tmp_path: Path) -> None:
    named = "Call math.add for the numbers 17 and 25, and say only what comes out."
    file = tmp_path / "named.json"
    file.write_text(json.dumps({**SUM, "question": [[{"role": "user", "content": named}]]}))
    found = reason(Benchmark([file]), named.replace("math.add", "f_7"), tool("f_7", "x"))
    assert found is not None


@pytest.mark.parametrize(
    "text",
    [
        "Please add the numbers 18 and 26 and tell me what comes out.",
        "Please add",
        "hello",
        "Add milk to the list for me, quickly, please.",
    ],
)
def test_other_questions_to_the_same_tool_are_no_copies(benchmark: Benchmark, text: str) -> None:
    assert reason(benchmark, text, tool("math.add", "first", "second")) is None


def test_short_question_is_a_copy_only_with_its_tool(benchmark: Benchmark) -> None:
    assert reason(benchmark, "List C drive!") is None
    assert reason(benchmark, "List C drive!", tool("other", "x")) is None
    assert reason(benchmark, "List C drive!", tool("cmd", "x")) is not None
    assert reason(benchmark, "List C drive!", tool("other", "command")) is not None


def turned(value: Any, chance: random.Random) -> Any:
    if not isinstance(value, dict):
        return value
    keys = list(value)
    chance.shuffle(keys)
    return {key: turned(value[key], chance) for key in keys}


def planted(question: Question, kind: str, chance: random.Random) -> Conversation:
    tools, texts = question.tools, question.texts
    if kind == "renamed":
        names = {tool.name: f"{chance.choice('fgh')}_{chance.randrange(10**6)}" for tool in tools}
        tools = tuple(replace(tool, name=names[tool.name]) for tool in tools)
        for old, new in names.items():
            texts = tuple(text.replace(old, new) for text in texts)
    if kind == "reordered":
        tools = tuple(replace(t, parameters=turned(t.parameters, chance)) for t in tools)
    turns = [m for text in texts for m in (Message("user", text), Message("assistant", "Done."))]
    return Conversation(tuple(turns), tools)


def test_99_percent_of_planted_bfcl_copies_are_found(shared: Path) -> None:
    files = tuple(sorted((shared / "bfcl").glob("BFCL_v4_*.json")))
    benchmark, chance = load_benchmark(files), random.Random(0)
    planted_of, found = Counter[str](), Counter[str]()
    for question in (question for file in files for question in read_questions(file)):
        for kind in ("exact", "renamed", "reordered"):
            planted_of[kind] += 1
            try:
                benchmark.check_no_copy(planted(question, kind, chance))
            except Rejected:
                found[kind] += 1
    assert planted_of == {"exact": 1564, "renamed": 1564, "reordered": 1564}
    assert all(found[kind] >= 0.99 * count for kind, count in planted_of.items())


REAL = [
    "glaive_v2_raw/reconstructed_layout.en_part.json",
    "glaive_toolcall_sharegpt/glaive_toolcall_zh_demo.part.json",
    "glaive_toolcall_sharegpt/reason_tool_use_demo_50.rows_0_24.jsonl",
    "gorilla_openfunctions_v1/gorilla_openfunctions_v1_test.rows_0_55.json",
    "hammer/masking_sft_data_example.json",
    "openai_finetuning_toolcalls/drone_training.rows.jsonl",
    "seal_tools/dataset_for_finetune_dev.rows_0_199.json",
    "tau_bench/gpt-4o-airline.tasks_0_13.json",
    "xlam_function_calling_60k/xlam_rows.json",
]


@pytest.mark.parametrize("name", REAL)
def test_real_training_rows_are_no_copies(shared: Path, tmp_path: Path, name: str) -> None:
    files = tuple(sorted((shared / "bfcl").glob("BFCL_v4_*.json")))
    settings = Settings(exclude_benchmark=files)
    audit, report = clean_file(shared / name, tmp_path / "clean.json", settings=settings)
    assert audit.counts["benchmark-copy"] == 0 and audit.input > 0
    benchmarks = json.loads(report.read_text())["benchmarks"]
    assert [benchmark["file"] for benchmark in benchmarks] == [file.name for file in files]
    assert sum(benchmark["questions"] for benchmark in benchmarks) == 1564


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "ground_truth": []}, "holds the answers of a benchmark; name the file of its"),
        ({"query": "a"}, r"row 0 \(line 1\) is no question of BFCL, wanted"),
        ({"question": [[]], "function": [{"name": 3}]}, r"row 0 \(line 1\): a tool's name must be"),
    ],
)
def test_a_file_that_holds_no_questions_is_refused(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    (tmp_path / "other.json").write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=message):
        Benchmark([tmp_path / "other.json"])
