"""Rows in the layout of raw Glaive v2, made of synthetic conversations with real tools.

Like Glaive's, most of them declare one or two functions and their calls stand in single quotes;
their lengths in tokens are about those of Glaive's rows.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from chat.conversation import Conversation, Message, Tool
from storage.atomic import new_file
from synthesis.generation import Settings, generate

SYSTEM = (
    "SYSTEM: You are a helpful assistant with access to the following functions. "
    "Use them if required -\n"
)
# Glaive's layout has no parallel calls; later questions make conversations as long as Glaive's.
QUOTAS = {"parallel_calls": 0, "small_talk": 0.03, "answer_from_result": 0.4}
# How many functions a row declares beside those it calls, from its last digit.
SPARE_TOOLS = (1, 0, 1, 0, 1, 0, 2, 1, 1, 0)


def write_rows(path: Path, count: int, seed: int = 3) -> None:
    """Write `count` rows as JSON Lines; the same seed gives the same bytes."""
    with new_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        for line in rows(count, seed):
            stream.write(line)


def rows(count: int, seed: int = 3) -> Iterator[str]:
    """Yield rows as lines of JSON."""
    for made in generate(Settings(count=count, seed=seed, quotas=QUOTAS, mixture="plain")):
        spare = SPARE_TOOLS[made.task.index % len(SPARE_TOOLS)]
        yield json.dumps(glaive_row(made.conversation, spare), ensure_ascii=False) + "\n"


def glaive_row(conversation: Conversation, spare: int) -> dict[str, str]:
    """Write a conversation as `system` and `chat`, with `spare` tools beside those it calls."""
    called = {call.name for message in conversation.messages for call in message.tool_calls}
    others = [tool.name for tool in conversation.tools if tool.name not in called]
    kept = called | set(others[: max(spare, 0 if called else 1)])
    tools = [_declaration(tool) for tool in conversation.tools if tool.name in kept]
    turns = [_turn(message) for message in conversation.messages if message.role != "system"]
    return {"system": SYSTEM + "\n\n".join(tools) + "\n\n", "chat": "".join(turns)}


def _declaration(tool: Tool) -> str:
    declared = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return json.dumps(declared, indent=4, ensure_ascii=False)


def _turn(message: Message) -> str:
    if message.role == "user":
        return f"USER: {message.content}\n\n\n"
    if message.role == "tool":
        return f"FUNCTION RESPONSE: {message.content}\n\n\n"
    texts = [message.content] if message.content else []
    for call in message.tool_calls:
        arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
        texts.append(f'<functioncall> {{"name": "{call.name}", "arguments": \'{arguments}\'}}')
    return f"ASSISTANT: {' '.join(texts)} <|endoftext|>\n\n\n"
