"""Schemas of tools: read from the dialects that data sets use, and checked against arguments."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chat.conversation import Tool

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError


@dataclass(frozen=True)
class Dialect:
    """One way to write a tool's parameters; the first that recognises them turns them around."""

    recognises: Callable[[Mapping[str, Any]], bool]
    normalise: Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class ArgumentProblem:
    """What is wrong at one place of a call's arguments; `pointer` is a JSON Pointer to it.

    rule: The keyword of JSON Schema that is violated, "undeclared" for an argument that the schema
        does not name, or "schema" when the tool's own schema cannot be used.
    """

    pointer: str
    rule: str
    message: str


def read_tool(record: Any) -> Tool:
    """Read a tool, wrapped (`{"type", "function"}`) or bare; ValueError says what is wrong."""
    if not isinstance(record, Mapping):
        raise ValueError(f"a tool must be an object, found {_excerpt(record)}")
    function = record["function"] if isinstance(record.get("function"), Mapping) else record
    name, description = function.get("name"), function.get("description")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"a tool's name must be text, found {_excerpt(name)}")
    if description is not None and not isinstance(description, str):
        raise ValueError(f"the description of {name} must be text, found {_excerpt(description)}")
    try:
        parameters = normalise_parameters(function.get("parameters"))
    except ValueError as error:
        raise ValueError(f"tool {name}: {error}") from None
    return Tool(name, description or "", parameters)


def normalise_parameters(parameters: Any) -> dict[str, Any]:
    """Return a JSON Schema of type object with `properties`; ValueError for no known dialect."""
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, Mapping):
        raise ValueError(f"parameters must be an object, found {_excerpt(parameters)}")
    for dialect in DIALECTS.values():
        if dialect.recognises(parameters):
            return dialect.normalise(parameters)
    known = ", ".join(DIALECTS)
    raise ValueError(f"parameters are in no known dialect ({known}): {_excerpt(parameters)}")


def _is_json_schema(parameters: Mapping[str, Any]) -> bool:
    return isinstance(parameters.get("properties"), Mapping) or parameters.get("type") == "object"


def _from_json_schema(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Add what is left out, and lift `required: true` of a property into the object's list."""
    properties = parameters.get("properties") or {}
    if not isinstance(properties, Mapping):
        raise ValueError(f"properties must be an object, found {_excerpt(properties)}")
    return _with_required_lists({**parameters, "type": "object", "properties": properties})


def _is_bare_properties(parameters: Mapping[str, Any]) -> bool:
    return all(isinstance(value, Mapping) for value in parameters.values())


def _from_bare_properties(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return _from_json_schema({"type": "object", "properties": dict(parameters)})


DIALECTS: dict[str, Dialect] = {
    "json_schema": Dialect(_is_json_schema, _from_json_schema),
    "bare_properties": Dialect(_is_bare_properties, _from_bare_properties),
}


def _with_required_lists(schema: dict[str, Any]) -> dict[str, Any]:
    """Turn nulls and booleans of `required` into lists of names, in nested objects too."""
    properties = schema.get("properties")
    required = schema.get("required", [])
    if required is None or isinstance(required, bool):
        del schema["required"]
        required = []
    if isinstance(properties, Mapping):
        marked = [name for name, value in properties.items() if _is_marked_required(value)]
        if marked and isinstance(required, list):
            schema["required"] = [*required, *(name for name in marked if name not in required)]
        schema["properties"] = {name: _inner(value) for name, value in properties.items()}
    if "items" in schema:
        schema["items"] = _inner(schema["items"])
    return schema


def _inner(value: Any) -> Any:
    return _with_required_lists(dict(value)) if isinstance(value, Mapping) else value


def _is_marked_required(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("required") is True


def validate_arguments(tool: Tool, arguments: Mapping[str, Any]) -> list[ArgumentProblem]:
    """Check a call's arguments against the JSON Schema of its tool; empty when they fit.

    Needs the package jsonschema. Formats are not checked, and references are never fetched.
    """
    from jsonschema.exceptions import SchemaError, UnknownType
    from referencing.exceptions import Unresolvable

    try:
        validator = _validator(json.dumps(tool.parameters))
        found = [_problem(error) for error in validator.iter_errors(arguments)]
    except SchemaError as error:
        where = _pointer(error.path) or "its root"
        message = f"the schema of {tool.name} is wrong at {where}: {error.message}"
        return [ArgumentProblem("", "schema", _excerpt(message, 300))]
    except (Unresolvable, UnknownType, RecursionError) as error:
        message = f"the schema of {tool.name} cannot be used: {error}"
        return [ArgumentProblem("", "schema", _excerpt(message, 300))]
    return sorted([*found, *_undeclared(tool, arguments)], key=lambda each: each.pointer)


@lru_cache(maxsize=4096)
def _validator(schema: str) -> "Draft202012Validator":
    """Check and prepare a schema; kept, because checking one takes longer than using it."""
    from jsonschema import Draft202012Validator
    from referencing import Registry

    parsed = json.loads(schema)
    Draft202012Validator.check_schema(parsed)
    return Draft202012Validator(parsed, registry=Registry())


def _problem(error: "ValidationError") -> ArgumentProblem:
    return ArgumentProblem(
        _pointer(error.absolute_path), str(error.validator), _excerpt(error.message, 300)
    )


def _undeclared(tool: Tool, arguments: Mapping[str, Any]) -> Iterator[ArgumentProblem]:
    """Name arguments that the schema does not know, unless it says that others may come."""
    schema = tool.parameters
    properties = schema.get("properties", {})
    if _OPEN_SCHEMA & set(schema) or not isinstance(properties, Mapping):
        return
    for name in arguments:
        if name not in properties:
            yield ArgumentProblem(
                _pointer([name]), "undeclared", f"{tool.name} has no parameter {_excerpt(name)}"
            )


# With one of these a schema speaks of other arguments than its `properties`.
_OPEN_SCHEMA = {
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "$ref",
}


def _pointer(path: Iterable[Any]) -> str:
    """Write a path as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _excerpt(value: Any, most: int = 60) -> str:
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= most else text[: most - 1] + "…"
