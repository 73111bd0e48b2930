"""Recorded outputs are read in every supported layout; invalid rows are rejected."""

import json
from pathlib import Path

import pytest

from chat.conversation import Conversation, Message, ToolCall
from chat.formats.call_syntax import write_reply
from chat.formats.known import FORMATS
from evaluation.answers.predictions import predicted, read_calls, read_predictions
from evaluation.items import Item
from evaluation.scoring.calls import score

LLAMA3 = FORMATS["llama3"]
CALL = ToolCall("weather.now", {"city": "Lyon"})


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "record",
    [
        {"name": "weather.now", "arguments": {"city": "Lyon"}},
        {"name": "weather.now", "parameters": {"city": "Lyon"}},
        {"name": "weather.now", "arguments": '{"city": "Lyon"}'},
        {"type": "function", "function": {"name": "weather.now", "arguments": {"city": "Lyon"}}},
        {"weather.now": {"city": "Lyon"}},
        {"weather.now": '{"city": "Lyon"}'},
    ],
)
def test_calls_are_read_from_all_supported_layouts(record: object) -> None:
    assert read_calls([record]).tool_calls == (CALL,)


def test_call_without_arguments_gets_an_empty_object() -> None:
    assert read_calls([{"name": "time"}]).tool_calls == (ToolCall("time", {}),)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"name": "f", "arguments": "{"}, "the arguments of f are no JSON"),
        ({"name": "f", "arguments": "[1]"}, "the arguments of f are no object"),
        ({"name": "f", "arguments": None}, "the arguments of f are no object"),
        (
            {"name": "f", "arguments": {"a": float("inf")}},
            "the arguments of f hold NaN or Infinity",
        ),
        ({"name": "f", "arguments": '{"a": [NaN]}'}, "the arguments of f hold NaN or Infinity"),
        ("f(x)", "is no call"),
        ({}, "is no call"),
        ({"name": 3, "arguments": {}}, "is no call"),
    ],
)
def test_unreadable_call_becomes_the_reply_problem(record: object, problem: str) -> None:
    reply = read_calls([{"name": "ok"}, record])
    assert reply.tool_calls == ()
    assert problem in str(reply.problem)


def test_prediction_text_is_parsed_with_the_chat_format(tmp_path: Path) -> None:
    text = write_reply("Let me see.", [CALL], LLAMA3.calls)
    path = write(
        tmp_path / "p.jsonl",
        {"id": "a", "text": text},
        {"id": "b", "text": "Hello"},
        {"id": "c", "calls": []},
    )
    found = read_predictions(path, LLAMA3)
    assert found["a"].reply.tool_calls == (CALL,)
    assert found["a"].reply.content == "Let me see."
    assert found["b"].reply.content == found["b"].text == "Hello"
    assert found["c"].reply.tool_calls == ()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ([], "is no prediction"),
        ({"calls": []}, "is no prediction"),
        ({"id": "a"}, "is no prediction"),
        ({"id": 7, "text": ""}, "is no prediction"),
        ({"id": "a", "calls": None, "text": None}, "says neither calls nor text; wanted [] or"),
        ({"id": "a", "text": None}, "says neither calls nor text"),
        ({"id": "a", "text": 7}, "text must be text, found 7"),
        ({"id": "a", "calls": {}}, "calls must be a list, found {}"),
        ({"id": "first", "text": ""}, "has the id first again"),
    ],
)
def test_invalid_prediction_raises_with_its_line_number(
    tmp_path: Path, row: object, told: str
) -> None:
    path = write(tmp_path / "p.jsonl", {"id": "first", "text": ""}, row)
    with pytest.raises(ValueError, match=r"p\.jsonl: row 1 \(line 2\)") as caught:
        read_predictions(path, LLAMA3)
    assert told in str(caught.value)


def test_empty_predictions_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is empty"):
        read_predictions(write(tmp_path / "p.jsonl"), LLAMA3)


def item(identity: str) -> Item:
    asked = Conversation((Message("user", "?"),))
    return Item(identity, identity, "all", asked, "", lambda reply: score([], reply))


def test_missing_predictions_raise_after_existing_ones_are_yielded(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"id": "b", "text": "1"})
    answers = predicted([item("a"), item("b"), item("c")], read_predictions(path, LLAMA3), path)
    assert next(answers)[0] == 1
    with pytest.raises(ValueError, match="no prediction for 2 of 3 ids, the first is a"):
        next(answers)


def test_predictions_for_unknown_ids_raise_before_judging(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", *({"id": identity, "text": "1"} for identity in "zay"))
    found = read_predictions(path, LLAMA3)
    with pytest.raises(ValueError, match="2 of 3 predictions for ids that no item has, the first"):
        next(predicted([item("a")], found, path))
    told: list[str] = []
    assert [index for index, _ in predicted([item("a")], found, path, True, told.append)] == [0]
    assert told == [
        f"{path} has 2 of 3 predictions for ids that are not scored here, the first is z"
    ]
