"""ChatML's turns with Hermes' `<tool_call>` blocks, which the formats of Qwen and `hermes` share.

An assistant's text is written without white space around it, all others as they are. Of a turn,
its text, its calls and `<|im_end|>` are learnt, not the line's end that follows.
"""

from collections.abc import Iterator
from itertools import groupby

from chat.conversation import Message
from chat.formats.call_syntax import CallSyntax
from chat.formats.format import Piece, content, own, reply

# The tags are ordinary text here; for Qwen they are tokens.
CALLS = CallSyntax(
    opening="<tool_call>\n",
    between="\n</tool_call>\n<tool_call>\n",
    closing="\n</tool_call>",
    starts=("<tool_call>",),
)
SYSTEM = "<|im_start|>system\n"
END = "<|im_end|>\n"
REPLY = "<|im_start|>assistant\n"


def write_turns(
    messages: tuple[Message, ...], calls: CallSyntax, thoughts: str = ""
) -> Iterator[Piece]:
    """Write turns, neighbouring results in one of the user; `thoughts` open a last reply."""
    left = len(messages)
    for is_result, group in groupby(messages, lambda message: message.role == "tool"):
        turns = list(group)
        left -= len(turns)
        if is_result:
            yield from _results(turns)
            continue
        for place, message in enumerate(turns, 1):
            yield from _turn(message, calls, "" if left or place < len(turns) else thoughts)


def _results(messages: list[Message]) -> Iterator[Piece]:
    yield own("<|im_start|>user", "tool")
    for message in messages:
        yield own("\n<tool_response>\n", "tool")
        yield content(message.content, "tool")
        yield own("\n</tool_response>", "tool")
    yield own(END, "tool")


def _turn(message: Message, calls: CallSyntax, thoughts: str) -> Iterator[Piece]:
    if message.role != "assistant":
        yield own(f"<|im_start|>{message.role}\n", message.role)
        yield content(message.content, message.role)
        yield own(END, message.role)
        return
    yield own(REPLY, "assistant")
    yield own(thoughts, "assistant")
    yield from reply(message, calls)
    yield own("<|im_end|>", "assistant", message.trained)
    yield own("\n", "assistant")
