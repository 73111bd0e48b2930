"""Repairs of arguments: one reading, nothing made up, and padding of columns."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.schemas.validation import validate_arguments
from data.cleaning.argument_repairs import repair_arguments
from data.cleaning.call_rules import check_formats, valid_calls
from data.outcomes import Draft, Rejected


def optional(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


NAMES = {"type": "array", "items": {"type": "string"}}
SPOT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
SCHEMA = {
    "type": "object",
    "properties": {
        "names": NAMES,
        "spot": SPOT,
        "age": optional({"type": "integer"}),
        "some": optional(NAMES),
        "choice": {"enum": [1, 2, 3]},
        "either": {"oneOf": [{"type": "number"}, {"type": "boolean"}]},
        "text": {"type": "string"},
        "free": {"type": ["string", "array"]},
        "when": {"type": "string", "format": "date"},
        "need": {"type": "integer"},
    },
}
TOOL = Tool("f", "", SCHEMA)


def calling(arguments: dict[str, Any], tool: Tool = TOOL) -> Conversation:
    call = Message("assistant", "", (ToolCall(tool.name, arguments),))
    return Conversation((Message("user", "hello"), call), (tool,))


def cleaned(arguments: dict[str, Any], tool: Tool = TOOL) -> tuple[dict[str, Any], list[str]]:
    draft = valid_calls(calling(arguments, tool))
    found = draft.conversation.messages[1].tool_calls[0].arguments
    return dict(found), [change.rule for change in draft.changes]


@pytest.mark.parametrize(
    ("arguments", "fixed"),
    [
        ({"names": '["Ada", "Bo"]'}, {"names": ["Ada", "Bo"]}),
        ({"spot": '{"x": 1}'}, {"spot": {"x": 1}}),
        ({"spot": '{"x": "1"}'}, {"spot": {"x": 1}}),
        ({"age": "63"}, {"age": 63}),
        ({"some": '["Ada"]'}, {"some": ["Ada"]}),
        ({"choice": "2"}, {"choice": 2}),
        ({"either": "true"}, {"either": True}),
        ({"either": "2.5"}, {"either": 2.5}),
        ({"names": " []"}, {"names": []}),
    ],
)
def test_text_of_a_json_value_is_read_where_one_is_wanted(
    arguments: dict[str, Any], fixed: dict[str, Any]
) -> None:
    found, rules = cleaned(arguments)
    assert json.dumps(found) == json.dumps(fixed) and set(rules) == {"text-value"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"names": "Ada, Bo"},
        {"names": "[Ada]"},
        {"names": "[1, 2]"},
        {"names": '{"0": "Ada"}'},
        {"spot": '{"x": 1, "x": 2}'},
        {"spot": '{"x": 1.5}'},
        {"spot": '{"x": 1, "planet": "Mars"}'},
        {"age": "63 years"},
        {"age": '"63"'},
        {"choice": "4"},
        {"names": '["Ada"'},
        {"names": "[" * 5000},
    ],
)
def test_text_of_another_value_is_rejected(arguments: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="invalid-arguments"):
        valid_calls(calling(arguments))


def test_text_stays_where_the_schema_takes_text() -> None:
    said = calling({"text": '["Ada"]', "free": '["Bo"]', "age": None})
    assert valid_calls(said) == Draft(said)


@pytest.mark.parametrize(
    ("arguments", "fixed"),
    [
        ({"need": 4, "column": None}, {"need": 4}),
        ({"need": 4, "text": None}, {"need": 4}),
        ({"spot": {"x": 1, "column": None}}, {"spot": {"x": 1}}),
        ({"age": None, "column": None}, {"age": None}),
    ],
)
def test_null_that_only_a_column_explains_is_left_out(
    arguments: dict[str, Any], fixed: dict[str, Any]
) -> None:
    assert cleaned(arguments) == (fixed, ["null-padding"])
    closed = Tool("f", "", {**SCHEMA, "additionalProperties": False})
    assert cleaned(arguments, closed) == (fixed, ["null-padding"])


def test_null_for_a_required_argument_is_rejected() -> None:
    tool = Tool("f", "", {**SCHEMA, "required": ["need"]})
    with pytest.raises(Rejected, match="invalid-arguments"):
        valid_calls(calling({"need": None}, tool))


@pytest.mark.parametrize("when", ["2026-02-28", "2024-02-29"])
def test_date_that_exists_passes_the_check_of_formats(when: str) -> None:
    check_formats(calling({"when": when}))


@pytest.mark.parametrize("when", ["2026-02-30", "soon", "02/03/2026", "2026-2-3", ""])
def test_date_that_is_none_is_rejected_where_formats_are_checked(when: str) -> None:
    said = calling({"when": when})
    assert valid_calls(said) == Draft(said)
    with pytest.raises(Rejected, match="invalid-arguments"):
        check_formats(said)


LEAVES = st.none() | st.booleans() | st.integers(-999, 999) | st.floats(-9, 9) | st.text(max_size=4)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=6,
)
GIVEN = JSON | JSON.map(json.dumps) | LEAVES.map(str)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in [key, *leaves(inner)]]
    return [x for inner in value for x in leaves(inner)] if isinstance(value, list) else [value]


def said_values(value: Any) -> list[Any]:
    """All names and plain values of a JSON value, also of the JSON that its texts hold."""
    found = leaves(value)
    for leaf in list(found):
        if isinstance(leaf, str):
            try:
                found += said_values(
                    json.loads(leaf.lower() if leaf in ("True", "False") else leaf)
                )
            except (ValueError, RecursionError):
                continue
    return found


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "column"]), GIVEN, max_size=4))
def test_repair_says_nothing_that_the_row_does_not(arguments: dict[str, Any]) -> None:
    before = json.dumps(arguments)
    problems = validate_arguments(TOOL, arguments)
    repaired = repair_arguments(TOOL, arguments, problems)
    assert json.dumps(arguments) == before, "the raw row stays as it was"
    said = [json.dumps(value) for value in said_values(arguments)]
    for leaf in leaves(dict(repaired.arguments)):
        assert json.dumps(leaf) in said, (arguments, repaired.arguments)
    # Only what is null may be left out.
    lost = arguments.keys() - repaired.arguments.keys()
    assert all(arguments[name] is None for name in lost)
