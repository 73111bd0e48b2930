"""BFCL's right calls are kept, and six kinds of wrong ones made of them are rejected."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.schemas.validation import read_tool, validate_arguments
from data.cleaning.call_rules import declared_functions, valid_calls
from data.outcomes import Rejected

SAMPLE = 40
PARTS = ("simple_python", "multiple", "parallel", "live_simple", "live_parallel")
# Values of another type that nothing could be meant by.
OTHERS = {"string": 17, "integer": "many", "number": "many", "boolean": "perhaps"}
OTHERS |= {"array": 17, "object": 17}


def gold(shared: Path, part: str, most: int | None) -> Iterator[tuple[Tool, dict[str, Any]]]:
    """Yield the right calls of a part that fit the schema of their tool."""
    folder = shared / "bfcl"
    questions = (folder / f"BFCL_v4_{part}.json").read_text(encoding="utf-8").splitlines()
    answers = (folder / "possible_answer" / f"BFCL_v4_{part}.json").read_text(encoding="utf-8")
    known = {row["id"]: row["ground_truth"] for row in map(json.loads, answers.splitlines())}
    for question in map(json.loads, questions[:most]):
        tools = {tool.name: tool for tool in map(read_tool, question["function"])}
        for call in known.get(question["id"], ()):
            ((name, values),) = call.items()
            arguments = {
                key: options[0] for key, options in values.items() if options[:1] not in ([], [""])
            }
            if name in tools and not validate_arguments(tools[name], arguments):
                yield tools[name], arguments


def mutants(tool: Tool, arguments: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield wrong calls: their kind, the name that is called, and the arguments."""
    properties = tool.parameters["properties"]
    for name in tool.parameters.get("required", ()):
        rest = {key: value for key, value in arguments.items() if key != name}
        yield "required dropped", tool.name, rest
    yield "unknown argument", tool.name, {**arguments, "zz_unknown": 1}
    yield "renamed function", tool.name + "_v2", arguments
    for name, value in arguments.items():
        schema = properties.get(name, {})
        kind = schema.get("type")
        if isinstance(kind, str) and kind in OTHERS:
            yield "wrong type", tool.name, {**arguments, name: OTHERS[kind]}
        if schema.get("enum"):
            yield "enum", tool.name, {**arguments, name: "zz_no_choice"}
        if kind in ("integer", "number"):
            yield "unit", tool.name, {**arguments, name: f"{value} units"}


def is_rejected(tool: Tool, name: str, arguments: dict[str, Any]) -> bool:
    turns = (Message("user", "Go."), Message("assistant", "", (ToolCall(name, arguments),)))
    try:
        valid_calls(declared_functions(Conversation(turns, (tool,))).conversation)
    except Rejected as rejected:
        return rejected.rule in ("invalid-arguments", "undeclared-function")
    return False


def check_all(shared: Path, most: int | None) -> dict[str, int]:
    """Fail where a right call is rejected or a wrong one is not; return the wrong ones by kind."""
    counts: dict[str, int] = {}
    for part in PARTS:
        for tool, arguments in gold(shared, part, most):
            assert not is_rejected(tool, tool.name, arguments), (tool, arguments)
            for kind, name, wrong in mutants(tool, arguments):
                assert is_rejected(tool, name, wrong), (kind, tool, wrong)
                counts[kind] = counts.get(kind, 0) + 1
    return counts


def test_wrong_calls_made_of_some_right_ones_are_rejected(shared: Path) -> None:
    assert len(check_all(shared, SAMPLE)) == 6


@pytest.mark.long
def test_wrong_calls_made_of_all_right_ones_are_rejected(shared: Path) -> None:
    counts = check_all(shared, None)
    assert len(counts) == 6 and sum(counts.values()) > 6000
