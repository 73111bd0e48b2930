"""BFCL's questions beside their answers; what is no row of the benchmark is named."""

import json
from pathlib import Path

import pytest

from data.benchmarks.bfcl_tasks import WITHOUT_ANSWERS, read_tasks

FUNCTION = {
    "name": "f",
    "description": "",
    "parameters": {"type": "dict", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}


def question(identity: str = "simple_python_0", **changes: object) -> dict[str, object]:
    asked = [[{"role": "user", "content": "Do it"}]]
    return {"id": identity, "question": asked, "function": [FUNCTION], **changes}


def answer(identity: str = "simple_python_0", **changes: object) -> dict[str, object]:
    return {"id": identity, "ground_truth": [{"f": {"a": [1]}}], **changes}


def declared(parameter: object, required: object = ()) -> list[dict[str, object]]:
    """Return the list of one function with one parameter."""
    properties = {"type": "dict", "properties": {"a": parameter}, "required": required}
    return [{"name": "f", "parameters": properties}]


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def problem(tmp_path: Path, asked: list[object], answered: list[object] | None = None) -> str:
    questions = write(tmp_path / "questions.json", *asked)
    answers = None if answered is None else write(tmp_path / "answers.json", *answered)
    with pytest.raises(ValueError) as caught:
        read_tasks(questions, answers)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("simple_python", 400),
        ("simple_javascript", 50),
        ("multiple", 200),
        ("parallel", 200),
        ("irrelevance", 240),
        ("live_simple", 258),
        ("live_parallel", 16),
    ],
)
def test_bfcl_files_are_read_completely(shared: Path, name: str, count: int) -> None:
    file = f"BFCL_v4_{name}.json"
    answers = None if name in WITHOUT_ANSWERS else shared / "bfcl/possible_answer" / file
    tasks = read_tasks(shared / "bfcl" / file, answers)
    assert len(tasks) == count
    assert {task.category for task in tasks} == {name}
    assert all(bool(task.answers) is (answers is not None) for task in tasks)
    assert all(task.messages[-1].content and task.functions for task in tasks)


@pytest.mark.parametrize(
    ("identity", "category", "language"),
    [
        ("live_parallel_multiple_3-2-1", "live_parallel_multiple", "python"),
        ("simple_java_99", "simple_java", "java"),
        ("simple_javascript_0", "simple_javascript", "javascript"),
    ],
)
def test_id_determines_category_and_language(
    tmp_path: Path, identity: str, category: str, language: str
) -> None:
    questions = write(tmp_path / "q.json", question(identity))
    (task,) = read_tasks(questions, write(tmp_path / "a.json", answer(identity)))
    assert (task.category, task.language) == (category, language)
    assert task.answers == (("f", {"a": [1]}),)


def test_unknown_category_error_lists_the_known_ones(tmp_path: Path) -> None:
    found = problem(tmp_path, [question(), question("rest_7")], [answer()])
    assert "row 1 (line 2) is of the category 'rest', which is not scored" in found
    assert "live_irrelevance" in found


@pytest.mark.parametrize("category", ["irrelevance", "live_irrelevance"])
def test_irrelevance_question_may_declare_no_function(tmp_path: Path, category: str) -> None:
    rows = [question(f"{category}_{i}", function=[FUNCTION] * i) for i in range(2)]
    tasks = read_tasks(write(tmp_path / "questions.json", *rows))
    assert [len(task.functions) for task in tasks] == [0, 1]


def test_questions_of_several_turns_are_refused(shared: Path) -> None:
    path = shared / "bfcl" / "BFCL_v4_multi_turn_base.ids_0_99.json"
    with pytest.raises(ValueError, match="category 'multi_turn_base', which is not scored"):
        read_tasks(path)


def test_question_without_an_answer_is_refused_by_name(tmp_path: Path) -> None:
    found = problem(tmp_path, [question("multiple_1")], [answer()])
    assert "has no answer to multiple_1" in found
    assert "--answers-file" in problem(tmp_path, [question()])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ([1], "is no question of BFCL"),
        ({"id": "simple_python_0"}, "is no question of BFCL"),
        (question(id=3), "is no question of BFCL"),
        (answer(), "holds the answers of a benchmark"),
        (question(question=[[], []]), "has 2 turns"),
        (question(question=[[]]), "asks nothing"),
        (question(question=[[{"role": "robot"}]]), "role is 'robot'"),
        (question(function=[]), "declares no function, and simple_python asks for a call"),
        (question("live_relevance_0-0-0", function=[]), "and live_relevance asks for a call"),
        (question("live_irrelevance_0-0-0", function=None), "has no list of functions"),
        (question(function=[{"name": "f"}]), "without name or parameters.properties"),
        (question(function=declared(5)), "a parameter of f has no type that is text"),
        (question(function=declared({"type": ["integer", "null"]})), "no type that is text"),
        (question(function=declared({"type": "array", "items": {"type": 5}})), "no type that is"),
        (question(function=declared({"type": "integer"}, None)), "required of f is no list"),
        (question(function=declared({"type": "integer"}, "a")), "required of f is no list"),
    ],
)
def test_invalid_question_row_is_refused(tmp_path: Path, row: object, told: str) -> None:
    assert told in problem(tmp_path, [row], [answer()])


@pytest.mark.parametrize("truth", [None, [], [[]], [{"f": []}], [{"f": {"a": 1}}], [{}]])
def test_invalid_answer_row_is_refused(tmp_path: Path, truth: object) -> None:
    found = problem(tmp_path, [question()], [answer(ground_truth=truth)])
    assert "is no answer of BFCL" in found or "ground_truth must hold" in found


def test_repeated_id_is_refused(tmp_path: Path) -> None:
    assert "has simple_python_0 twice" in problem(tmp_path, [question(), question()], [answer()])
