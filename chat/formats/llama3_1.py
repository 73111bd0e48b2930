"""`llama3_1`: Llama 3.1, 3.2 and 3.3 with Meta's JSON calls, which servers read by themselves.

The oracle is the template that Meta publishes with the weights; Meta's own Python (llama-models)
writes other texts. A call is `{"name": ..., "parameters": ...}` alone, one a turn, and a result is
a JSON string. The dates of the template are kept: no clock decides what is trained.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from chat.conversation import Conversation, Tool
from chat.formats.call_syntax import CallSyntax
from chat.formats.format import (
    CannotWrite,
    Piece,
    Settings,
    content,
    own,
    reply,
    split_system,
)
from chat.formats.llama3 import LLAMA3, header
from chat.recurring import MOST_KEPT

CALLS = CallSyntax(
    opening="",
    between="",
    closing="",
    starts=('{ "name"',),
    arguments_key="parameters",
    joint=None,
    begins="reply",
)

_BEFORE_TOOLS = (
    "Given the following functions, please respond with a JSON for a function call with its proper "
    "arguments that best answers the given prompt.\n\nRespond in the format "
    '{"name": function name, "parameters": dictionary of argument name and its value}.'
    "Do not use variables.\n\n"
)


def _write(conversation: Conversation, settings: Settings) -> Iterator[Piece]:
    """Write dates and the system text first, and the tools before the first user's text."""
    system, messages = split_system(conversation.messages)
    tools = conversation.tools
    yield own("<|begin_of_text|>")
    environment = "Environment: ipython\n" if tools else ""
    dates = f"Cutting Knowledge Date: {settings['cutoff']}\nToday Date: {settings['date']}\n\n"
    yield own(header("system") + environment, "system")
    yield content(dates + (system or "").strip(), "system")
    yield own("<|eot_id|>", "system")
    if tools and (not messages or messages[0].role != "user"):
        raise CannotWrite("tools are announced in the first user message, and there is none")
    for place, message in enumerate(messages):
        if message.role == "assistant":
            yield own(header("assistant"), "assistant")
            yield from reply(message, CALLS)
            yield own("<|eot_id|>", "assistant", message.trained)
            continue
        if message.role == "tool":
            yield own(header("ipython"), "tool")
            yield content(json.dumps(message.content, ensure_ascii=False), "tool")
        else:
            yield own(header(message.role), message.role)
            if tools and not place:
                yield content(_BEFORE_TOOLS + "".join(map(_announced, tools)), "user")
            yield content(message.content.strip(), message.role)
        yield own("<|eot_id|>", message.role)


def _announced(tool: Tool) -> str:
    return _indented(tool.json_text) + "\n\n"


@lru_cache(maxsize=MOST_KEPT)
def _indented(json_text: str) -> str:
    return json.dumps(json.loads(json_text), indent=4, ensure_ascii=False)


LLAMA3_1 = replace(
    LLAMA3,
    name="llama3_1",
    write=_write,
    calls=CALLS,
    special_table="llama3_1",
    end_tokens=("<|eom_id|>", "<|end_of_text|>"),
    settings={"cutoff": "December 2023", "date": "26 Jul 2024"},
)
