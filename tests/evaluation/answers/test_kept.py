"""Kept answers are those that were given, and serve only what was asked in the same way."""

from dataclasses import replace
from pathlib import Path

import pytest
from speaking_model import TOKENIZER

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.call_syntax import Reply
from data.benchmarks.bfcl_turns import TurnTask
from evaluation.answers.kept import changed_inputs, inputs_of, kept_answers, read_results
from evaluation.answers.turns import read_played
from evaluation.items import Item
from evaluation.judging import Outputs, judge_all
from evaluation.scoring.calls import Verdict
from inference.chat_model import Answer, SkippedItem
from inference.generate import Decoding

ASKED = Conversation((Message("user", "Hi"),), (Tool("t"),))
TASK = TurnTask("played", "multi_turn_base", (), (), {}, {"initial_config": {}}, ())
ITEMS = [
    Item(name, name, "call", ASKED, "", lambda reply: Verdict(True, True, True), task)
    for name, task in {"text": None, "skipped": None, "played": TASK}.items()
]
CALL = ToolCall("t", {"x": [1, "\ud800"]})
ANSWERS: list[tuple[int, Answer | SkippedItem]] = [
    (0, Answer("Hello", Reply("Hello"), False)),
    (1, SkippedItem("too long")),
    (2, read_played([[(CALL, CALL), "Done."], [""]], "turn 2 has more than 20 steps", False)),
]
INPUTS = {"seed": 1, "base": "a"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    judge_all(ITEMS, iter(ANSWERS), {"inputs": INPUTS}, Outputs(tmp_path / "out.json"))
    return tmp_path / "out.json"


def test_answers_are_read_as_they_were_given(file: Path) -> None:
    assert kept_answers(read_results(file), INPUTS, ITEMS, "llama3") == ANSWERS


def test_other_inputs_and_items_find_no_answers(file: Path) -> None:
    record = read_results(file)
    assert record is not None
    assert changed_inputs(record, {**INPUTS, "seed": 2}) == ["seed"]
    assert kept_answers(record, {**INPUTS, "seed": 2}, ITEMS, "llama3") is None
    other = replace(ITEMS[0], id="other")
    assert kept_answers(record, INPUTS, [*ITEMS, other], "llama3") is None


@pytest.mark.parametrize("content", [None, "", "[]", '{"summary": {}}', '{"summary": [3]}'])
def test_a_file_without_results_has_no_answers(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "out.json").write_text(content)
    assert read_results(tmp_path / "out.json") is None


def test_later_turns_of_a_task_are_inputs() -> None:
    def items_of(task: TurnTask) -> str:
        items = [replace(ITEMS[2], task=task)]
        found = inputs_of(items, Decoding((), 1), "llama3", TOKENIZER, False, None)["items"]
        return str(found)

    later = replace(TASK, row={"initial_config": {}, "question": [[], ["later"]]})
    assert items_of(TASK) == items_of(replace(TASK)) != items_of(later)
