"""BFCL's question files: every row of every category is read, tools in JSON Schema."""

import json
from pathlib import Path

import pytest

from data.benchmarks.bfcl import read_questions

jsonschema = pytest.importorskip("jsonschema")
ROWS = {
    "simple_python": 400,
    "multiple": 200,
    "parallel": 200,
    "irrelevance": 240,
    "live_simple": 258,
    "live_parallel": 16,
    "simple_javascript": 50,
    "multi_turn_base.ids_0_99": 100,
    "multi_turn_miss_param.ids_0_99": 100,
}


def test_every_question_is_read_with_its_tools(shared: Path) -> None:
    for category, count in ROWS.items():
        questions = list(read_questions(shared / "bfcl" / f"BFCL_v4_{category}.json"))
        assert len({question.id for question in questions}) == count
        for question in questions:
            assert question.texts and all(question.texts)
            assert bool(question.tools) == ("multi_turn" not in category)
            for tool in question.tools:
                jsonschema.Draft202012Validator.check_schema(tool.parameters)


def test_question_keeps_the_user_texts_of_all_turns(tmp_path: Path) -> None:
    turns = [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}],
        [{"role": "user", "content": "b"}],
        [],
    ]
    (tmp_path / "rows.json").write_text(json.dumps({"question": turns}))
    (question,) = read_questions(tmp_path / "rows.json")
    assert (question.id, question.texts, question.tools) == ("0", ("a", "b"), ())
