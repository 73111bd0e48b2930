"""Layouts in use elsewhere: rows of our own wording give the conversations they were made from."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation
from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings, clean_row
from data.reading import SOURCES, RawRow, detect_format, explain_format, read_rows

FIXTURES = Path(__file__).parent / "layouts"
# The layout of each file, and which of the conversations in expected.jsonl its rows hold.
FILES: dict[str, tuple[str, tuple[int, ...]]] = {
    "anthropic": ("anthropic", (0, 1, 2, 3, 4)),
    "apigen_mt": ("sharegpt", (0, 2, 3, 4)),
    "available_tools": ("openai", (0, 2, 3, 4)),
    "gemini": ("gemini", (0, 1, 2, 3, 4)),
    "ipython": ("openai", (0, 2, 3, 4)),
    "langchain": ("langchain", (0, 1, 2, 3, 4)),
    "langchain_steps": ("langchain", (0,)),
    "mcp": ("mcp", (0, 1, 2, 3, 4)),
    "preference": ("preference", (0, 2, 3, 4)),
    "preference_openai": ("preference", (1,)),
    "prompt_completion": ("prompt_completion", (0, 1, 2, 3, 4)),
    "responses": ("responses", (0, 1, 2, 3, 4)),
    "reward": ("reward", (0, 2, 4)),
    "tool_responses": ("openai", (0, 1, 2, 3, 4)),
    "toolace": ("toolace", (0, 1, 2, 3, 4)),
    "toolllama": ("toolllama", (0, 2, 3, 4)),
}
# ToolACE's tools have names of several words.
NAMES = {"Find Tide": "find_tide", "Harbour/Book Berth": "book_berth"}


def rows_of(name: str) -> list[Any]:
    return [row.value for row in read_rows(FIXTURES / f"{name}.jsonl")]


def said(conversation: Conversation) -> list[Any]:
    """Return what a conversation says: roles, texts, calls, and results as the values they are."""
    found: list[Any] = []
    for message in conversation.messages:
        calls = [
            (NAMES.get(call.name, call.name), dict(call.arguments)) for call in message.tool_calls
        ]
        text = json.loads(message.content) if message.role == "tool" else message.content
        found.append((message.role, text, calls))
    return found


def expected(name: str) -> Iterator[Conversation]:
    all_of_them = [Conversation.from_record(value) for value in rows_of("expected")]
    for place in FILES[name][1]:
        conversation = all_of_them[place]
        if name == "reward" and place == 0:
            # Its row asks for the call alone.
            conversation = Conversation(conversation.messages[:2], conversation.tools)
        yield conversation


@pytest.mark.parametrize("name", FILES)
def test_a_row_gives_the_conversation_it_was_made_from(name: str, tmp_path: Path) -> None:
    clean_file(FIXTURES / f"{name}.jsonl", tmp_path / "clean.jsonl")
    found = [Conversation.from_record(row.value) for row in read_rows(tmp_path / "clean.jsonl")]
    wanted = list(expected(name))
    assert list(map(said, found)) == list(map(said, wanted))
    for conversation, made_from in zip(found, wanted, strict=True):
        tools = [(NAMES.get(t.name, t.name), t.description) for t in conversation.tools]
        assert tools == [(tool.name, tool.description) for tool in made_from.tools]
        for tool, given in zip(conversation.tools, made_from.tools, strict=True):
            for key in ("required", "type"):
                assert tool.parameters[key] == given.parameters[key]
            assert tool.parameters["properties"] == given.parameters["properties"]


@pytest.mark.parametrize("name", FILES)
def test_each_row_of_a_file_has_its_layout(name: str) -> None:
    layout, places = FILES[name]
    rows = rows_of(name)
    assert len(rows) == len(places)
    assert detect_format(rows[0]) == layout
    assert all(SOURCES[layout].recognises(row) for row in rows)


def test_the_report_says_why_a_layout_was_chosen(tmp_path: Path) -> None:
    clean_file(FIXTURES / "anthropic.jsonl", tmp_path / "clean.jsonl")
    report = json.loads((tmp_path / "clean.report.json").read_text(encoding="utf-8"))
    why = report["source"]["format_chosen"]
    assert why.startswith("openai would fit the first row too; anthropic asks more of a row")
    assert "tool_use" in why


def test_a_named_layout_is_said_to_be_named() -> None:
    (row, *_) = rows_of("anthropic")
    assert "openai was named" in explain_format(row, "openai")
    assert explain_format({"system": "", "chat": ""}, "glaive") == ""


@pytest.mark.parametrize("name", ["preference", "preference_openai"])
def test_both_answers_of_a_preference_are_written_as_a_pair(name: str, tmp_path: Path) -> None:
    clean_file(FIXTURES / f"{name}.jsonl", tmp_path / "clean.jsonl")
    pairs = [row.value for row in read_rows(tmp_path / "clean.pairs.jsonl")]
    for pair, conversation in zip(pairs, expected(name), strict=True):
        whole = {"messages": [*pair["prompt"], *pair["chosen"]], "tools": pair["tools"]}
        assert said(Conversation.from_record(whole)) == said(conversation)
        (rejected,) = pair["rejected"]
        assert rejected["role"] == "assistant" and rejected["content"]


ODD: tuple[Any, ...] = (None, 5, True, "x", "[{", [], {}, [1], {"a": 1}, [None], "", "[1]")


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every list and object inside a value, with each of its keys."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from places_in(value[key])


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_row_is_judged_by_a_rule(name: str) -> None:
    draw, rows = random.Random(3), rows_of(name)
    for number in range(40):
        row = copy.deepcopy(draw.choice(rows))
        holder, key = draw.choice(list(places_in(row)))
        holder[key] = draw.choice(ODD)
        outcome = clean_row(RawRow(number, row, "", ""), FILES[name][0], "rows", Settings())
        assert bool(outcome.line) != bool(outcome.rejected)
