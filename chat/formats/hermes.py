"""`hermes`: ChatML with Hermes' `<tool_call>` blocks, for tokenizers without tokens for them.

Any model with `<|im_start|>` and `<|im_end|>` can learn it, such as SmolLM2; servers read its
calls with their parser called hermes. The tags are ordinary text, and a result stands in a turn of
the user: a question or a result that holds a result's tag is refused. `hermes_short` announces the
tools as TypeScript-like types, in half the tokens of JSON, and leaves how to call them to training.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from chat.conversation import Conversation, Tool
from chat.formats import chatml
from chat.formats.format import (
    ChatFormat,
    Piece,
    Settings,
    check_marks,
    content,
    own,
    split_system,
)
from chat.formats.typescript import describe_function

_RESULT = re.compile("</?tool_response>")
TOOLS = "You can call these tools, a JSON object each:\n<tools>\n"
CALLING = """
</tools>

Write each call as a block of its own, and nothing after the last:
<tool_call>
{"name": "the tool", "arguments": {"a parameter": "its value"}}
</tool_call>"""
SHORT_TOOLS = "# Tools\n\n"


def _write(
    conversation: Conversation,
    settings: Settings,
    announce: Callable[[Sequence[Tool]], Iterator[Piece]],
) -> Iterator[Piece]:
    """Write the tools after the system text, and neighbouring results in one turn of the user."""
    check_marks(Conversation(conversation.messages), _RESULT, ("user", "tool"))
    system, messages = split_system(conversation.messages)
    if system is not None or conversation.tools:
        yield own(chatml.SYSTEM, "system")
        yield content(system or "", "system")
        if conversation.tools:
            yield own("\n\n" if system else "", "system")
            yield from announce(conversation.tools)
        yield own(chatml.END, "system")
    yield from chatml.write_turns(messages, chatml.CALLS)


def _announce(tools: Sequence[Tool]) -> Iterator[Piece]:
    yield own(TOOLS, "system")
    yield content("\n".join(tool.function_json_text for tool in tools), "system")
    yield own(CALLING, "system")


def _announce_short(tools: Sequence[Tool]) -> Iterator[Piece]:
    yield own(SHORT_TOOLS, "system")
    yield content("\n\n".join(map(describe_function, tools)), "system")


HERMES = ChatFormat(
    name="hermes",
    write=partial(_write, announce=_announce),
    special_tokens=("<|im_start|>", "<|im_end|>"),
    begin="",
    reply_opening=chatml.REPLY,
    stop_tokens=("<|im_end|>",),
    calls=chatml.CALLS,
    end_tokens=("<|endoftext|>",),
)

HERMES_SHORT = replace(HERMES, name="hermes_short", write=partial(_write, announce=_announce_short))
