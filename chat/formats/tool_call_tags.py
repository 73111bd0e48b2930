"""`tool_call_tags`: calls as blocks of a name and parameters, for base models such as Mistral.

    <tool_call>
    name: get_weather
    parameters: {"city": "Graz"}
    </tool_call>

Roles are ordinary text, `<|user|>` and so on, which anyone could write: a text that holds one is
refused. A reply ends in the tokenizer's own `</s>`.
"""

import re
from collections.abc import Iterator

from chat.conversation import Conversation
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
    opening="<tool_call>\n",
    between="\n</tool_call>\n<tool_call>\n",
    closing="\n</tool_call>",
    starts=("<tool_call>",),
    name_key="",
    head="name: {name}\nparameters: ",
    joint="\n\n",
)

_MARKS = re.compile(r"<\|(?:system|user|assistant|tool)\|>")
TOOLS = """\
You can call these tools:
"""
CALLING = """

To call a tool, write a block for each call and nothing after it:

<tool_call>
name: tool_name
parameters: {"parameter": "value"}
</tool_call>"""


def _write(conversation: Conversation, settings: Settings) -> Iterator[Piece]:
    """Write the tools, a line of JSON each, after the system text."""
    check_marks(conversation, _MARKS)
    system, messages = split_system(conversation.messages)
    yield own("<s>")
    if system or conversation.tools:
        yield own("<|system|>\n", "system")
        yield content(system or "", "system")
        if conversation.tools:
            yield own(("\n\n" if system else "") + TOOLS, "system")
            lines = (tool.function_json_text for tool in conversation.tools)
            yield content("\n".join(lines), "system")
            yield own(CALLING, "system")
        yield own("\n", "system")
    for message in messages:
        role = message.role
        yield own(f"<|{role}|>\n", role)
        if role == "assistant":
            yield from reply(message, CALLS, marks=_MARKS)
            yield own("</s>", role, message.trained)
        else:
            yield content(message.content, role)
        yield own("\n", role)


TOOL_CALL_TAGS = ChatFormat(
    name="tool_call_tags",
    write=_write,
    special_tokens=("<s>", "</s>"),
    begin="<s>",
    reply_opening="<|assistant|>\n",
    stop_tokens=("</s>",),
    calls=CALLS,
    reply_joins=True,
)
