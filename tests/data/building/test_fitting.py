"""Fitting: as few tools as possible go, never one that is called, and never any text."""

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import find_format
from chat.formats.rendering import render
from data.building.fitting import without_spare_tools

FORMAT = find_format("llama3")
TOOLS = tuple(Tool(f"tool_{n}", "word " * n) for n in (5, 40, 10, 30, 20))


def conversation(*called: str) -> Conversation:
    calls = tuple(ToolCall(name, {}) for name in called)
    return Conversation((Message("user", "Go."), Message("assistant", "", calls)), TOOLS)


def length(conversation: Conversation) -> int:
    return sum(len(segment.text) for segment in render(conversation, FORMAT))


def fitted(conversation: Conversation, less: int) -> list[str] | None:
    found = without_spare_tools(conversation, length, length(conversation) - less)
    if found is None:
        return None
    assert found.messages == conversation.messages
    return [tool.name for tool in found.tools]


def test_as_few_tools_as_possible_are_dropped_longest_first() -> None:
    assert fitted(conversation("tool_5"), 1) == ["tool_5", "tool_10", "tool_30", "tool_20"]
    assert fitted(conversation("tool_5"), 300) == ["tool_5", "tool_10", "tool_20"]


def test_called_tools_are_never_dropped() -> None:
    assert fitted(conversation("tool_40", "tool_30"), 1) == [
        "tool_5",
        "tool_40",
        "tool_10",
        "tool_30",
    ]
    assert fitted(conversation("tool_40", "tool_30"), 400) is None


def test_shortest_tool_stays_when_none_is_called() -> None:
    assert fitted(conversation(), 600) == ["tool_5"]
    assert fitted(conversation(), 700) is None


def test_overlong_conversation_without_tools_cannot_be_fitted() -> None:
    bare = Conversation((Message("user", "Go."), Message("assistant", "Gone.")))
    assert fitted(bare, 1) is None
