"""`glaive_text`: the plain text of Glaive's function calling data, for base models such as Mistral.

As glaiveai/glaive-function-calling-v2 has it, but for two things: arguments are real JSON, and a
reply ends in the tokenizer's own `</s>`, where the data spell `<|endoftext|>`. Roles are ordinary
text, which anyone could write: a text that holds one is refused.
"""

import json
import re
from collections.abc import Iterator

from chat.conversation import Conversation, Tool
from chat.formats.call_syntax import CallSyntax
from chat.formats.format import (
    ChatFormat,
    Piece,
    Settings,
    check_marks,
    content,
    own,
    reply,
    split_system,
)

CALLS = CallSyntax(
    opening="<functioncall> ", between="", closing="", starts=("<functioncall>",), joint=" "
)

_MARKS = re.compile(r"(?m:^)[ \t]*+(?:SYSTEM|USER|ASSISTANT|FUNCTION RESPONSE):")
_WITH_TOOLS = (
    "You are a helpful assistant with access to the following functions. Use them if required -"
)
_WITHOUT_TOOLS = "You are a helpful assistant, with no access to external functions."
_NAMES = {"system": "SYSTEM", "user": "USER", "tool": "FUNCTION RESPONSE"}


def _write(conversation: Conversation, settings: Settings) -> Iterator[Piece]:
    """Write the tools, one under another, after the system text."""
    check_marks(conversation, _MARKS)
    system, messages = split_system(conversation.messages)
    tools = conversation.tools
    yield own("<s>SYSTEM: ", "system")
    yield content(system or (_WITH_TOOLS if tools else _WITHOUT_TOOLS), "system")
    for tool in tools:
        yield content(f"\n{_tool_text(tool)}\n", "system")
    yield own("\n\n", "system")
    for message in messages:
        role = message.role
        if role == "assistant":
            yield own("ASSISTANT:", role)
            yield from reply(message, CALLS, lead=" ")
            yield own("</s>", role, message.trained)
            yield own("\n\n\n", role)
        else:
            yield own(f"{_NAMES[role]}: ", role)
            yield content(message.content, role)
            yield own("\n\n\n", role)


def _tool_text(tool: Tool) -> str:
    return json.dumps(tool.to_record()["function"], indent=4, ensure_ascii=False)


GLAIVE_TEXT = ChatFormat(
    name="glaive_text",
    write=_write,
    special_tokens=("<s>", "</s>"),
    begin="<s>",
    reply_opening="ASSISTANT:",
    stop_tokens=("</s>",),
    calls=CALLS,
    reply_joins=True,
)
