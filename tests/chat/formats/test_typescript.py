"""Tool schemas as types; no keyword of a schema is lost."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from chat.conversation import Tool
from chat.formats.typescript import describe_function


def field_text(schema: Any, required: bool = True) -> str:
    """The lines of the one field `x` of a tool."""
    names = ["x"] if required else []
    parameters = {"type": "object", "properties": {"x": schema}, "required": names}
    text = describe_function(Tool("f", "", parameters))
    assert text.startswith("type f = (_: {\n") and text.endswith("\n}) => any;")
    return text[len("type f = (_: {\n") : -len("\n}) => any;")]


TYPES: list[tuple[Any, str]] = [
    ({"type": "string"}, "x: string,"),
    ({"type": "integer"}, "x: integer,"),
    ({}, "x: any,"),
    (True, "x: any,"),
    (False, "// schema: false\nx: any,"),
    ({"enum": ["a", "b c", 3, None]}, 'x: "a" | "b c" | 3 | null,'),
    ({"type": "string", "enum": ['say "hi"', "größe"]}, 'x: "say \\"hi\\"" | "größe",'),
    ({"type": ["string", "null"], "enum": ["a", None]}, 'x: "a" | null,'),
    ({"type": "integer", "enum": ["1"]}, '// type: "integer"\nx: "1",'),
    ({"type": "number", "enum": [1, 2.5]}, "x: 1 | 2.5,"),
    ({"type": "boolean", "enum": []}, "// enum: []\nx: boolean,"),
    ({"const": "on"}, 'x: "on",'),
    ({"type": ["string", "null"]}, "x: string | null,"),
    ({"type": "string", "nullable": True}, "x: string | null,"),
    ({"type": "string", "nullable": False}, "// nullable: false\nx: string,"),
    ({"type": "array"}, "x: any[],"),
    ({"type": "array", "items": {"type": "string"}}, "x: string[],"),
    ({"items": {"type": "string"}}, "x: string[],"),
    ({"type": "array", "items": {"enum": ["a", "b"]}}, 'x: ("a" | "b")[],'),
    ({"type": "array", "items": {"enum": ["a | b"]}}, 'x: "a | b"[],'),
    ({"type": "array", "items": {"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}},
     "x: ({\na?: any,\n} | {\nb?: any,\n})[],"),
    ({"type": "array", "items": {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}},
     "x: ({\na?: any,\n} & {\nb?: any,\n})[],"),
    ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "string"}]}},
     "x: string[],"),
    ({"anyOf": [{"allOf": [{"type": "string"}, {"enum": ["a"]}]}, {"type": "null"}]},
     'x: (string & "a") | null,'),
    ({"allOf": [{"type": "string"}, {"enum": ["a"]}], "nullable": True},
     'x: (string & "a") | null,'),
    ({"type": "object", "properties": {}, "additionalProperties": True},
     "// additionalProperties: true\nx: object,"),
    ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, "x: number[][],"),
    ({"type": "array", "items": {"type": "string", "description": "d", "minLength": 1}},
     "// items: d\n// items: minLength: 1\nx: string[],"),
    ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "string", "description": "d"}]},
     "// item 2: d\nx: [number, string],"),
    ({"type": "array", "prefixItems": [{"type": "number"}], "items": {"type": "string"}},
     "x: [number, ...string[]],"),
    ({"type": "array", "prefixItems": [{"type": "number"}], "items": False},
     "// items: false\nx: [number],"),
    ({"type": "array", "items": [{"type": "number"}, {"type": "string"}]}, "x: [number, string],"),
    ({"type": "array", "items": [{"type": "number"}], "additionalItems": {"type": "string"}},
     "x: [number, ...string[]],"),
    ({"type": "array", "items": "string"}, '// items: "string"\nx: any[],'),
    ({"type": "object"}, "x: object,"),
    ({"type": "object", "properties": {}}, "x: {},"),
    ({"properties": {"a": {"type": "string"}}}, "x: {\na?: string,\n},"),
    ({"type": "object", "properties": {"a": {"description": "d"}}, "required": ["a"]},
     "x: {\n// d\na: any,\n},"),
    ({"type": "object", "properties": {"a": {}}, "required": ["a", "b"]},
     '// required: ["a", "b"]\nx: {\na: any,\n},'),
    ({"type": "object", "additionalProperties": {"type": "number", "description": "d"}},
     "x: {\n// d\n[key: string]: number,\n},"),
    ({"type": "object", "properties": {"a": {}}, "additionalProperties": False},
     "// additionalProperties: false\nx: {\na?: any,\n},"),
    ({"anyOf": [{"type": "string"}, {"type": "number", "minimum": 1}]},
     "// option 2: minimum: 1\nx: string | number,"),
    ({"oneOf": [{"type": "string"}, {"type": "string"}]}, "x: string,"),
    ({"type": "string", "anyOf": [{"maxLength": 1}, {"pattern": "^a"}]},
     '// option 1: maxLength: 1\n// option 2: pattern: "^a"\nx: string & any,'),
    ({"allOf": [{"type": "object", "properties": {"a": {}}}, {"enum": [1, 2]}]},
     "x: {\na?: any,\n} & (1 | 2),"),
    ({"$ref": "#/$defs/color"}, '// $ref: "#/$defs/color"\nx: any,'),
    ({"type": "string", "description": "Line one\nline two", "default": "a", "minLength": 2},
     '// Line one\n// line two\n// default: "a"; minLength: 2\nx: string,'),
    ({"type": "string", "description": 3}, "// description: 3\nx: string,"),
    ({"type": 3}, "// type: 3\nx: any,"),
    ({"type": "dict"}, "x: dict,"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "text"), TYPES, ids=[json.dumps(s)[:60] for s, _ in TYPES])
def test_schema_is_written_as_the_expected_type(schema: Any, text: str) -> None:
    assert field_text(schema) == text


def test_optional_field_is_marked_and_non_identifier_name_is_quoted() -> None:
    assert field_text({"type": "string"}, required=False) == "x?: string,"
    properties = {"two words": {}, "größe": {}, "$a_1": {}, 'q"': {}}
    text = describe_function(Tool("f", "", {"properties": properties, "required": ["größe"]}))
    assert '"two words"?: any,\n"größe": any,\n$a_1?: any,\n"q\\""?: any,' in text


@pytest.mark.parametrize(
    "parameters", [{}, {"type": "object"}, {"type": "object", "properties": {}, "required": []}]
)
def test_tool_without_parameters_is_still_described(parameters: dict[str, Any]) -> None:
    text = describe_function(Tool("stop", "Stops.\nNow.", parameters))
    assert text == "// Stops.\n// Now.\ntype stop = () => any;"


@pytest.mark.parametrize(
    ("parameters", "argument"),
    [
        ({"additionalProperties": True}, "object"),
        ({"patternProperties": {"^x": {"type": "string"}}}, "object"),
        ({"$ref": "https://example.com/schema"}, "object"),
        ({"additionalProperties": {"type": "string"}}, "{\n[key: string]: string,\n}"),
        ({"additionalProperties": True, "properties": {"a": {}}}, "{\na?: any,\n}"),
    ],
)
def test_tool_open_to_any_name_is_no_tool_without_arguments(
    parameters: dict[str, Any], argument: str
) -> None:
    for schema in (parameters, {"type": "object", "properties": {}, **parameters}):
        assert f"type f = (_: {argument}) => any;" in describe_function(Tool("f", "", schema))


def test_keywords_of_the_root_schema_are_written() -> None:
    parameters = {"properties": {}, "additionalProperties": False, "$defs": {"a": {"type": "null"}}}
    assert describe_function(Tool("f", "Does.", parameters)) == (
        '// Does.\n// additionalProperties: false; $defs: {"a": {"type": "null"}}\n'
        "type f = () => any;"
    )


def test_line_break_in_a_tool_name_is_escaped() -> None:
    assert describe_function(Tool("a\nb")) == 'type "a\\nb" = () => any;'


def leaves(value: Any) -> list[Any]:
    """All names and plain values of a schema."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in [key, *leaves(inner)]]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def read_tools(shared: Path) -> list[Tool]:
    tools = []
    for file in sorted((shared / "bfcl").glob("BFCL_v4_*.json")):
        for line in file.read_text(encoding="utf-8").splitlines():
            for function in json.loads(line).get("function", []):
                tools.append(Tool(function["name"], "", function["parameters"]))
    return tools


# Expressed by the form of the type, not by a word.
SHAPE = {
    "type", "object", "array", "dict", "properties", "required", "items", "description", "enum",
    "additionalProperties", True, False, "anyOf",
}  # fmt: skip


def test_every_word_of_real_schemas_is_in_the_text(shared: Path) -> None:
    tools = read_tools(shared)
    assert len(tools) > 1000
    for tool in tools:
        text = describe_function(tool)
        for leaf in leaves(tool.parameters):
            if not isinstance(leaf, str):
                assert leaf in SHAPE or json.dumps(leaf) in text, (tool.name, leaf)
            elif leaf not in SHAPE:
                lines = [line.strip() for line in leaf.split("\n")]
                escaped = json.dumps(leaf, ensure_ascii=False)
                assert escaped in text or all(line in text for line in lines), (tool.name, leaf)


KEYWORDS = st.sampled_from(
    ["minimum", "format", "default", "title", "examples", "x-note", "pattern"]
)
PLAIN = st.text("abcxyz", min_size=4, max_size=8) | st.integers(1000, 9999)


def schemas(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    parts = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", ["array", "object", "null"]]),
            "properties": st.dictionaries(st.text("abcxyz", min_size=4), inner, max_size=3),
            "items": inner | parts,
            "prefixItems": parts,
            "anyOf": parts,
            "oneOf": parts,
            "allOf": parts,
            "additionalProperties": inner,
            "additionalItems": inner,
            "enum": st.lists(PLAIN, min_size=1, max_size=3),
            "description": PLAIN,
        },
    )


@tries(300)
@given(schema=st.recursive(st.dictionaries(KEYWORDS, PLAIN, max_size=3), schemas, max_leaves=8))
def test_every_word_of_any_schema_is_in_the_text(schema: dict[str, Any]) -> None:
    text = describe_function(Tool("f", "", {"type": "object", "properties": {"field": schema}}))
    said_by_shape = {
        "type", "object", "array", "properties", "items", "prefixItems", "anyOf", "oneOf", "allOf",
        "additionalProperties", "additionalItems", "enum", "description", "string",
    }  # fmt: skip
    for leaf in leaves(schema):
        assert leaf in said_by_shape or str(leaf) in text, (leaf, text)


LITERALS = st.sampled_from(["a", "b | c", "d & e", "({", "})[]", 1, None])
TYPES_OF_TYPES = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": ["integer", "null"]}, {"properties": {"a": {}}}])
    | st.lists(LITERALS, min_size=1, max_size=3, unique=True).map(lambda values: {"enum": values}),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"allOf": parts}),
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda schema: {**schema, "nullable": True}),
        inner.map(lambda schema: {"type": "object", "properties": {"b": schema}}),
    ),
    max_leaves=8,
)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\](){},|&:?]|[^\s"\[\](){},|&:?]+')


def joined(mark: str, parts: list[Any]) -> Any:
    """What several types mean together: the order does not count, nor brackets around the same."""
    members = set()
    for part in parts:
        same = isinstance(part, tuple) and part[0] == mark
        members |= part[1] if same else {part}
    return members.pop() if len(members) == 1 else (mark, frozenset(members))


def meaning(schema: dict[str, Any]) -> Any:
    if schema.get("nullable"):
        rest = {key: value for key, value in schema.items() if key != "nullable"}
        return joined("|", [meaning(rest), "null"])
    if "anyOf" in schema or "allOf" in schema:
        mark, parts = ("|", schema["anyOf"]) if "anyOf" in schema else ("&", schema["allOf"])
        return joined(mark, [meaning(part) for part in parts])
    if "enum" in schema:
        return joined("|", [json.dumps(value) for value in schema["enum"]])
    if "items" in schema:
        return ("array", meaning(schema["items"]))
    if "properties" in schema:
        return ("object", *((name, meaning(s)) for name, s in schema["properties"].items()))
    kinds = schema.get("type", "any")
    return joined("|", kinds) if isinstance(kinds, list) else kinds


class Reader:
    """Reads a type as TypeScript does: [] binds before &, and & before |."""

    def __init__(self, text: str) -> None:
        self.tokens = TOKEN.findall(text)

    def take(self, wanted: str) -> bool:
        return bool(self.tokens) and self.tokens[0] == wanted and bool(self.tokens.pop(0))

    def union(self) -> Any:
        parts = [self.intersection()]
        while self.take("|"):
            parts.append(self.intersection())
        return joined("|", parts)

    def intersection(self) -> Any:
        parts = [self.listed()]
        while self.take("&"):
            parts.append(self.listed())
        return joined("&", parts)

    def listed(self) -> Any:
        found = self.single()
        while self.take("["):
            assert self.take("]")
            found = ("array", found)
        return found

    def single(self) -> Any:
        if self.take("("):
            found = self.union()
            assert self.take(")")
            return found
        if not self.take("{"):
            return self.tokens.pop(0)
        fields = []
        while not self.take("}"):
            name = self.tokens.pop(0)
            assert self.take("?") and self.take(":")
            fields.append((name, self.union()))
            assert self.take(",")
        return ("object", *fields)


@tries(300)
@given(schema=TYPES_OF_TYPES)
def test_every_type_reads_back_as_what_its_schema_means(schema: dict[str, Any]) -> None:
    lines = field_text(schema).split("\n")
    text = "\n".join(line for line in lines if not line.startswith("//"))
    reader = Reader(text.removeprefix("x: ").removesuffix(","))
    assert reader.union() == meaning(schema) and not reader.tokens, text
