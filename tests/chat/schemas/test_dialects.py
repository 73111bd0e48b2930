"""Tool parameters in every known dialect become JSON Schema draft 2020-12."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from random_examples import tries

from chat.schemas.dialects import normalise_parameters
from chat.schemas.keywords import KEYWORDS, SUBSCHEMA
from chat.schemas.validation import read_tool, validate_arguments


def check_schema(schema: Any) -> None:
    """Fail unless this is a schema of draft 2020-12."""
    # Imported here, so that pytest can collect this file without jsonschema.
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema)


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def properties(parameters: Any, required: Any = None) -> dict[str, Any]:
    return normalise_parameters(parameters, required)["properties"]


def required(parameters: Any, beside: Any = None) -> list[str]:
    return normalise_parameters(parameters, beside).get("required", [])


@pytest.mark.parametrize(
    "parameters",
    [
        CITY,
        {"type": "dict", "properties": {"city": {"type": "String"}}, "required": ["city"]},
        {"type": "HashMap", "properties": {"city": {"type": "str"}}, "required": ["city", "city"]},
        {"properties": {"city": {"type": "string"}}, "required": "city"},
        {"type": "object", "properties": {"city": "str"}, "required": {"city": True, "b": False}},
        {"type": "object", "city": {"type": "string"}, "required": ["city"]},
        {"city": {"type": "string"}, "required": ["city"]},
        {"city": {"type": "str"}},
        {"city": {"type": "str", "required": "true"}},
        {"city": "str"},
        [{"name": "city", "type": "string", "required": True}],
        {"type": "object", "properties": [{"name": "city", "type": "str", "required": True}]},
        json.dumps(CITY),
    ],
    ids=repr,
)
def test_every_dialect_of_one_tool_gives_the_same_schema(parameters: Any) -> None:
    before = json.dumps(parameters)
    assert normalise_parameters(parameters) == CITY
    assert json.dumps(parameters) == before, "the raw row stays as it was"


def test_wrapped_schema_requires_only_what_it_lists() -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "str"}, "b": {"type": "int"}}}
    assert "required" not in normalise_parameters(parameters)
    assert required(parameters, ["b"]) == ["b"]
    assert required({**parameters, "required": ["a"]}, ["b"]) == ["a"]


def test_required_becomes_a_list_at_every_depth() -> None:
    parameters = {
        "type": "object",
        "required": None,
        "properties": {
            "a": {"type": "string", "required": True},
            "b": {"type": "string", "required": False},
            "c": {
                "type": "array",
                "items": {"type": "object", "properties": {"d": {"required": True}}},
            },
            "required": {"type": "boolean"},
        },
    }
    assert normalise_parameters(parameters) == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "string"},
            "c": {
                "type": "array",
                "items": {"type": "object", "properties": {"d": {}}, "required": ["d"]},
            },
            "required": {"type": "boolean"},
        },
        "required": ["a"],
    }


def test_required_mark_on_a_property_extends_the_required_list() -> None:
    marked = {"a": {}, "b": {"required": True}, "c": {"required": True}}
    assert required({"properties": marked, "required": ["c", "a"]}) == ["c", "a", "b"]


def test_required_name_without_a_property_gets_one() -> None:
    assert properties({"type": "dict", "properties": {}, "required": ["a"]}) == {"a": {}}


@pytest.mark.parametrize(
    ("padded", "schema"),
    [
        ({"type": "string", "optional": None, "unit": None, "enum": None}, {"type": "string"}),
        ({"type": "string", "const": None}, {"type": "string"}),
        ({"const": None}, {"const": None}),
        ({"type": "null", "const": None}, {"type": "null", "const": None}),
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "column": None}},
            {"type": "object", "properties": {"a": {"type": "string"}}},
        ),
        (
            {"type": "object", "properties": {"a": None}, "required": ["a"]},
            {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        ),
    ],
)
def test_null_that_pads_a_column_is_left_out(padded: Any, schema: Any) -> None:
    assert properties({"properties": {"x": padded}}) == {"x": schema}


@pytest.mark.parametrize(
    "strict",
    [
        {"allOf": [{"$ref": "#/$defs/Colour"}]},
        {"oneOf": [{"$ref": "#/$defs/Colour"}, {"type": "integer"}]},
        {"$ref": "#/$defs/Colour"},
        {"const": "red"},
        {"type": "string", "not": {"maxLength": 2}},
        {"anyOf": [{"$ref": "#/$defs/Colour"}], "allOf": [{"maxLength": 9}]},
        {"enum": ["red"]},
        {"type": "string", "minLength": 2},
    ],
)
def test_null_is_allowed_where_the_default_or_nullable_says_so(strict: dict[str, Any]) -> None:
    places = {"Colour": {"type": "string", "enum": ["red", "green"]}}
    for allowed, more in ((True, {"default": None}), (True, {"nullable": True}), (False, {})):
        schema = normalise_parameters({"properties": {"x": {**strict, **more}}, "$defs": places})
        validator = pytest.importorskip("jsonschema").Draft202012Validator(schema)
        assert validator.is_valid({"x": None}) is allowed
        assert validator.is_valid({"x": "red"}) and not validator.is_valid({"x": 2.5})
        assert normalise_parameters(schema) == schema


def test_nested_objects_without_a_properties_keyword_are_wrapped() -> None:
    where = {"type": "dict", "lat": {"type": "float"}, "lon": {"type": "float", "required": True}}
    wanted = {
        "type": "object",
        "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
        "required": ["lon"],
    }
    assert properties({"properties": {"where": where}})["where"] == wanted
    bare = {"lat": {"type": "float", "default": 1}, "lon": {"type": "float"}}
    found = properties({"where": bare})["where"]
    assert found["required"] == ["lon"] and found["type"] == "object"


def test_type_richer_than_json_is_kept_beside_its_schema() -> None:
    found = properties({"a": {"type": "tuple", "items": {"type": "float"}}, "b": {"type": "Path"}})
    assert found["a"] == {
        "type": "array",
        "x-original-type": "tuple",
        "items": {"type": "number"},
    }
    assert found["b"] == {"type": "string", "x-original-type": "Path"}
    assert properties({"a": {"type": "float"}})["a"] == {"type": "number"}
    assert properties({"a": {"type": ""}, "b": {"type": "any"}}) == {"a": {}, "b": {}}


def test_schema_keywords_override_what_the_type_name_implies() -> None:
    own = {"type": "List[str]", "items": {"type": "string", "enum": ["a"]}}
    found = properties({"properties": {"a": own}})["a"]
    assert found["items"] == own["items"] and found["x-original-type"] == "List[str]"


def test_other_keywords_are_kept_unchanged() -> None:
    schema = {**CITY, "additionalProperties": False, "$defs": {"a": {}}}
    assert normalise_parameters(schema) == schema


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (5, "must be an object, found 5"),
        ("{", "must be an object, found the text {"),
        ({"a": 5}, "no known dialect"),
        ({"type": "array", "items": {"type": "string"}}, "no known dialect"),
        ({"properties": 1.5}, "properties must be an object, found 1.5"),
        ({"type": "object", "properties": 1.5}, "properties must be an object, found 1.5"),
        ({"type": "object", "properties": {"a": 5}}, "the property a must be an object, found 5"),
        ({"a": {"type": 5}}, "a type must be a name, found 5"),
        ([{"name": "a"}, {"name": "a"}], "the parameter a stands twice"),
        ([{"type": "string"}], "must have a name"),
    ],
)
def test_parameters_in_no_known_dialect_are_refused(parameters: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        normalise_parameters(parameters)


TYPES = ["string", "str", "int, optional", "List[float]", "dict", "object", "array", "tuple", ""]
TYPES += ["Dict[str, List[int]]", "Optional[int]", "numbr", "HashMap", "Literal['a', 'b']"]
KEYS = st.sampled_from(
    [*KEYWORDS, *SUBSCHEMA, "type", "required", "optional", "nullable", "example", "a", "b", "name"]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["true", "a", "(", "3", *TYPES]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@tries(600)
@given(st.dictionaries(KEYS, ANYTHING, max_size=5))
@example({"title": {"title": None, "optional": {"description": None}}})
def test_accepted_parameters_become_valid_schemas_that_normalise_to_themselves(
    parameters: dict[str, Any],
) -> None:
    try:
        found = normalise_parameters(parameters)
    except ValueError:
        return
    check_schema(found)
    assert json.dumps(normalise_parameters(found)) == json.dumps(found)


def rows(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if text[0] == "[" else [json.loads(line) for line in text.splitlines()]


def real_tools(shared: Path) -> Iterator[Any]:
    for part in ("en", "zh"):
        file = shared / "glaive_toolcall_sharegpt" / f"glaive_toolcall_{part}_demo.part.json"
        for row in rows(file):
            yield from json.loads(row["tools"])
    for row in rows(shared / "xlam_function_calling_60k" / "xlam_rows.json"):
        yield from json.loads(row["tools"])
    for file in (shared / "bfcl").glob("BFCL*.json"):
        yield from (tool for row in rows(file) for tool in row.get("function", ()))
    for file in (shared / "bfcl" / "multi_turn_func_doc").glob("*.json"):
        yield from rows(file)
    yield from rows(shared / "nestful" / "non-executable-glaive-spec.json")


def test_real_tools_become_valid_schemas_that_normalise_to_themselves(shared: Path) -> None:
    seen = set()
    for record in real_tools(shared):
        tool = read_tool(record)
        text = json.dumps(tool.parameters)
        if text not in seen:
            check_schema(tool.parameters)
            assert json.dumps(normalise_parameters(tool.parameters)) == text
        seen.add(text)
    assert len(seen) > 1000


# Tasks whose accepted answers leave out arguments that their own schema requires.
INCOMPLETE = {"simple_python_200", "live_simple_106-63-0", "live_simple_112-68-0"}


def accepted(value: Any) -> Any:
    """Return the first of the values that a BFCL answer accepts, at every depth."""
    if isinstance(value, dict):
        kept = {name: choices for name, choices in value.items() if choices and choices[0] != ""}
        return {name: accepted(choices[0]) for name, choices in kept.items()}
    return [accepted(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("part", ["simple_python", "multiple", "parallel", "live_simple"])
def test_accepted_bfcl_calls_fit_their_normalised_schemas(shared: Path, part: str) -> None:
    answers = rows(shared / "bfcl" / "possible_answer" / f"BFCL_v4_{part}.json")
    calls = {row["id"]: row["ground_truth"] for row in answers}
    for row in rows(shared / "bfcl" / f"BFCL_v4_{part}.json"):
        tools = {record["name"]: read_tool(record) for record in row["function"]}
        for call in calls[row["id"]] if row["id"] not in INCOMPLETE else ():
            for name, arguments in call.items():
                problems = validate_arguments(tools[name], accepted(arguments))
                assert problems == [], row["id"]
