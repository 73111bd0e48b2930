"""Tasks of several turns: functions that come later, and answers that may be executed."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.benchmarks.bfcl_folder import answers_of, find_categories
from data.benchmarks.bfcl_turns import read_turn_tasks

PART = "ids_0_99.json"


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def declared(name: str) -> dict[str, Any]:
    return {"name": name, "description": "", "parameters": {"type": "dict", "properties": {}}}


def row(**changes: object) -> dict[str, object]:
    """Return a row whose second turn brings a function that was kept back."""
    return {
        "id": "multi_turn_miss_func_0",
        "question": [[{"role": "user", "content": "Add"}], []],
        "initial_config": {},
        "involved_classes": ["MathAPI"],
        "missed_function": {"1": ["add"]},
        **changes,
    }


def read(folder: Path, asked: object, *turns: Any) -> Any:
    write(folder / "multi_turn_func_doc" / "math_api.json", declared("add"), declared("mean"))
    answers = write(folder / "a.json", {"id": "multi_turn_miss_func_0", "ground_truth": turns})
    (task,) = read_turn_tasks(write(folder / "q.json", asked), answers)
    return task


def test_kept_back_functions_come_with_their_turn(tmp_path: Path) -> None:
    task = read(tmp_path, row(), [], ["add(a=1, b=[2])"])
    assert [function["name"] for function in task.functions] == ["mean"]
    assert [function["name"] for function in task.added[1]] == ["add"]
    assert [len(turn) for turn in task.turns] == [1, 0]
    assert (task.category, task.answers) == ("multi_turn_miss_func", ((), ("add(a=1, b=[2])",)))


@pytest.mark.parametrize("name", ["multi_turn_base", "multi_turn_miss_param"])
def test_official_rows_are_read(name: str, shared: Path) -> None:
    path = shared / "bfcl" / f"BFCL_v4_{name}.{PART}"
    assert find_categories(shared / "bfcl")[name] == path
    assert len(read_turn_tasks(path, answers_of(path))) == 100


@pytest.mark.parametrize(
    "code", ["__import__('os').getcwd()", "add(a=open('f'))", "add(a=1); mean()", "add", "add(**a)"]
)
def test_answer_that_is_no_plain_call_is_refused(code: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.json: row 0 .* is no answer of several turns"):
        read(tmp_path, row(), [], [code])


@pytest.mark.parametrize(
    ("changes", "turns", "problem"),
    [
        ({"involved_classes": ["Shop"]}, [[], []], "involves 'Shop'; known are GorillaFile"),
        ({"missed_function": {"1": ["sub"]}}, [[], []], "keeps back 'sub', which its services"),
        ({"missed_function": ["add"]}, [[], []], "missed_function is not functions by the"),
        ({"missed_function": {"one": ["add"]}}, [[], []], "missed_function is not functions by"),
        ({}, [[]], "has 2 turns, and its answer 1"),
        ({}, [[], 1], r"a\.json: row 0 .* is no answer of several turns"),
        ({"involved_classes": ["TravelAPI"]}, [[], []], "travel_booking.json is missing; wanted"),
        ({"id": "multi_turn_miss_func_1"}, [[], []], "no answer to multi_turn_miss_func_1"),
    ],
)
def test_row_that_cannot_be_played_is_named(
    changes: dict[str, object], turns: list[Any], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=problem):
        read(tmp_path, row(**changes), *turns)


def test_folder_names_each_category_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no file BFCL_v4_"):
        find_categories(tmp_path)
    for name in ("BFCL_v4_multiple.json", "BFCL_v4_memory.json", "other.json", "BFCL_v4_x.json"):
        write(tmp_path / name)
    assert list(find_categories(tmp_path)) == ["multiple", "memory"]
    write(tmp_path / "BFCL_v4_multiple.part.json")
    with pytest.raises(ValueError, match="are of one category; keep one of them"):
        find_categories(tmp_path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"question": "Add"}, "is no question of BFCL"),
        ({"initial_config": None}, "has no initial_config or no involved_classes"),
        ({"involved_classes": [["MathAPI"]]}, r"involves \['MathAPI'\]; known are"),
        ({"missed_function": {"1": 5}}, "missed_function is not functions by the number"),
        ({"question": [[{"role": "pilot", "content": "Add"}], []]}, "role is 'pilot', wanted"),
    ],
)
def test_row_of_another_shape_is_refused(
    changes: dict[str, object], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=problem):
        read(tmp_path, row(**changes), [], [])


def test_questions_need_their_answers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"q\.json needs its answers: --answers-file"):
        read_turn_tasks(write(tmp_path / "q.json", row()), None)


def test_an_id_stands_once(tmp_path: Path) -> None:
    read(tmp_path, row(), [], [])
    with pytest.raises(ValueError, match="has an id twice"):
        read_turn_tasks(write(tmp_path / "q.json", row(), row()), tmp_path / "a.json")


def test_a_declaration_without_a_name_is_refused(tmp_path: Path) -> None:
    read(tmp_path, row(), [], [])
    write(tmp_path / "multi_turn_func_doc" / "math_api.json", {"description": "no name"})
    with pytest.raises(ValueError, match="holds what is no declaration of a function"):
        read_turn_tasks(tmp_path / "q.json", tmp_path / "a.json")


def test_a_file_is_no_folder_of_categories(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"q\.json is no folder; wanted that of BFCL's files"):
        find_categories(write(tmp_path / "q.json"))
