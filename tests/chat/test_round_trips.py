"""parse(render(x)) == x: 10,000 random argument objects in every chat format."""

import random
from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.format import ChatFormat
from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply, render

COUNT = 10_000
# Text that is hard to encode: quotes, escapes, marks of formats, scripts, controls, blanks.
PIECES = [
    *("'", '"', "\\", "\\n", "\n", "\r\n", "\t", " ", "  ", "{", "}", "[", "]", ":", ",", "\x00"),
    *("<|eot_id|>", "</tool_call>", "[TOOL_CALLS]", "<functioncall>", "functions.", "null", "None"),
    *("True", "1e5", "é", "名前", "🙂", "\u2028", "\x7f", "\\u0041", "```", "a", "word", "0", ""),
]


def text(draw: random.Random) -> str:
    return "".join(draw.choice(PIECES) for _ in range(draw.randrange(6)))


def number(draw: random.Random) -> int | float:
    kinds = (draw.randrange(-10, 10), draw.getrandbits(80), draw.uniform(-1e3, 1e3), 1e300, -0.0)
    return draw.choice(kinds)


def value(draw: random.Random, depth: int) -> Any:
    kind = draw.randrange(7 if depth else 4)
    if kind == 4:
        return [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    if kind > 4:
        return arguments(draw, depth - 1)
    return (text(draw), number(draw), draw.choice([None, True, False]), text(draw))[kind]


def arguments(draw: random.Random, depth: int = 3) -> dict[str, Any]:
    return {text(draw): value(draw, depth) for _ in range(draw.randrange(5))}


def exact(calls: tuple[ToolCall, ...]) -> str:
    """Calls as a text that tells 1 from 1.0 and True, and one key order from another."""
    return repr([(call.name, call.arguments) for call in calls])


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_ten_thousand_random_arguments_are_read_back_exactly(format: ChatFormat) -> None:
    draw = random.Random(format.name)
    tools = (Tool("get_state"), Tool("set_state"))
    done = 0
    while done < COUNT:
        calls = tuple(
            ToolCall(draw.choice(tools).name, arguments(draw)) for _ in range(draw.randrange(1, 4))
        )
        asked = Message("user", "Go on.")
        segments = render(Conversation((asked, Message("assistant", "", calls)), tools), format)
        written = "".join(
            segment.text for segment in segments if segment.trained and not segment.special
        )
        reply = parse_reply(written, format)
        assert reply.problem is None
        assert exact(reply.tool_calls) == exact(calls), written
        done += len(calls)
