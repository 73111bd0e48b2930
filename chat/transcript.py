"""Conversations and calls as readable lines of text."""

import json
from collections.abc import Iterable, Iterator

from chat.conversation import Conversation, ToolCall


def conversation_lines(conversation: Conversation) -> Iterator[str]:
    """Yield a line of tool names, then the messages and calls in order."""
    if conversation.tools:
        yield f"Tools: {', '.join(tool.name for tool in conversation.tools)}"
    for message in conversation.messages:
        who = f"Tool {message.name}" if message.name else message.role.capitalize()
        if message.content or not message.tool_calls:
            yield f"{who}: {message.content}"
        yield from call_lines(message.tool_calls)


def call_lines(calls: Iterable[ToolCall]) -> Iterator[str]:
    """Yield a line for each call: its name and its arguments as JSON."""
    for call in calls:
        yield f"  calls {call.name} {json.dumps(dict(call.arguments), ensure_ascii=False)}"
