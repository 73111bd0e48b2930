"""Schemas of tools as MCP servers write them: by hand, and each in two places."""

import json
from pathlib import Path
from typing import Any

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
NUMBER, FLAG = {"type": "number"}, {"type": "boolean"}


def record(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    rest = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **rest}


def array(items: Any, **rest: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **rest}


PARTS: list[Any] = [
    TEXT,
    WHOLE,
    NUMBER,
    FLAG,
    {"type": "null"},
    {},
    True,
    {"type": "string", "description": "Absolute path of the file to read", "minLength": 1},
    {"type": "string", "format": "uri", "description": "Page to fetch"},
    {"type": "string", "format": "uri-reference"},
    {"type": "string", "format": "uri-template"},
    {"type": "string", "format": "iri"},
    {"type": "string", "format": "json-pointer"},
    {"type": "string", "format": "regex"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "time"},
    {"type": "string", "format": "duration"},
    {"type": "string", "format": "email"},
    {"type": "string", "format": "idn-email"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "ipv6"},
    {"type": "string", "format": "hostname"},
    {"type": "string", "format": "binary"},
    {"type": "string", "format": "byte"},
    {"type": "string", "format": "markdown"},
    {"type": "integer", "format": "int64"},
    {"type": "integer", "format": "int32", "minimum": 0},
    {"type": "number", "format": "float"},
    {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"},
    {"type": "string", "enum": ["asc", "desc"], "default": "asc"},
    {"enum": ["open", "closed", None]},
    {"const": "v2"},
    {"type": ["string", "null"], "default": None},
    {"type": ["string", "number", "boolean"]},
    {"anyOf": [TEXT, {"type": "null"}], "default": None, "title": "Cursor"},
    {"anyOf": [WHOLE, TEXT], "description": "Id or name"},
    {"oneOf": [{"const": "low", "title": "Low"}, {"const": "high", "title": "High"}]},
    {"oneOf": [TEXT, array(TEXT)]},
    {"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 1}]},
    {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    {"type": "integer", "exclusiveMinimum": 0},
    {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "exclusiveMinimum": 0},
    {"type": "number", "exclusiveMaximum": 0},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "exclusiveMinimum": -0.5, "exclusiveMaximum": 0},
    {"type": "number", "minimum": -90, "maximum": 90},
    {"type": "number", "minimum": -1.5, "maximum": 1e20},
    {"type": "number", "multipleOf": 5},
    {"type": "number", "multipleOf": 0.5},
    {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 2},
    {"type": "integer", "multipleOf": 15, "minimum": 15, "maximum": 120},
    {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,20}$"},
    {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
    {"type": "string", "minLength": 3, "maxLength": 8},
    {"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"},
    array(TEXT),
    array(TEXT, minItems=1, maxItems=3),
    array(WHOLE, minItems=2, maxItems=2),
    array({"enum": ["bug", "docs"]}),
    {"type": "array"},
    {"type": "array", "prefixItems": [NUMBER, NUMBER], "items": False},
    {"type": "array", "prefixItems": [TEXT, WHOLE], "minItems": 2, "maxItems": 2},
    {"type": "object"},
    {"type": "object", "additionalProperties": True},
    {"type": "object", "additionalProperties": TEXT},
    {"type": "object", "additionalProperties": {"anyOf": [TEXT, NUMBER, FLAG]}},
    {"type": "object", "additionalProperties": WHOLE, "minProperties": 1},
    {"type": "object", "propertyNames": {"enum": ["read", "write"]}, "additionalProperties": FLAG},
    {"type": "object", "propertyNames": {"pattern": "^[a-z]{1,8}$"}, "additionalProperties": TEXT},
    {
        "type": "object",
        "propertyNames": {"minLength": 1, "maxLength": 12},
        "additionalProperties": TEXT,
    },
    {"type": "object", "patternProperties": {"^x-[a-z]+$": TEXT}},
    record(
        x=NUMBER,
        y=NUMBER,
        required=(
            "x",
            "y",
        ),
    ),
    {**record(path=TEXT, line=WHOLE, required=("path",)), "additionalProperties": False},
    {**record(a=TEXT, b=WHOLE), "minProperties": 1},
    {**record(name=TEXT, required=("name",)), "additionalProperties": WHOLE},
    {**record(owner=TEXT, repo=TEXT, required=("owner",)), "required": ["owner", "branch"]},
    array(
        record(
            old=TEXT,
            new=TEXT,
            required=(
                "old",
                "new",
            ),
        )
    ),
    record(filter=record(field=TEXT, op={"enum": ["eq", "lt"]}, value={}), limit=WHOLE),
    {"anyOf": [record(url=TEXT, required=("url",)), record(path=TEXT, required=("path",))]},
    {
        "oneOf": [
            record(
                type={"const": "text"},
                text=TEXT,
                required=(
                    "type",
                    "text",
                ),
            ),
            record(
                type={"const": "image"},
                data=TEXT,
                required=(
                    "type",
                    "data",
                ),
            ),
        ]
    },
    {"oneOf": [record(id=WHOLE, required=("id",)), record(name=TEXT, required=("name",))]},
    {**record(id=WHOLE, name=TEXT), "oneOf": [{"required": ["id"]}, {"required": ["name"]}]},
    {**record(id=WHOLE, name=TEXT), "anyOf": [{"required": ["id"]}, {"required": ["name"]}]},
    {"allOf": [record(a=TEXT, required=("a",)), record(b=WHOLE)]},
    {"allOf": [record(a=TEXT, required=("a",))], "description": "One"},
    {"type": "object", "properties": {"a": TEXT}, "nullable": True},
    {"$id": "https://example.org/part.json", "type": "integer"},
    {"$defs": {"leaf": WHOLE}, "type": "array", "items": {"type": "integer"}},
    {"type": "object", "properties": {"k": {"type": "string", "default": None}}, "required": ["k"]},
    {"type": "string", "deprecated": True, "readOnly": True, "examples": ["a"], "$comment": "none"},
]
REFUSED: list[Any] = [
    array(TEXT, uniqueItems=True),
    {"not": {"type": "string"}},
    {"if": {"required": ["a"]}, "then": {"required": ["b"]}, **record(a=TEXT, b=TEXT)},
    {"type": "number", "multipleOf": 0.01},
    {"type": "string", "pattern": "^(?=.*[0-9])[a-z0-9]+$"},
]
TREE = {
    "$defs": {
        "n": record(
            v=WHOLE,
            kids=array({"$ref": "#/$defs/n"}),
            next={"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]},
            required=("v",),
        )
    }
}
ROOTS: list[dict[str, Any]] = [
    {**record(t={"$ref": "#/$defs/n"}, required=("t",)), **TREE},
    {
        "$ref": "#/definitions/In",
        "definitions": {
            "In": record(q=TEXT, c={"$ref": "#/definitions/C"}, required=("q",)),
            "C": {"enum": ["a", "b"]},
        },
    },
    {
        "$id": "https://example.org/in.json",
        **record(
            t={"$ref": "part.json"},
            u={"$ref": "part.json#/$defs/w"},
            v={"$ref": "#here"},
            required=(
                "t",
                "u",
                "v",
            ),
        ),
        "$defs": {
            "p": {"$id": "part.json", "type": "integer", "$defs": {"w": FLAG}},
            "h": {"$anchor": "here", "type": "null"},
        },
    },
    {
        **record(
            v={"type": "object", "properties": {"self": {"$ref": "#"}, "n": WHOLE}}, required=("v",)
        )
    },
    {
        **record(
            v={"$ref": "#/properties/w"},
            w=array({"type": "string", "maxLength": 4}),
            required=("v",),
        )
    },
    {
        **record(
            v={"$ref": "#/properties/a/$defs/b"},
            a={"$defs": {"b": WHOLE}, "type": "object"},
            required=("v",),
        )
    },
    {
        **record(v={"$ref": "#/$defs/a~1b%20c"}, required=("v",)),
        "$defs": {"a/b c": {"type": "boolean"}},
    },
    {"properties": {"a": WHOLE}, "required": ["a"]},
    {"type": ["object", "null"], "properties": {"a": WHOLE}},
    {},
    {"type": "object", "properties": {}},
    {"type": "object", "additionalProperties": False},
    {"required": ["q"]},
    {"anyOf": [record(a=TEXT, required=("a",)), record(b=TEXT, required=("b",))]},
    {"type": "object", "anyOf": [record(a=TEXT, required=("a",)), {"type": "null"}]},
    {
        "allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
        "$defs": {"A": record(a=TEXT, required=("a",)), "B": record(b=WHOLE, required=("b",))},
    },
    {
        **record(v={"$ref": "#/$defs/x"}, required=("v",)),
        "$defs": {"x": record(y={"$ref": "#/$defs/x"}, required=("y",))},
    },
    {
        **record(
            v={"anyOf": [{"$ref": "#/$defs/x"}, WHOLE]}, o={"$ref": "#/$defs/x"}, required=("v",)
        ),
        "$defs": {"x": record(y={"$ref": "#/$defs/x"}, required=("y",))},
    },
    {
        **record(v={"$ref": "#/$defs/o"}, required=("v",)),
        "$defs": {
            "o": {"oneOf": [{"$ref": "#/$defs/and"}, {"$ref": "#/$defs/is"}]},
            "and": record(
                kind={"const": "and"},
                all=array({"$ref": "#/$defs/o"}),
                required=(
                    "kind",
                    "all",
                ),
            ),
            "is": record(
                kind={"const": "is"},
                f=TEXT,
                required=(
                    "kind",
                    "f",
                ),
            ),
        },
    },
]


def mcp_schemas(shared: Path) -> list[dict[str, Any]]:
    """Return 200 schemas of arguments: shared cases, ROOTS, and PARTS in two places."""
    cases = [
        schema
        for file in sorted((shared / "cases/serving").glob("c0[14567]_*.json"))
        for schema in json.loads(file.read_text()).values()
    ]
    wrapped = [record(("part",), part=part, q=WHOLE) for part in [*REFUSED, *PARTS]]
    listed = [
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            **record(("list",), list=array({"$ref": "#/definitions/part"}, maxItems=2)),
            "additionalProperties": False,
            "definitions": {"part": part},
        }
        for part in PARTS
    ]
    return [*cases, *ROOTS, *wrapped, *listed][:200]
