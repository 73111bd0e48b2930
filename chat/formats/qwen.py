"""`qwen2_5` and `qwen3`: ChatML with Hermes' `<tool_call>` blocks.

The oracle is Qwen's own template.

Qwen3 is asked with thinking off: its reply opens with an empty block, which is not learnt. Qwen's
template leaves that block out of every turn but a last reply, so each reply is learnt in a
sequence of its own.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from chat.conversation import Conversation, Message
from chat.formats import chatml
from chat.formats.format import (
    ChatFormat,
    Piece,
    Settings,
    cannot_write,
    content,
    own,
    split_system,
)

CALLS = replace(chatml.CALLS, special_tokens=("<tool_call>", "</tool_call>"))

_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
_BEFORE_TOOLS = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>"""
_AFTER_TOOLS = """
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""
_NO_THOUGHTS = "<think>\n\n</think>\n\n"


def _write(
    conversation: Conversation, settings: Settings, default_system: str | None, thinks: bool
) -> Iterator[Piece]:
    system, messages = split_system(conversation.messages)
    if thinks:
        _check_replies(conversation.messages)
    yield from _system_turn(default_system if system is None else system, conversation)
    yield from chatml.write_turns(messages, CALLS, _NO_THOUGHTS if thinks else "")


def _check_replies(messages: tuple[Message, ...]) -> None:
    """Raise CannotWrite for what Qwen3's template would cut out, or write otherwise when asked."""
    for place, message in enumerate(messages):
        if message.role == "assistant" and "</think>" in message.content:
            raise cannot_write(message, place, "its text holds </think>")
        if place and message.role == messages[place - 1].role == "assistant":
            raise cannot_write(message, place, "two turns of the assistant follow one another")


def _system_turn(system: str | None, conversation: Conversation) -> Iterator[Piece]:
    if system is None and not conversation.tools:
        return
    yield own(chatml.SYSTEM, "system")
    yield content(system or "", "system")
    if conversation.tools:
        yield own(("" if system is None else "\n\n") + _BEFORE_TOOLS, "system")
        for tool in conversation.tools:
            yield content(f"\n{tool.json_text}", "system")
        yield own(_AFTER_TOOLS, "system")
    yield own(chatml.END, "system")


QWEN2_5 = ChatFormat(
    name="qwen2_5",
    write=partial(_write, default_system=_SYSTEM, thinks=False),
    special_tokens=("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"),
    begin="",
    reply_opening=chatml.REPLY,
    stop_tokens=("<|im_end|>",),
    calls=CALLS,
    end_tokens=("<|endoftext|>",),
)

QWEN3 = replace(
    QWEN2_5,
    name="qwen3",
    write=partial(_write, default_system=None, thinks=True),
    special_tokens=(
        *QWEN2_5.special_tokens,
        "<tool_response>",
        "</tool_response>",
        "<think>",
        "</think>",
    ),
    reply_opening=chatml.REPLY + _NO_THOUGHTS,
    earlier_turns_stay=lambda conversation: (
        not any(message.role == "assistant" for message in conversation.messages[:-1])
    ),
)
