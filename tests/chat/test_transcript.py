"""Conversations as readable lines of text."""

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.transcript import conversation_lines


def test_transcript_shows_tools_roles_calls_and_results() -> None:
    conversation = Conversation(
        tools=(Tool("weather"), Tool("news")),
        messages=(
            Message("system", "Be brief."),
            Message("user", "Rain in Kraków?"),
            Message("assistant", "", (ToolCall("weather", {"city": "Kraków"}),)),
            Message("tool", "wet", name="weather"),
            Message("assistant", ""),
        ),
    )
    assert list(conversation_lines(conversation)) == [
        "Tools: weather, news",
        "System: Be brief.",
        "User: Rain in Kraków?",
        '  calls weather {"city": "Kraków"}',
        "Tool weather: wet",
        "Assistant: ",
    ]
