"""`qwen2_5` and `qwen3`: ChatML with Hermes' `<tool_call>` blocks.

The oracle is Qwen's own template. Contents are written as they are, but an assistant's without
white space around. Of a turn, its text, its calls and `<|im_end|>` are learnt, not the line's end
that follows.

Qwen3 is asked with thinking off: its reply opens with an empty block, which is not learnt. Qwen's
template leaves that block out of every turn but a last reply, so each reply is learnt in a
sequence of its own.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby

from chat.conversation import Conversation, Message
from chat.formats.call_syntax import CallSyntax
from chat.formats.format import (
    ChatFormat,
    Piece,
    Settings,
    cannot_write,
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
    special_tokens=("<tool_call>", "</tool_call>"),
)

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
_END = "<|im_end|>\n"


def _write(
    conversation: Conversation, settings: Settings, default_system: str | None, thinks: bool
) -> Iterator[Piece]:
    """Write the tools after the system text, and neighbouring results in one turn of the user."""
    system, messages = split_system(conversation.messages)
    if thinks:
        _check_replies(conversation.messages)
    yield from _system_turn(default_system if system is None else system, conversation)
    left = len(messages)
    for is_result, group in groupby(messages, lambda message: message.role == "tool"):
        turns = list(group)
        left -= len(turns)
        if is_result:
            yield from _results(turns)
            continue
        for place, message in enumerate(turns, 1):
            last = thinks and not left and place == len(turns)
            yield from _turn(message, _NO_THOUGHTS if last else "")


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
    yield own("<|im_start|>system\n", "system")
    yield content(system or "", "system")
    if conversation.tools:
        yield own(("" if system is None else "\n\n") + _BEFORE_TOOLS, "system")
        for tool in conversation.tools:
            yield content(f"\n{tool.json_text}", "system")
        yield own(_AFTER_TOOLS, "system")
    yield own(_END, "system")


def _results(messages: list[Message]) -> Iterator[Piece]:
    yield own("<|im_start|>user", "tool")
    for message in messages:
        yield own("\n<tool_response>\n", "tool")
        yield content(message.content, "tool")
        yield own("\n</tool_response>", "tool")
    yield own(_END, "tool")


def _turn(message: Message, thoughts: str) -> Iterator[Piece]:
    yield own(f"<|im_start|>{message.role}\n", message.role)
    if message.role != "assistant":
        yield content(message.content, message.role)
        yield own(_END, message.role)
        return
    yield own(thoughts, "assistant")
    yield from reply(message, CALLS)
    yield own("<|im_end|>", "assistant", message.trained)
    yield own("\n", "assistant")


QWEN2_5 = ChatFormat(
    name="qwen2_5",
    write=partial(_write, default_system=_SYSTEM, thinks=False),
    special_tokens=("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"),
    begin="",
    reply_opening="<|im_start|>assistant\n",
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
    reply_opening="<|im_start|>assistant\n" + _NO_THOUGHTS,
    earlier_turns_stay=lambda conversation: (
        not any(message.role == "assistant" for message in conversation.messages[:-1])
    ),
)
