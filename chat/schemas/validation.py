"""Schemas of tools: read from the dialects that data sets use, and checked against arguments."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chat.conversation import Tool
from chat.recurring import MOST_KEPT, read_once
from chat.schemas.dialects import normalise_parameters
from chat.schemas.flat_parameters import excerpt
from chat.schemas.patterns import TooCostly
from chat.schemas.plain import plainly_fits
from chat.schemas.undeclared import undeclared_names

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from chat.schemas.checking import ArgumentChecker


# OpenAI's name for a tool's parameters, Anthropic's, MCP's, Gemini's for real JSON Schema, and
# NESTFUL's.
_PARAMETERS = (
    *("parameters", "input_schema", "inputSchema"),
    *("parametersJsonSchema", "parameters_json_schema", "query_parameters"),
)


@dataclass(frozen=True)
class ArgumentProblem:
    """What is wrong at one place of a call's arguments; `pointer` is a JSON Pointer to it.

    rule: The keyword of JSON Schema that is violated, "undeclared" for an argument, or a member of
        one, that the schema does not name, "schema" when the tool's own schema cannot be used, or
        "costly" when checking with it takes too many steps.
    """

    pointer: str
    rule: str
    message: str


@read_once
def read_tool(record: Any) -> Tool:
    """Read a tool, wrapped (`{"type", "function"}`) or bare; ValueError says what is wrong."""
    if not isinstance(record, Mapping):
        raise ValueError(f"a tool must be an object, found {excerpt(record)}")
    function = record["function"] if isinstance(record.get("function"), Mapping) else record
    name, description = function.get("name"), function.get("description")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"a tool's name must be text, found {excerpt(name)}")
    if description is not None and not isinstance(description, str):
        raise ValueError(f"the description of {name} must be text, found {excerpt(description)}")
    try:
        key = next((key for key in _PARAMETERS if function.get(key) is not None), "parameters")
        parameters = normalise_parameters(function.get(key), function.get("required"))
    except ValueError as error:
        raise ValueError(f"tool {name}: {error}") from None
    return Tool(name, description or "", parameters)


def validate_arguments(
    tool: Tool, arguments: Mapping[str, Any], formats: bool = False
) -> list[ArgumentProblem]:
    """Check a call's arguments against the JSON Schema of its tool; empty when they fit.

    With `formats`, also those that chat/schemas/value_formats.py knows. References are never
    fetched.
    """
    if not (formats and '"format"' in tool.json_text) and _surely_fit(tool, arguments):
        return []
    from jsonschema.exceptions import SchemaError, UnknownType
    from referencing.exceptions import Unresolvable

    try:
        found = list(map(_problem, _checker(tool.json_text, formats).problems(arguments)))
        found += _undeclared(tool, arguments)
    except SchemaError as error:
        where = _pointer(error.path) or "its root"
        message = f"the schema of {tool.name} is wrong at {where}: {error.message}"
        return [ArgumentProblem("", "schema", excerpt(message, 300))]
    except TooCostly as error:
        message = f"{tool.name}: {error}"
        return [ArgumentProblem("", "costly", excerpt(message, 300))]
    except (Unresolvable, UnknownType, RecursionError, ValueError) as error:
        message = f"the schema of {tool.name} cannot be used: {error}"
        return [ArgumentProblem("", "schema", excerpt(message, 300))]
    return sorted(found, key=lambda problem: problem.pointer)


def schema_problem(tool: Tool) -> ArgumentProblem | None:
    """Return why the schema of a tool cannot be used to check a call, or None."""
    if tool.has_plain_schema:
        return None
    try:
        return _schema_problem(tool.json_text)
    except ValueError as error:
        return ArgumentProblem("", "schema", f"the schema of {tool.name} is no JSON: {error}")


@lru_cache(maxsize=MOST_KEPT)
def _schema_problem(tool_text: str) -> ArgumentProblem | None:
    problems = validate_arguments(_tool(tool_text), {})
    return next((problem for problem in problems if problem.rule in ("schema", "costly")), None)


def _surely_fit(tool: Tool, arguments: Mapping[str, Any]) -> bool:
    if not tool.has_plain_schema or not plainly_fits(tool.parameters, arguments):
        return False
    # Here, unlike further inside, an object without properties takes no names.
    names_some = tool.parameters.get("properties") or tool.parameters.get("additionalProperties")
    return bool(names_some) or not arguments


def _tool(tool_text: str) -> Tool:
    return Tool(**json.loads(tool_text)["function"])


@lru_cache(maxsize=MOST_KEPT)
def _checker(tool_text: str, formats: bool) -> "ArgumentChecker":
    """Check and prepare a schema; kept, because checking one takes longer than using it."""
    from chat.schemas.checking import ArgumentChecker

    return ArgumentChecker(_tool(tool_text).parameters, tool_text, formats)


def _problem(error: "ValidationError") -> ArgumentProblem:
    return ArgumentProblem(
        _pointer(error.absolute_path), str(error.validator), excerpt(error.message, 300)
    )


def _undeclared(tool: Tool, arguments: Mapping[str, Any]) -> Iterator[ArgumentProblem]:
    """Yield a problem for each name that neither the tool nor an object in it declares."""
    for place in undeclared_names(tool.parameters, arguments):
        message = f"{tool.name} has no parameter {excerpt('.'.join(map(str, place)))}"
        yield ArgumentProblem(_pointer(place), "undeclared", message)


def _pointer(path: Iterable[Any]) -> str:
    """Write a path as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
