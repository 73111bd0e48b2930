"""parse(render(x)) == x: 10,000 random argument objects in every chat format."""

import random
from typing import Any

import pytest

from chat.conversation import Message, ToolCall
from chat.formats.format import ChatFormat
from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply, written_reply

# So many in `make test`, and ten times as many in `make test-all`.
COUNTS = [1_000, pytest.param(10_000, marks=pytest.mark.long)]
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


WITH_CALLS = {name: format for name, format in FORMATS.items() if format.calls.starts}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("format", WITH_CALLS.values(), ids=WITH_CALLS)
def test_random_arguments_are_read_back_exactly(format: ChatFormat, count: int) -> None:
    draw = random.Random(format.name)
    most = 3 if format.calls.between else 1
    done = 0
    while done < count:
        calls = tuple(
            ToolCall(draw.choice(("get_state", "set_state")), arguments(draw))
            for _ in range(draw.randint(1, most))
        )
        written = written_reply(Message("assistant", "", calls), format)
        reply = parse_reply(written, format)
        assert reply.problem is None
        assert exact(reply.tool_calls) == exact(calls), written
        done += len(calls)
