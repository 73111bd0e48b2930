"""NexusRaven's evaluation queries, read from the user's own copy of the dataset.

`standardized_queries` holds rows of `dataset`, `prompt`, `python_function_name`,
`python_args_dict` (JSON text) and `context_functions` (the names offered);
`standardized_api_list` holds rows of `dataset`, `name`, `description` and `args_dicts`, each with
`name`, `description`, `type` (a Python type, or "None"), `required` and `default` (text).
The dataset may not be used commercially and is no part of this project.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chat.conversation import Tool, ToolCall
from data.reading.rows import RawRow, read_rows

_TYPES = {
    "str": "string",
    "string": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
_CONSTANTS = {"None": None, "True": True, "False": False}
_JSON = "JSON:"
Key = tuple[str, str]


@dataclass(frozen=True)
class Function:
    """A function as a tool, and the value each optional argument has where it is left out."""

    tool: Tool
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """A question, the functions offered, and the one call that answers it."""

    id: str
    dataset: str
    prompt: str
    functions: tuple[Function, ...]
    call: ToolCall

    @property
    def called(self) -> Function:
        """The function that is to be called."""
        return next(function for function in self.functions if function.tool.name == self.call.name)


def read_queries(queries: Path | str, functions: Path | str) -> list[Query]:
    """Read the queries and the functions they name; ValueError says which row is wrong and why."""
    known: dict[Key, Function] = {}
    for row in read_rows(functions):
        key, function = _function(row, functions)
        known[key] = function
    return [_query(row, queries, known, functions) for row in read_rows(queries)]


def _query(
    row: RawRow, path: Path | str, known: Mapping[Key, Function], functions: Path | str
) -> Query:
    where = f"{path}: row {row.index} ({row.place})"
    names = ("dataset", "prompt", "python_function_name", "python_args_dict")
    record = row.value if isinstance(row.value, dict) else {}
    missing = [name for name in names if not isinstance(record.get(name), str)]
    offered = record.get("context_functions")
    if missing or not isinstance(offered, list):
        raise ValueError(
            f"{where} is no query of NexusRaven: it has no "
            f"{', '.join(missing) or 'context_functions'}; wanted a row of standardized_queries"
        )
    dataset, name = record["dataset"], record["python_function_name"]
    for function_name in (*offered, name):
        if (dataset, function_name) not in known:
            raise ValueError(
                f"{where} names {function_name} of {dataset}, which {functions} does not have"
            )
    if name not in offered:
        raise ValueError(f"{where} wants {name}, which is not among its context_functions")
    arguments = _arguments(record["python_args_dict"], where)
    declared = tuple(known[dataset, function_name] for function_name in dict.fromkeys(offered))
    call = ToolCall(name, arguments)
    return Query(f"{dataset}_{row.index}", dataset, record["prompt"], declared, call)


def _arguments(text: str, where: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where}: python_args_dict is no JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise ValueError(f"{where}: python_args_dict must hold an object, found {text[:40]!r}")
    return arguments


def _function(row: RawRow, path: Path | str) -> tuple[Key, Function]:
    record = row.value if isinstance(row.value, dict) else {}
    arguments = record.get("args_dicts")
    named = all(isinstance(record.get(key), str) for key in ("dataset", "name"))
    if not (named and isinstance(arguments, list) and all(map(_is_argument, arguments))):
        raise ValueError(
            f"{path}: row {row.index} ({row.place}) is no function of NexusRaven: wanted a row of "
            "standardized_api_list with dataset, name and args_dicts"
        )
    properties, required, defaults = {}, [], {}
    for argument in arguments:
        properties[argument["name"]] = _schema(argument)
        if argument.get("required"):
            required.append(argument["name"])
        else:
            defaults[argument["name"]] = _default(argument.get("default"))
    parameters = {"type": "object", "properties": properties, "required": required}
    tool = Tool(record["name"], record.get("description") or "", parameters)
    return (record["dataset"], tool.name), Function(tool, defaults)


def _is_argument(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _schema(argument: Mapping[str, Any]) -> dict[str, Any]:
    kind = _TYPES.get(str(argument.get("type")))
    schema: dict[str, Any] = {"type": kind} if kind else {}
    if argument.get("description"):
        schema["description"] = argument["description"]
    return schema


def _default(text: Any) -> Any:
    """Return the value a default stands for: Python's constants, JSON, or else the text."""
    if not isinstance(text, str) or text in _CONSTANTS:
        return _CONSTANTS.get(text, text) if isinstance(text, str) else text
    try:
        return json.loads(text.removeprefix(_JSON))
    except ValueError:
        return text
