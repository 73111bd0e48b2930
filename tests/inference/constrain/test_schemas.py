"""Schemas for constrained decoding: what is passed on, closed, and left as it was."""

import json
from typing import Any

import pytest

from chat.conversation import Tool
from inference.constrain import recursion, schemas, unions
from inference.constrain.recursion import has_end
from inference.constrain.schemas import enforceable, enforceable_parts


def read(schema: dict[str, Any]) -> dict[str, Any]:
    return enforceable(Tool("f", "", schema))


def test_only_what_is_enforced_is_left() -> None:
    schema = {
        "type": "object",
        "description": "d",
        "properties": {"a": {"type": "string", "default": "x", "x-original-type": "str"}},
        "required": ["a"],
    }
    assert read(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }


def test_a_parameter_named_like_a_keyword_is_a_parameter() -> None:
    properties = {"description": {"type": "string"}, "not": {"type": "null"}, "if": True}
    assert read({"type": "object", "properties": properties})["properties"] == properties


def test_a_schema_that_speaks_of_other_names_stays_open() -> None:
    words = {"additionalProperties": {"type": "null"}}
    assert read({"properties": {"a": {}}, **words})["additionalProperties"] == {"type": "null"}


def test_a_union_of_objects_is_closed_option_by_option() -> None:
    options = [{"type": "object", "properties": {name: {"type": "null"}}} for name in "ab"]
    closed = [{**option, "additionalProperties": False} for option in options]
    for keyword in ("anyOf", "allOf"):
        found = read({"properties": {"x": {keyword: options[: 2 - (keyword == "allOf")]}}})
        assert found["properties"]["x"][keyword] == closed[: 2 - (keyword == "allOf")]


def test_objects_that_hold_together_are_closed_by_all_their_names() -> None:
    parts = [{"properties": {"a": {"type": "null"}}}, {"required": ["b"]}]
    found = read({"properties": {"c": {}}, "allOf": parts})
    assert found["properties"] == {"c": {}, "a": True, "b": True}
    assert (found["additionalProperties"], found["allOf"]) == (False, parts)


def test_the_tools_schema_is_not_changed() -> None:
    schema = {"type": "object", "properties": {"a": {"format": "date", "title": "t"}}}
    read(schema)
    assert schema == {"type": "object", "properties": {"a": {"format": "date", "title": "t"}}}


def test_the_inner_schemas_come_first_with_their_pointers() -> None:
    schema = {"properties": {"a/b": {"items": {}}}, "anyOf": [{"$ref": "#/$defs/n"}]}
    tool = Tool("f", "", {**schema, "$defs": {"n": {"type": "object"}}})
    assert [pointer for pointer, _ in enforceable_parts(tool)] == [
        "/properties/a~1b/items",
        "/properties/a~1b",
        "/$defs/n",
        "/anyOf/0",
        "",
    ]


@pytest.mark.parametrize("type", ["string", ["null", "array"]])
def test_arguments_that_are_no_object_are_refused(type: Any) -> None:
    with pytest.raises(ValueError, match="and arguments are always an object"):
        read({"type": type})


@pytest.mark.parametrize(
    "root", [{"properties": {"a": {}}}, {"type": ["object", "null"], "properties": {"a": {}}}]
)
def test_arguments_are_an_object_whatever_the_root_says(root: dict[str, Any]) -> None:
    assert read(root)["type"] == "object"


def test_what_requires_itself_without_end_is_refused_or_left_out() -> None:
    endless = {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}
    with pytest.raises(ValueError, match="/\\$defs/n requires itself again and again"):
        read({**endless, "$defs": {"n": endless}})
    either = {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}
    found = read({"properties": {"a": either}, "$defs": {"n": endless}})
    assert found["properties"]["a"] == {"anyOf": [False, {"type": "null"}]}


def test_bounds_of_any_size_are_read_or_refused() -> None:
    largest = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e300}
    found = read({"properties": {"x": largest}})["properties"]["x"]
    assert found == {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 10**15}
    many = {"type": "number", "minimum": -1e300, "maximum": 1e300, "multipleOf": 0.1}
    with pytest.raises(ValueError, match=r"/properties/x/multipleOf is 0\.1, and only"):
        read({"properties": {"x": many}})


def test_address_that_is_none_leads_nowhere() -> None:
    with pytest.raises(ValueError, match=r"/properties/x/\$ref is not enforced"):
        read({"$id": "http://[", "properties": {"x": {"$ref": "http://[b#/c"}}})


def test_definitions_that_end_are_found_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Any] = []

    def count(schema: Any, ending: Any) -> bool:
        looked_at.append(schema)
        return has_end(schema, ending)

    monkeypatch.setattr(recursion, "has_end", count)
    chain = {f"d{n}": {"$ref": f"{recursion.PREFIX}d{n - 1}"} for n in range(1, 50)}
    assert len(recursion.ending_definitions({"d0": {"type": "null"}, **chain})) == 50
    assert len(looked_at) == 50


def test_objects_that_combine_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"d0": {"properties": {"p0": {}}}}
    defs = base | {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i - 1}"}], "properties": {f"p{i}": {}}}
        for i in range(1, 20)
    }
    chain = {"properties": {n: {"$ref": f"#/$defs/{n}"} for n in defs}, "$defs": defs}
    read(chain)
    monkeypatch.setattr(schemas, "MOST_COMBINED", 100)
    with pytest.raises(ValueError, match=r"/[$]defs/d\d+ combines schemas"):
        read(chain)
    wide = {f"d{i}": {"allOf": [{"$ref": "#/$defs/d0"}], "properties": {"b": {}}} for i in range(9)}
    read({"properties": {n: {"$ref": f"#/$defs/{n}"} for n in wide}, "$defs": wide | base})


def test_union_that_takes_too_long_to_compare_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def node(inner: int) -> dict[str, Any]:
        names = [f"a{number}" for number in range(60)]
        alike: dict[str, Any] = {name: {"$ref": f"#/$defs/n{inner}"} for name in names}
        return {"type": "object", "properties": alike, "required": names}

    def union(first: dict[str, Any]) -> dict[str, Any]:
        tagged = [
            {
                "type": "object",
                "properties": {"a": first, "z": {"const": tag}},
                "required": ["a", "z"],
            }
            for tag in ("x", "y")
        ]
        definitions = {"n0": {}, **{f"n{depth}": node(depth - 1) for depth in range(1, 5)}}
        schema = {"$defs": definitions, "properties": {"u": {"oneOf": tagged}}}
        found: dict[str, Any] = read(schema)["properties"]["u"]
        return found

    monkeypatch.setattr(unions, "MOST_STEPS", 1000)
    assert "anyOf" in union({})
    assert "oneOf" in union({"$ref": "#/$defs/n4"})


@pytest.mark.parametrize(
    "counts",
    [
        {"minLength": 2.0},
        {"minItems": 1.0, "prefixItems": [{}]},
        {"propertyNames": {"maxLength": 2.0}},
    ],
)
def test_counts_may_be_written_as_fractions_of_one(counts: dict[str, Any]) -> None:
    whole = json.loads(json.dumps(counts).replace(".0", ""))
    found = repr(read({"properties": {"x": counts}}))
    assert found == repr(read({"properties": {"x": whole}})) and ".0" not in found


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "integer", "maximum": float("inf")}, "maximum is too large"),
        ({"propertyNames": {"maxLength": 10**30}}, "propertyNames is not enforced: the rep"),
    ],
)
def test_limits_too_large_to_be_written_are_refused(schema: dict[str, Any], keyword: str) -> None:
    with pytest.raises(ValueError, match=f"/properties/x/{keyword}"):
        read({"properties": {"x": schema}})
