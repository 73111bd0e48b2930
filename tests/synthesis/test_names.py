"""Names in camelCase are spoken as those with underscores are."""

import json
import re
from pathlib import Path

import pytest

from chat.conversation import Conversation, Tool
from synthesis.alike import alike
from synthesis.dice import Dice
from synthesis.generation import Settings, generate
from synthesis.names import in_words, joined_as, words_of

TEXT = {"type": "string"}
TOOLS = [
    {
        "name": "create_ticket",
        "description": "Create a ticket for a customer.",
        "parameters": {
            "type": "object",
            "properties": {
                "customer_name": TEXT,
                "due_date": {"type": "string", "format": "date"},
                "work_hours": {"type": "integer", "minimum": 1, "maximum": 40},
                "is_urgent": {"type": "boolean"},
                "repair_kind": {"type": "string", "enum": ["roof_leak", "broken_door"]},
            },
            "required": ["customer_name", "due_date", "repair_kind"],
        },
        "examples": {
            "customer_name": ["Ada Costa", "Omar Weber", "Lin Park", "Eva Holm", "Jan Kral"],
            "due_date": ["2026-05-05", "2026-12-24", "2027-01-18", "2026-08-30"],
        },
        "results": [{"ticket_id": "T-48213", "open_tickets": 3}],
    },
    {
        "name": "close_ticket",
        "parameters": {
            "type": "object",
            "properties": {"ticket_id": TEXT},
            "required": ["ticket_id"],
        },
        "examples": {"ticket_id": ["T-48213", "T-55012", "T-90877"]},
        "results": [{"closed_at": "15:00", "needs_review": True}],
    },
    {
        "name": "get_stock_level",
        "parameters": {
            "type": "object",
            "properties": {"part_name": TEXT},
            "required": ["part_name"],
        },
        "examples": {"part_name": ["hinge", "door handle", "roof tile"]},
        "results": [{"free_pieces": 14, "shelf": {"row_letter": "B"}}],
    },
]


def in_camel_case(text: str) -> str:
    """Return a JSON text with every name_of_words as nameOfWords, but for the values of enums."""
    parts = re.split(r'("enum": \[.*?\])', text)
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"(?<=[a-z])_([a-z])", lambda found: found[1].upper(), parts[place])
    return "".join(parts)


def conversations(directory: Path, text: str, mixture: str) -> list[Conversation]:
    file = directory / f"tools{len(text)}.json"
    file.write_text(text, encoding="utf-8")
    settings = Settings(150, tools_file=str(file), domains=("custom",), mixture=mixture)
    return [made.conversation for made in generate(settings, workers=1)]


@pytest.mark.parametrize("mixture", ["plain", "short", "broad"])
def test_camel_case_changes_no_word_of_a_conversation(tmp_path: Path, mixture: str) -> None:
    snake = conversations(tmp_path, json.dumps(TOOLS), mixture)
    camel = conversations(tmp_path, in_camel_case(json.dumps(TOOLS)), mixture)
    names = re.compile(
        r"\b(createTicket|closeTicket|getStockLevel|[a-z]+(Name|Date|Hours|Id|At))\b"
    )
    called = set()
    for one, other in zip(snake, camel, strict=True):
        assert one.id == other.id
        for said, also in zip(one.messages, other.messages, strict=True):
            called |= {call.name for call in also.tool_calls}
            if said.role in ("user", "assistant"):
                assert said.content == also.content
                assert not names.search(also.content), also.content
    assert called == {"createTicket", "closeTicket", "getStockLevel"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("due_date", "due date"),
        ("dueDate", "due date"),
        ("due-date", "due date"),
        ("DueDate", "due date"),
        ("userID", "user ID"),
        ("HTTPStatus", "HTTP status"),
        ("IBAN", "IBAN"),
        ("?", "value"),
    ],
)
def test_a_name_is_said_in_words(name: str, words: str) -> None:
    assert in_words(name) == words
    assert words_of(name) == words.lower().split()


def test_made_up_tools_are_spelt_as_the_real_one() -> None:
    assert joined_as("createTicket", "undo", "createTicket") == "undoCreateTicket"
    assert joined_as("create_ticket", "create_ticket", "status") == "create_ticket_status"
    made = alike(Tool("createTicket", "", {}), Dice(1), 8)
    assert {"simulateCreateTicket", "createTicketHistory"} <= {tool.name for tool in made}
