"""Plain schemas: what the fast check accepts, jsonschema accepts too."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from chat.conversation import Tool
from chat.schemas.plain import is_plain, plainly_fits
from chat.schemas.validation import schema_problem, validate_arguments

jsonschema = pytest.importorskip("jsonschema")
TYPES = ["string", "integer", "number", "boolean", "array", "object", "null"]
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.0, 1.5, 2.0, "", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
# Values of keywords, most of them valid.
KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from([*TYPES, ["string", "null"], ["integer", "integer"], [], "float", 3]),
    "description": st.sampled_from(["", "text", None]),
    "required": st.sampled_from([[], ["a"], ["a", "b"], ["a", "a"], "a", True]),
    "enum": st.lists(VALUES, max_size=3),
    "minimum": st.sampled_from([-1, 0, 1.5, True, "1"]),
    "maximum": st.sampled_from([0, 2, None]),
    "minLength": st.sampled_from([0, 1, -1, 1.0]),
    "maxItems": st.sampled_from([0, 1, 2]),
    "default": VALUES,
    "pattern": st.sampled_from(["^a$", "("]),
    "const": VALUES,
    "uniqueItems": st.booleans(),
    "x-original-type": st.just("tuple"),
}
SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional=KEYWORDS) | st.booleans(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            **KEYWORDS,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "items": inner,
            "additionalProperties": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@tries(400)
@given(schema=SCHEMAS, value=VALUES)
def test_value_that_plainly_fits_is_valid_for_jsonschema(schema: Any, value: Any) -> None:
    if not is_plain(schema):
        return
    jsonschema.Draft202012Validator.check_schema(schema)
    if plainly_fits(schema, value):
        assert jsonschema.Draft202012Validator(schema).is_valid(value)


PROPERTIES = {
    "city": {"type": "string", "minLength": 1},
    "unit": {"type": "string", "enum": ["c", "f"]},
    "days": {"type": "integer", "minimum": 1, "maximum": 7},
    "when": {"type": ["string", "null"]},
    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    "at": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
    "any": {},
}
WEATHER = {"type": "object", "properties": PROPERTIES, "required": ["city"]}


@pytest.mark.parametrize(
    "fits",
    [
        {"city": "Rome"},
        {"city": "Rome", "unit": "c", "days": 7, "when": None, "tags": ["a", "b"]},
        {"city": "Rome", "days": 2.0, "at": {"x": 1}, "any": {"a": [1]}},
    ],
)
def test_ordinary_arguments_plainly_fit_an_ordinary_schema(fits: dict[str, Any]) -> None:
    assert is_plain(WEATHER) and plainly_fits(WEATHER, fits)
    assert validate_arguments(Tool("weather", "", WEATHER), fits) == []


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({}, ""),
        ({"city": ""}, "/city"),
        ({"city": "Rome", "unit": "k"}, "/unit"),
        ({"city": "Rome", "days": 0}, "/days"),
        ({"city": "Rome", "days": 8}, "/days"),
        ({"city": "Rome", "days": True}, "/days"),
        ({"city": "Rome", "days": "2"}, "/days"),
        ({"city": "Rome", "when": 1}, "/when"),
        ({"city": "Rome", "tags": ["a", 1]}, "/tags/1"),
        ({"city": "Rome", "tags": ["a", "b", "c"]}, "/tags"),
        ({"city": "Rome", "at": {}}, "/at"),
        ({"city": "Rome", "else": 1}, "/else"),
    ],
)
def test_arguments_that_do_not_fit_have_a_problem_with_pointer(
    wrong: dict[str, Any], where: str
) -> None:
    (problem,) = validate_arguments(Tool("weather", "", WEATHER), wrong)
    assert problem.pointer == where and problem.message


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "numbr"},
        {"type": []},
        {"properties": []},
        {"required": "a"},
        {"required": ["a", "a"]},
        {"minimum": "1"},
        {"minLength": -1},
        {"description": 3},
        {"items": [{}]},
        {"properties": {"a": {"type": "str"}}},
        {"pattern": "("},
        {"enum": 3},
    ],
)
def test_invalid_schema_is_never_plain(schema: dict[str, Any]) -> None:
    assert not is_plain(schema)
    assert schema_problem(Tool("f", "", schema)) is not None
    with pytest.raises(jsonschema.SchemaError):
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"^\d{2}:\d{2}$", "14:20", True),
        (r"^\d{2}:\d{2}$", "2 pm", False),
        (r"[A-Z]", "aBc", True),
        (r"^(a+)+$", "a" * 40 + "b", False),
        # A back-reference is left to the full check, which says that it is too costly here.
        (r"^(a+)\1$", "a" * 5000, False),
    ],
)
def test_pattern_is_decided_within_its_bound(pattern: str, text: str, fits: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    assert is_plain(schema) and plainly_fits(schema, {"a": text}) == fits
    problems = validate_arguments(Tool("f", "", schema), {"a": text})
    assert [problem.rule for problem in problems] in ([[]] if fits else [["pattern"], ["costly"]])


def test_schema_that_is_not_plain_is_still_checked() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"const": 1}]}}}
    assert not is_plain(schema) and schema_problem(Tool("f", "", schema)) is None
    assert validate_arguments(Tool("f", "", schema), {"a": 1}) == []
    assert validate_arguments(Tool("f", "", schema), {"a": 2})[0].rule == "anyOf"
