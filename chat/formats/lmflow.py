"""`llama3_for_tool` and `qwen2_for_tool`: the two templates of LMFlow's tool fine-tuning.

The oracle is LMFlow's code (src/lmflow/utils/conversation_template, at f3597dba): the tools follow
the system text without anything between, and a call is a turn of its own, here the JSON object of
its name and arguments. LMFlow trains a reply's header and the line's end after it too; here a
reply's text and its end token are trained.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from chat.conversation import Conversation
from chat.formats.call_syntax import CallSyntax
from chat.formats.format import ChatFormat, Piece, Settings, content, own, reply, split_system
from chat.formats.llama3 import LLAMA3, header

CALLS = CallSyntax(
    opening="", between="", closing="", starts=('{ "name"',), joint=None, begins="reply"
)


def _write(
    conversation: Conversation, settings: Settings, begin: str, opening: str, closing: str
) -> Iterator[Piece]:
    """Write the system text and the tools in one turn; `opening` takes the role of a turn."""
    yield own(begin)
    system, messages = split_system(conversation.messages)
    system = system or ""
    tools = ",".join(tool.function_json_text for tool in conversation.tools)
    announced = (system if system.strip() else "") + tools
    end = closing.removesuffix("\n")
    if announced:
        yield own(opening.format(role="system"), "system")
        yield content(announced, "system")
        yield own(closing, "system")
    for message in messages:
        role = message.role
        yield own(opening.format(role=role), role)
        if role == "assistant":
            yield from reply(message, CALLS)
            yield own(end, role, message.trained)
            yield own(closing.removeprefix(end), role)
        else:
            yield content(message.content, role)
            yield own(closing, role)


LLAMA3_FOR_TOOL = replace(
    LLAMA3,
    name="llama3_for_tool",
    write=partial(
        _write, begin=LLAMA3.begin, opening=header("{role}"), closing=LLAMA3.stop_tokens[0]
    ),
    calls=CALLS,
)

QWEN2_FOR_TOOL = ChatFormat(
    name="qwen2_for_tool",
    write=partial(_write, begin="", opening="<|im_start|>{role}\n", closing="<|im_end|>\n"),
    special_tokens=("<|im_start|>", "<|im_end|>"),
    begin="",
    reply_opening="<|im_start|>assistant\n",
    stop_tokens=("<|im_end|>",),
    calls=CALLS,
    end_tokens=("<|endoftext|>",),
)
