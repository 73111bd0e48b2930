"""Several calls at once of one own tool: which argument differs, and how a user says that."""

import json
from pathlib import Path

import pytest

from synthesis.facts import problems
from synthesis.generation import Settings, generate
from synthesis.grammar import in_plural, marked
from synthesis.roles import plural

CLOSE_ISSUE = {
    "name": "close_issue",
    "description": "Close an issue that is settled.",
    "parameters": {
        "type": "object",
        "properties": {
            "issue_number": {"type": "integer", "minimum": 1, "maximum": 9999},
            "reason": {"type": "string", "enum": ["completed", "duplicate"]},
            "mode": {"type": "string", "examples": ["at once", "tonight"]},
        },
        "required": ["issue_number", "reason", "mode"],
    },
    "results": [{"status": "done"}],
}
READ_FILE = {
    "name": "read_file",
    "description": "Show the text of a file.",
    "parameters": {
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    },
    "examples": {"path": ["a.txt", "b.txt", "c.txt"]},
    "results": [{"text": "Good morning"}],
}


CREATE_ISSUE = {
    "name": "create_issue",
    "description": "Open a new issue.",
    "parameters": {
        "type": "object",
        "properties": {"title": {"type": "string"}, "owner": {"type": "string"}},
        "required": ["title", "owner"],
    },
    "examples": {"title": ["Printer", "Lamp"], "owner": ["Mei Ito", "Lars Berg", "Ada Moss"]},
    "results": [{"issue_number": number} for number in (7, 8, 9, 10)],
}


def at_once(record: dict[str, object], tmp_path: Path) -> list[tuple[str, list[dict[str, object]]]]:
    """Return what users say who want several calls of one tool, with the arguments of these."""
    file = tmp_path / "t.json"
    file.write_text(json.dumps([record]))
    settings = Settings(40, tools_file=str(file), domains=("custom",), quotas={"parallel_calls": 1})
    said = []
    for made in generate(settings, workers=1):
        messages = made.conversation.messages
        asked = " ".join(message.content for message in messages if message.role == "user")
        calls = [dict(call.arguments) for message in messages for call in message.tool_calls]
        said.append((asked, calls))
        assert list(problems(made.conversation)) == []
    return said


def test_parallel_calls_of_an_own_tool_vary_no_choice(tmp_path: Path) -> None:
    for _, calls in at_once(CLOSE_ISSUE, tmp_path):
        assert len({call["issue_number"] for call in calls}) == len(calls) > 1
        assert len({(call["reason"], call["mode"]) for call in calls}) == 1


def test_parallel_calls_of_an_own_tool_vary_no_property(tmp_path: Path) -> None:
    made = [calls for _, calls in at_once(CREATE_ISSUE, tmp_path)]
    assert all(len({call["owner"] for call in calls}) > 1 for calls in made)


def test_things_made_at_once_have_codes_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text(json.dumps([CREATE_ISSUE]))
    settings = Settings(40, tools_file=str(file), domains=("custom",), quotas={"parallel_calls": 1})
    for made in generate(settings, workers=1):
        codes = [text.content for text in made.conversation.messages if text.role == "tool"]
        assert len(set(codes)) == len(codes) > 1


def test_several_values_of_a_text_stand_in_quotes_of_their_own(tmp_path: Path) -> None:
    for asked, calls in at_once(READ_FILE, tmp_path):
        assert all(f"'{call['path']}'" in asked for call in calls)


@pytest.mark.parametrize(
    ("noun", "several"),
    [
        ("order", "orders"),
        ("city", "cities"),
        ("box", "boxes"),
        ("day", "days"),
        ("address", "addresses"),
    ],
)
def test_a_noun_before_several_values_is_plural(noun: str, several: str) -> None:
    for quote in ("", "'"):
        values = f"{quote}{marked('A')}{quote} and {quote}{marked('B')}{quote}"
        assert in_plural(f"the {noun} {values}", {noun: plural(noun)}) == f"the {several} {values}"
