"""What reading a row would lose of a call is never lost silently, and padding is left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.cleaning.audit import Outcome
from data.cleaning.clean_row import Settings, clean_row
from data.reading.rows import Line, read_rows

SAFE = {"type": "object", "properties": {"port": {"type": "string"}, "depth": {"type": "number"}}}


def cleaned(calls: str, tools: Any = None) -> Outcome:
    """Clean one row whose assistant turn holds the JSON text `calls` as its `tool_calls`."""
    declared = tools or [{"name": "find_tide", "parameters": SAFE}]
    text = (
        f'{{"tools": {json.dumps(declared)}, "messages": [{{"role": "user", "content": "Tide?"}}, '
        f'{{"role": "assistant", "content": null, "tool_calls": {calls}}}]}}'
    )
    line = Line(Path("rows.jsonl"), 0, 1, text.encode(), len(text), False)
    return clean_row(line, "openai", "rows.jsonl", Settings())


def outcomes(arguments: str) -> list[Outcome]:
    """Outcomes of a call whose arguments are an object, their text, and the text of their text."""
    forms = (arguments, json.dumps(arguments), json.dumps(json.dumps(arguments)))
    return [cleaned(f'[{{"name": "find_tide", "arguments": {form}}}]') for form in forms]


@pytest.mark.parametrize(
    "arguments",
    [
        '{"port": "Hull", "port": "Goole"}',
        '{"port": "Hull", "port": "Hull"}',
        '{"depth": 0.123456789012345678}',
        '{"depth": 1234567.12345678901}',
        '{"depth": 12345678901234567890.5}',
    ],
)
def test_lost_key_or_digit_rejects_the_row_in_every_form(arguments: str) -> None:
    for outcome in outcomes(arguments):
        assert outcome.rejected is not None and outcome.rejected.rule == "unreadable-call"
        assert "twice" in outcome.rejected.reason or "digits" in outcome.rejected.reason


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ('{"depth": 0.12345678901234568}', '{"depth": 0.12345678901234568}'),
        ('{"depth": 0.500000000000000000000}', '{"depth": 0.5}'),
        ('{"depth": 123456789012345678901234567890}', '{"depth": 123456789012345678901234567890}'),
        ('{"depth": 1.5e10, "port": "0.123456789012345678"}', None),
        ('{"port": "\\"port\\": 1, \\"port\\": 2"}', None),
    ],
)
def test_number_that_a_float_keeps_is_kept(arguments: str, kept: str | None) -> None:
    for outcome in outcomes(arguments):
        assert outcome.rejected is None
        found = json.loads(outcome.line)["messages"][1]["tool_calls"][0]["function"]["arguments"]
        assert json.dumps(found) == json.dumps(json.loads(kept or arguments))


def test_repeated_key_in_a_list_of_rows_is_marked_too(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('[{"a": {"b": 1, "b": 2}, "c": 0.123456789012345678}]')
    (row,) = read_rows(file)
    assert row.value["a"].key == "b" and row.value["c"].text == "0.123456789012345678"


def padded_tools() -> list[dict[str, Any]]:
    water = {"bed": {"type": "integer"}, "text": None}
    sign = {"bed": None, "text": {"type": "string"}}
    return [
        {"name": "water_bed", "parameters": {"properties": water, "required": ["bed"]}},
        {"name": "write_sign", "parameters": {"properties": sign, "required": ["text"]}},
    ]


def test_padding_of_columns_is_left_out_and_noted() -> None:
    call = '[{"name": "water_bed", "arguments": {"bed": 4, "text": null}}]'
    outcome = cleaned(call, padded_tools())
    record = json.loads(outcome.line)
    assert record["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"bed": 4}
    assert [list(t["function"]["parameters"]["properties"]) for t in record["tools"]] == [
        ["bed"],
        ["text"],
    ]
    found = [(c.rule, c.pointer, c.before, c.after) for c in outcome.changes]
    where = "/messages/1/tool_calls/0/function/arguments"
    assert found == [
        ("null-padding", "/tools/0", ("/parameters/properties/text",), ()),
        ("null-padding", "/tools/1", ("/parameters/properties/bed",), ()),
        ("null-padding", where, {"text": None}, {}),
    ]


def test_value_for_the_column_of_another_tool_is_rejected() -> None:
    call = '[{"name": "water_bed", "arguments": {"bed": 4, "text": "wet"}}]'
    outcome = cleaned(call, padded_tools())
    assert outcome.rejected is not None and outcome.rejected.rule == "invalid-arguments"
