"""`hermes`: ChatML with Hermes' `<tool_call>` blocks as ordinary text.

Any model with `<|im_start|>` and `<|im_end|>` can learn it, such as SmolLM2; servers read its
calls with their parser called hermes. The tags are ordinary text. `hermes_short` announces the
tools as TypeScript-like types, in half the tokens of JSON, and leaves how to call them to training.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

from chat.conversation import Conversation, Message, Tool
from chat.formats.call_syntax import CallSyntax
from chat.formats.format import (
    CannotWrite,
    ChatFormat,
    Piece,
    Settings,
    content,
    own,
    reply,
    split_system,
)
from chat.formats.typescript import describe_function

CALLS = CallSyntax(
    opening="<tool_call>\n",
    between="\n</tool_call>\n<tool_call>\n",
    closing="\n</tool_call>",
    starts=("<tool_call>",),
)
_END = "<|im_end|>\n"
_TOOLS = "You can call these tools, a JSON object each:\n<tools>\n"
_CALLING = """
</tools>

Write each call as a block of its own, and nothing after the last:
<tool_call>
{"name": "the tool", "arguments": {"a parameter": "its value"}}
</tool_call>"""


def _write(
    conversation: Conversation,
    settings: Settings,
    announce: Callable[[Sequence[Tool]], Iterator[Piece]],
) -> Iterator[Piece]:
    """Write the tools after the system text, and neighbouring results in one turn of the user."""
    system, messages = split_system(conversation.messages)
    if system is not None or conversation.tools:
        yield own("<|im_start|>system\n", "system")
        yield content(system or "", "system")
        if conversation.tools:
            if system:
                yield own("\n\n", "system")
            yield from announce(conversation.tools)
        yield own(_END, "system")
    for is_result, group in groupby(messages, lambda message: message.role == "tool"):
        if is_result:
            yield from _results(group)
        else:
            for message in group:
                yield from _turn(message)


def _announce(tools: Sequence[Tool]) -> Iterator[Piece]:
    yield own(_TOOLS, "system")
    yield content("\n".join(tool.function_json_text for tool in tools), "system")
    yield own(_CALLING, "system")


def _announce_short(tools: Sequence[Tool]) -> Iterator[Piece]:
    yield own("# Tools\n\n", "system")
    try:
        yield content("\n\n".join(map(describe_function, tools)), "system")
    except ValueError as error:
        raise CannotWrite(str(error)) from None


def _results(messages: Iterator[Message]) -> Iterator[Piece]:
    yield own("<|im_start|>user", "tool")
    for message in messages:
        yield own("\n<tool_response>\n", "tool")
        yield content(message.content, "tool")
        yield own("\n</tool_response>", "tool")
    yield own(_END, "tool")


def _turn(message: Message) -> Iterator[Piece]:
    yield own(f"<|im_start|>{message.role}\n", message.role)
    if message.role != "assistant":
        yield content(message.content, message.role)
        yield own(_END, message.role)
        return
    yield from reply(message, CALLS)
    yield own("<|im_end|>", "assistant", message.trained)
    yield own("\n", "assistant")


HERMES = ChatFormat(
    name="hermes",
    write=partial(_write, announce=_announce),
    special_tokens=("<|im_start|>", "<|im_end|>"),
    begin="",
    reply_opening="<|im_start|>assistant\n",
    stop_tokens=("<|im_end|>",),
    calls=CALLS,
    end_tokens=("<|endoftext|>",),
)

HERMES_SHORT = replace(HERMES, name="hermes_short", write=partial(_write, announce=_announce_short))
