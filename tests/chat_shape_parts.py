"""Turns, calls and tools of which the shapes of conversation are made."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chat.conversation import Conversation, Message, Tool, ToolCall


def system(content: str) -> Message:
    """Return a system turn."""
    return Message("system", content)


def user(content: str) -> Message:
    """Return a user's turn."""
    return Message("user", content)


def says(content: str, trained: bool = True) -> Message:
    """Return an assistant's turn of text."""
    return Message("assistant", content, trained=trained)


def calls(*tool_calls: ToolCall, content: str = "") -> Message:
    """Return an assistant's turn that calls tools."""
    return Message("assistant", content, tool_calls)


def call(name: str, arguments: Mapping[str, Any], id: str | None = None) -> ToolCall:
    """Return a call, with an id where the data has one."""
    return ToolCall(name, arguments, id)


def result(content: str, name: str, id: str | None = None) -> Message:
    """Return the result of a call."""
    return Message("tool", content, name=name, tool_call_id=id)


def tool(name: str, description: str, *required: str, **properties: Mapping[str, Any]) -> Tool:
    """Return a tool whose parameters are an object of these properties."""
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = list(required)
    return Tool(name, description, parameters)


def text(description: str) -> dict[str, Any]:
    """Return the schema of a string."""
    return {"type": "string", "description": description}


def with_nine_letter_ids(conversation: Conversation) -> Conversation:
    """Give every call, and the result that answers it, an id of nine letters or digits.

    Ids that are so already stay. A result without an id answers the first call that waits.
    """
    known: dict[str, str] = {}
    waiting: list[str] = []
    messages = []
    for message in conversation.messages:
        made = []
        for tool_call in message.tool_calls:
            id = tool_call.id or ""
            id = id if re.fullmatch(r"[a-zA-Z0-9]{9}", id) else f"call{len(known) + 1:05d}"
            known[tool_call.id or f"unnamed {len(known)}"] = id
            waiting.append(id)
            made.append(replace(tool_call, id=id))
        answered = message.tool_call_id
        if message.role == "tool":
            answered = known[answered] if answered else waiting[0]
            waiting.remove(answered)
        messages.append(replace(message, tool_calls=tuple(made), tool_call_id=answered))
    return replace(conversation, messages=tuple(messages))


WEATHER = tool(
    "get_weather",
    "Get the current weather of a city.",
    "city",
    city=text("Name of the city"),
    unit={"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit of degrees"},
)
CLOCK = tool("current_time", "Tell the time of day.")
TRAIN = tool(
    "find_train",
    "Find the next train between two stations.",
    "origin",
    "destination",
    origin=text("Where the trip begins"),
    destination=text("Where it ends"),
)
BOOKING = tool(
    "book_table",
    "Book a table in a restaurant.",
    "restaurant",
    "guests",
    restaurant={
        "type": "object",
        "description": "The restaurant",
        "properties": {
            "name": {"type": "string"},
            "address": {
                "type": "object",
                "properties": {"street": {"type": "string"}, "number": {"type": "integer"}},
                "required": ["street"],
            },
        },
        "required": ["name"],
    },
    guests={
        "type": "array",
        "description": "Who comes",
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "diet": {"type": "string", "enum": ["none", "vegetarian", "vegan"]},
            },
            "required": ["name"],
        },
    },
)
NOTE = tool(
    "save_note",
    "Keep a \"note\" with <tags> & 'quotes', e.g. C:\\temp — ünïcödé, 日本語, 👩‍🚀, e\u0301.",
    "text",
    text=text('The note\'s text; \\n, "quotes" and <b>bold</b> & more stay as they are 🙂'),
    folder=text("Ordner für „Notizen“"),
)
SENSOR = tool(
    "set_sensor",
    "Configure a sensor.",
    "threshold",
    "enabled",
    threshold={"type": "number", "description": "Degrees", "minimum": -40.5, "maximum": 1e3},
    enabled={"type": "boolean", "description": "Whether it reports", "default": True},
    label={"type": ["string", "null"], "description": "Label, or null for none"},
    levels={"type": "array", "items": {"type": "number"}, "description": "Steps"},
)
ACCOUNT = tool(
    "read_account",
    "Read the balance of an account.",
    "number",
    number={"type": "integer", "description": "Number of the account"},
)
