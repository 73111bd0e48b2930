"""Records of tools completed with examples and results, where they come without."""

from collections.abc import Mapping, Sequence
from typing import Any

from chat.conversation import Tool
from chat.schemas.validation import read_tool
from synthesis.custom import own_examples
from teaching.examples import Schema, example_values
from teaching.results import codes_wanted, invented_results


def complete_records(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Return records of tools with examples and results, their own where they have them.

    ValueError names a required parameter for which no value could be made.
    """
    tools = [read_tool(record) for record in records]
    codes = codes_wanted(tools)
    return [_complete(record, tool, codes) for record, tool in zip(records, tools, strict=True)]


def _complete(record: Schema, tool: Tool, codes: Mapping[str, Mapping[str, Schema]]) -> Any:
    function = record["function"] if isinstance(record.get("function"), Mapping) else record
    examples = own_examples(tool.name, record)
    results = record.get("results") or function.get("results")
    required = tool.parameters.get("required", [])
    # A schema may be true, which allows anything, or false, which allows nothing.
    properties = {
        name: {} if schema is True else schema
        for name, schema in tool.parameters["properties"].items()
        if schema is not False
    }
    for name, schema in properties.items():
        if name in examples or not _wants_examples(schema):
            continue
        values = example_values(name, schema, tool.parameters)
        if values:
            examples[name] = values
        elif name in required:
            raise ValueError(
                f"no value for the parameter {name} of {tool.name} could be made from its schema; "
                f'add "examples": {{"{name}": [...]}} beside the tool\'s description'
            )
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": {**tool.parameters, "properties": properties},
        "examples": examples,
        "results": results or invented_results(tool, function.get("outputSchema"), codes),
    }


def _wants_examples(schema: Schema) -> bool:
    """Whether the generator needs values: it draws choices, yes or no, and bounded numbers."""
    bounded = {"minimum", "maximum"} <= schema.keys() and schema.get("type") in (
        "integer",
        "number",
    )
    return not (bounded or {"enum", "examples"} & schema.keys() or schema.get("type") == "boolean")
