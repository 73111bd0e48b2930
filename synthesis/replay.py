"""Execute every call of a generated file again and compare with the stored results."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chat.conversation import Conversation, ToolCall
from data.conversations import read_conversations
from synthesis.custom import read_tools_file
from synthesis.declaration import SyntheticTool, result_text
from synthesis.domains import DOMAINS


@dataclass(frozen=True)
class Replayed:
    """How much was executed again."""

    conversations: int
    calls: int


def replay_file(source_file: Path | str, tools_file: Path | str | None = None) -> Replayed:
    """Execute every call of a file; ValueError names the first whose result is another one."""
    own = read_tools_file(tools_file) if tools_file else ()
    # A user's own tool may have the name of a built-in one that was not taken.
    tools = {tool.name: tool for domain in (*DOMAINS, *own) for tool in domain.tools}
    conversations = calls = 0
    for conversation in read_conversations(source_file):
        conversations += 1
        for call, stored in called(conversation):
            calls += 1
            _replay(tools, conversation.id, call, stored)
    return Replayed(conversations, calls)


def called(conversation: Conversation) -> Iterator[tuple[ToolCall, str]]:
    """Yield each call with its stored result, the text of the tool's message that follows."""
    messages = conversation.messages
    for place, message in enumerate(messages):
        for number, call in enumerate(message.tool_calls, start=1):
            answer = messages[place + number] if place + number < len(messages) else None
            if answer is None or answer.role != "tool":
                raise ValueError(f"{conversation.id}: the call of {call.name} has no result")
            yield call, answer.content


def _replay(tools: Mapping[str, SyntheticTool], id: str, call: ToolCall, stored: str) -> None:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    if call.name not in tools:
        raise ValueError(
            f"{id}: there is no tool {call.name} to execute; name the file that holds it with "
            "--tools-file"
        )
    found = result_text(tools[call.name].run(call.arguments))
    if found != stored:
        raise ValueError(
            f"{id}: {call.name}({arguments}) gives {found[:200]}, but stored is {stored[:200]}"
        )
