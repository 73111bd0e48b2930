"""Seeded corruption of clean real rows: every class of it is caught, and clean rows all pass."""

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings, clean_row
from data.conversations import read_conversations
from data.reading import RawRow

Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Real conversations with calls, in OpenAI's shape with ids, after cleaning."""
    folder = tmp_path_factory.mktemp("clean")
    clean_file(shared / "glaive_v2_raw/reconstructed_layout.en_part.json", folder / "a.jsonl")
    found = []
    for conversation in read_conversations(folder / "a.jsonl"):
        record = conversation.to_record()
        row = {"messages": record["messages"], "tools": record["tools"]}
        calls = 0
        for message in row["messages"]:
            for call in message.get("tool_calls", ()):
                calls += 1
                call["id"] = f"id{calls}"
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
            if message["role"] == "tool":
                message["tool_call_id"] = f"id{calls}"
        if calls:
            found.append(row)
    return found


def a_call(row: Row, chance: random.Random) -> dict[str, Any]:
    calls = [c for message in row["messages"] for c in message.get("tool_calls", ())]
    function: dict[str, Any] = chance.choice(calls)["function"]
    return function


def index_of(row: Row, role: str, chance: random.Random) -> int:
    places = [i for i, message in enumerate(row["messages"]) if message["role"] == role]
    return chance.choice(places)


def with_arguments(change: Callable[[dict[str, Any]], Any]) -> Callable[..., None]:
    def corrupt(row: Row, chance: random.Random) -> None:
        function = a_call(row, chance)
        arguments = json.loads(function["arguments"])
        changed = change(arguments)
        function["arguments"] = json.dumps(arguments if changed is None else changed)

    return corrupt


def with_text(text: str, role: str = "assistant") -> Callable[..., None]:
    def corrupt(row: Row, chance: random.Random) -> None:
        row["messages"][index_of(row, role, chance)]["content"] += text

    return corrupt


def truncated_arguments(row: Row, chance: random.Random) -> None:
    function = a_call(row, chance)
    function["arguments"] = function["arguments"][: -chance.randint(1, 3)]


def extra_brace(row: Row, chance: random.Random) -> None:
    a_call(row, chance)["arguments"] += "}"


def python_arguments(row: Row, chance: random.Random) -> None:
    function = a_call(row, chance)
    function["arguments"] = repr({**json.loads(function["arguments"])})


def encoded_twice(row: Row, chance: random.Random) -> None:
    function = a_call(row, chance)
    function["arguments"] = json.dumps(json.dumps(function["arguments"]))


def undeclared_function(row: Row, chance: random.Random) -> None:
    a_call(row, chance)["name"] += "_v2"


def prefixed_function(row: Row, chance: random.Random) -> None:
    function = a_call(row, chance)
    function["name"] = "functions." + function["name"]


def required_argument_missing(row: Row, chance: random.Random) -> None:
    function = a_call(row, chance)
    tool = next(t for t in row["tools"] if t["function"]["name"] == function["name"])
    arguments = json.loads(function["arguments"])
    del arguments[chance.choice(tool["function"]["parameters"]["required"])]
    function["arguments"] = json.dumps(arguments)


def number_as_text(row: Row, chance: random.Random) -> None:
    function = a_call(row, chance)
    arguments = json.loads(function["arguments"])
    numbers = [key for key, value in arguments.items() if type(value) in (int, float)]
    key = chance.choice(numbers)
    arguments[key] = str(arguments[key])
    function["arguments"] = json.dumps(arguments)


def no_tools(row: Row, chance: random.Random) -> None:
    row["tools"] = []


def conflicting_tool(row: Row, chance: random.Random) -> None:
    tool = copy.deepcopy(chance.choice(row["tools"]))
    tool["function"]["description"] += "!"
    row["tools"].append(tool)


def repeated_tool(row: Row, chance: random.Random) -> None:
    row["tools"].append(copy.deepcopy(chance.choice(row["tools"])))


def schema_of_no_kind(row: Row, chance: random.Random) -> None:
    chance.choice(row["tools"])["function"]["parameters"]["properties"] = {"a": {"type": 3}}


def tool_without_name(row: Row, chance: random.Random) -> None:
    del chance.choice(row["tools"])["function"]["name"]


def result_left_out(row: Row, chance: random.Random) -> None:
    # Of the last result, what is left is a call at the end, which is an ending like others.
    place = index_of(row, "tool", chance)
    if place + 1 == len(row["messages"]):
        raise IndexError
    del row["messages"][place]


def result_without_call(row: Row, chance: random.Random) -> None:
    message = row["messages"][index_of(row, "tool", chance) - 1]
    del message["tool_calls"]
    message["content"] = "One moment."


def result_twice(row: Row, chance: random.Random) -> None:
    place = index_of(row, "tool", chance)
    row["messages"].insert(place, copy.deepcopy(row["messages"][place]))


def dangling_id(row: Row, chance: random.Random) -> None:
    row["messages"][index_of(row, "tool", chance)]["tool_call_id"] = "elsewhere"


def constant_ids(row: Row, chance: random.Random) -> None:
    calls = 0
    for message in row["messages"]:
        for call in message.get("tool_calls", ()):
            call["id"], calls = "call_id", calls + 1
        if message["role"] == "tool":
            message["tool_call_id"] = "call_id"
    if calls < 2:
        raise IndexError


def result_of_another_function(row: Row, chance: random.Random) -> None:
    row["messages"][index_of(row, "tool", chance)]["name"] = "another_function"


def two_assistants(row: Row, chance: random.Random) -> None:
    row["messages"].append({"role": "assistant", "content": "And another thing."})


def empty_user(row: Row, chance: random.Random) -> None:
    row["messages"][index_of(row, "user", chance)]["content"] = " \n"


def ends_on_the_user(row: Row, chance: random.Random) -> None:
    row["messages"].append({"role": "user", "content": "Thank you!"})


def no_assistant(row: Row, chance: random.Random) -> None:
    row["messages"] = row["messages"][:1]


def unknown_role(row: Row, chance: random.Random) -> None:
    row["messages"][index_of(row, "user", chance)]["role"] = "customer"


CORRUPTIONS: dict[str, tuple[Callable[..., None], set[str]]] = {
    "truncated arguments": (truncated_arguments, {"unreadable-call"}),
    "extra brace": (extra_brace, {"unreadable-call"}),
    "python's arguments": (python_arguments, {"call-syntax"}),
    "arguments encoded twice": (encoded_twice, {"call-syntax"}),
    "arguments are a list": (with_arguments(lambda a: [a]), {"unreadable-call"}),
    "arguments are null": (with_arguments(lambda a: "null"), {"unreadable-call"}),
    "NaN": (
        with_arguments(lambda a: a.update(dict.fromkeys(a, float("nan")))),
        {"unreadable-call"},
    ),
    "unknown argument": (with_arguments(lambda a: a.update(surplus=1)), {"invalid-arguments"}),
    "wrong type": (
        with_arguments(lambda a: a.update({key: {"x": [1]} for key in a})),
        {"invalid-arguments"},
    ),
    "placeholder": (
        with_arguments(lambda a: a.update(dict.fromkeys(a, "API_call_0"))),
        {"placeholder-value"},
    ),
    "required argument missing": (required_argument_missing, {"invalid-arguments"}),
    "number as text": (number_as_text, {"text-value"}),
    "undeclared function": (undeclared_function, {"undeclared-function"}),
    "prefixed function": (prefixed_function, {"function-name"}),
    "tools left out": (no_tools, {"undeclared-function"}),
    "conflicting tool": (conflicting_tool, {"conflicting-tools"}),
    "repeated tool": (repeated_tool, {"repeated-tool"}),
    "schema of no kind": (schema_of_no_kind, {"unreadable-tools"}),
    "tool without a name": (tool_without_name, {"unreadable-tools"}),
    "result left out": (result_left_out, {"two-assistants", "call-without-result"}),
    "result without a call": (result_without_call, {"result-without-call"}),
    "result twice": (result_twice, {"result-without-call"}),
    "dangling id": (dangling_id, {"call-ids"}),
    "constant ids": (constant_ids, {"call-ids"}),
    "result of another function": (result_of_another_function, {"dangling-result"}),
    "two assistants": (two_assistants, {"two-assistants"}),
    "empty user turn": (empty_user, {"empty-turn"}),
    "ends on the user": (ends_on_the_user, {"unanswered-ending"}),
    "no assistant": (no_assistant, {"no-assistant"}),
    "unknown role": (unknown_role, {"wrong-layout"}),
    "half a surrogate pair": (with_text("\ud83d"), {"invalid-text"}),
    "control character": (with_text("\x00", "user"), {"control-characters"}),
    "end mark": (with_text("<|im_end|>"), {"end-mark", "two-assistants"}),
}


def outcome(row: Row) -> set[str]:
    """Return the rules that rejected or repaired a row."""
    raw = RawRow(0, json.loads(json.dumps(row)), "0" * 64, "line 1")
    found = clean_row(raw, "openai", "rows.json", Settings())
    if found.rejected:
        assert found.line == "" and found.rejected.reason
        return {found.rejected.rule}
    return {change.rule for change in found.changes}


def test_clean_rows_pass_untouched(rows: list[Row]) -> None:
    assert len(rows) > 60
    assert [outcome(row) for row in rows] == [set()] * len(rows)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corrupted_row_is_caught_by_the_rule_for_it(rows: list[Row], name: str) -> None:
    corrupt, rules = CORRUPTIONS[name]
    chance = random.Random(name)
    caught = 0
    for row in rows:
        damaged = copy.deepcopy(row)
        try:
            corrupt(damaged, chance)
        except (IndexError, KeyError):
            continue  # this row has nothing that can be damaged so
        if damaged == row:
            continue
        found = outcome(damaged)
        assert found and found <= rules, (found, damaged)
        caught += 1
    assert caught >= 10


def twin(row: Row, change: Callable[[Row], None]) -> Row:
    made = copy.deepcopy(row)
    change(made)
    return made


def other_call(row: Row) -> None:
    call = next(c for m in row["messages"] for c in m.get("tool_calls", ()))
    call["function"]["name"] = row["tools"][-1]["function"]["name"]
    call["function"]["arguments"] = '{"anything": 1}'


def add_tool(row: Row) -> None:
    row["tools"].append({"function": {"name": "anything", "parameters": {"anything": "int"}}})


REPEATED: dict[str, tuple[Callable[[Row], None], str]] = {
    "the same again": (lambda row: None, "duplicate"),
    "with other ids": (lambda row: constant_or_none(row), "duplicate"),
    "with another tool": (add_tool, "duplicate-other-tools"),
    "louder": (
        lambda row: row["messages"][0].update(content=row["messages"][0]["content"].upper()),
        "near-duplicate",
    ),
}


def constant_or_none(row: Row) -> None:
    for message in row["messages"]:
        message.pop("tool_call_id", None)
        for call in message.get("tool_calls", ()):
            del call["id"]


@pytest.mark.parametrize("name", REPEATED)
def test_every_repeated_row_is_caught(rows: list[Row], tmp_path: Path, name: str) -> None:
    change, rule = REPEATED[name]
    every = [*rows, *(twin(row, change) for row in rows)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in every))
    audit, _ = clean_file(tmp_path / "rows.jsonl", tmp_path / "clean.jsonl")
    assert audit.kept == len(rows)
    assert audit.counts[rule] == audit.rejected == len(rows)


def test_every_contradictory_row_is_caught(rows: list[Row], tmp_path: Path) -> None:
    with_two = [twin(row, add_tool) for row in rows]
    every = [*with_two, *(twin(row, other_call) for row in with_two)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in every))
    audit, _ = clean_file(tmp_path / "rows.jsonl", tmp_path / "clean.jsonl")
    assert (audit.kept, audit.counts["contradictory-labels"]) == (len(rows), len(rows))
