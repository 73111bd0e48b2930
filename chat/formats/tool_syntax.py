"""How tools and calls are written as text: describe, encode, decode, and the grammar of calls.

`describe` announces tools, `encode` writes an assistant's turn, and `decode` reads one back.
Decoding repairs nothing: text that looks like a call and cannot be read stays text, and
`Reply.problem` has the reason. `grammar` states the same syntax for constrained decoding, and
`unfinished` reads a reply while it is generated.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chat.conversation import Tool, ToolCall
from chat.formats.typescript import describe_function
from chat.formats.unfinished import CALL, UnfinishedToolUses
from chat.strict_json import call_decoder


@dataclass(frozen=True)
class Reply:
    """An assistant's turn read from text; `problem` says why something like a call was not read."""

    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class CallGrammar:
    """A grammar of replies, in the dialect of Lark that llguidance reads.

    opening: The text with which calls begin.
    free: The right side of a rule: any text, with calls after `opening` if it occurs.
    forced: The right side of a rule: calls only.
    rules: The rules that both use; `arguments_0` stands for the arguments of the first tool.
    """

    opening: str
    free: str
    forced: str
    rules: str


@dataclass(frozen=True)
class ToolSyntax:
    """One way to write tools and calls; `decode(encode(content, calls))` gives them back.

    grammar: Returns the grammar of replies when tools of these names are offered.
    unfinished: Returns a reader for a reply that is still being generated.
    """

    describe: Callable[[Sequence[Tool]], str]
    encode: Callable[[str, Sequence[ToolCall]], str]
    decode: Callable[[str], Reply]
    grammar: Callable[[Sequence[str]], CallGrammar]
    unfinished: Callable[[], UnfinishedToolUses]


PREFIX = "functions."
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

_NAMESPACE_HEAD = """\
# Tools

## functions

namespace functions {"""

_WRAPPER = """\
## multi_tool_use

// Calls go through this wrapper, whether there is one or several. Answer with one JSON object on a
// line of its own and write nothing after it. Only tools of the namespace functions can be called,
// and the parameters of each call must fit the type of its tool.
namespace multi_tool_use {

// Runs the listed tools side by side. List several when none needs the result of another.
type parallel = (_: {
// The calls to run, in order
tool_uses: {
// The tool to call: "functions." followed by its name
recipient_name: string,
// The arguments, as an object of the tool's own type
parameters: object,
}[],
}) => any;

} // namespace multi_tool_use"""


def describe_namespace(tools: Sequence[Tool]) -> str:
    """Announce tools as a TypeScript-like namespace, followed by the wrapper that calls them."""
    return f"{describe_tools_alone(tools)}\n\n{_WRAPPER}"


def describe_tools_alone(tools: Sequence[Tool]) -> str:
    """Announce tools as a TypeScript-like namespace; how to call them is left to training."""
    return "\n\n".join(
        [_NAMESPACE_HEAD, *map(describe_function, tools), "} // namespace functions"]
    )


def encode_tool_uses(content: str, calls: Sequence[ToolCall]) -> str:
    """Write text, and on a line after it the JSON object of all calls; ValueError on NaN."""
    if not calls:
        return content
    uses = [
        {"recipient_name": PREFIX + call.name, "parameters": dict(call.arguments)} for call in calls
    ]
    try:
        text = _ENCODER.encode({"tool_uses": uses})
    except (ValueError, TypeError, RecursionError) as error:
        names = ", ".join(call.name for call in calls)
        raise ValueError(f"the arguments of {names} are no JSON: {error}") from None
    return f"{content}\n{text}" if content else text


_CALL_BEGINS = '{"tool_uses"'


def decode_tool_uses(text: str) -> Reply:
    """Read text and the calls that end it; the calls begin a line and nothing follows them."""
    text = text.strip()
    start = _call_start(text)
    if start is None:
        return Reply(text)
    try:
        calls = _read_calls(text, start)
    except RecursionError:
        return Reply(text, problem="the call is nested too deeply to be read")
    except ValueError as error:
        return Reply(text, problem=str(error))
    return Reply(text[:start].strip(), calls)


def _call_start(text: str) -> int | None:
    found = CALL.search(text)
    if found:
        return found.start()
    last_line = text[text.rfind("\n") + 1 :]
    if len(last_line) > 2 and _CALL_BEGINS.startswith(last_line):
        return len(text) - len(last_line)
    return None


def _read_calls(text: str, start: int) -> tuple[ToolCall, ...]:
    if text[:start].rpartition("\n")[2].strip():
        raise ValueError("the call does not begin a line")
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        where = f"character {error.pos - start} of {len(text) - start}"
        raise ValueError(f"the call is no JSON: {error.msg} at {where}") from None
    if text[end:].strip():
        raise ValueError(f"text follows the call: {_excerpt(text[end:].strip())}")
    uses = value.get("tool_uses")
    if list(value) != ["tool_uses"] or not isinstance(uses, list):
        raise ValueError('the call is not {"tool_uses": [...]}')
    if not uses:
        raise ValueError("tool_uses is empty")
    return tuple(_read_call(use, f"tool_uses[{i}]") for i, use in enumerate(uses))


def _read_call(use: Any, where: str) -> ToolCall:
    if not isinstance(use, Mapping):
        raise ValueError(f"{where} is {_json_kind(use)}, wanted an object")
    for key in use:
        if key not in ("recipient_name", "parameters"):
            raise ValueError(f"{where} has an unknown key {_excerpt(key)}")
    name, arguments = use.get("recipient_name"), use.get("parameters")
    if not isinstance(name, str) or not name.removeprefix(PREFIX):
        raise ValueError(f"{where}.recipient_name is {_json_kind(name)}, wanted a tool's name")
    if not isinstance(arguments, Mapping):
        raise ValueError(f"{where}.parameters is {_json_kind(arguments)}, wanted an object")
    return ToolCall(name.removeprefix(PREFIX), arguments)


# TEXT holds nothing that `decode_tool_uses` reads as a call; CUT ends in the beginning of one.
_TOOL_USES_TEXT = r"""
TEXT: /(?s:.*)/ & ~/(?s:.*)\{[\s\x1c-\x1f]*"(tool_uses|recipient_name)"(?s:.*)/
CUT: /((?s:.*)\n|[\s\x1c-\x1f]*)\{"t(o(o(l(_(u(s(es?)?)?)?)?)?)?)?[\s\x1c-\x1f]*/
answer: ANSWER
ANSWER: TEXT & ~CUT""".strip()


def tool_uses_grammar(names: Sequence[str]) -> CallGrammar:
    """Return the grammar of what `encode_tool_uses` writes: any text, calls on a line after it."""
    opening = _CALL_BEGINS + ": ["
    forced = f"{_lark(opening)} calls"
    if not names:
        return CallGrammar(opening, "answer", forced, _TOOL_USES_TEXT)
    begins = [
        _ENCODER.encode({"recipient_name": PREFIX + name})[:-1] + ', "parameters": '
        for name in names
    ]
    rules = [
        _TOOL_USES_TEXT,
        f"OPENED: (TEXT {_lark(chr(10))})? {_lark(opening)}",
        "opened[lazy]: OPENED",
        'calls: call (", " call)* "]}"',
        f"call: {' | '.join(f'call_{i}' for i in range(len(names)))}",
        *(f'call_{i}: {_lark(begin)} arguments_{i} "}}"' for i, begin in enumerate(begins)),
    ]
    return CallGrammar(opening, "answer | opened calls", forced, "\n".join(rules))


def _lark(text: str) -> str:
    return _ENCODER.encode(text)


def unfinished_tool_uses() -> UnfinishedToolUses:
    """Return a reader for a reply with such calls while it is being generated."""
    return UnfinishedToolUses(lambda text: _read_call(_DECODER.decode(text), "a call"))


_DECODER = call_decoder()


def _json_kind(value: Any) -> str:
    if value is None:
        return "missing or null"
    if isinstance(value, str):
        return _excerpt(value)
    return _excerpt(json.dumps(value, ensure_ascii=False))


def _excerpt(text: str, most: int = 40) -> str:
    return repr(text if len(text) <= most else text[: most - 1] + "…")


_NAMESPACE = ToolSyntax(
    describe_namespace, encode_tool_uses, decode_tool_uses, tool_uses_grammar, unfinished_tool_uses
)

SYNTAXES: dict[str, ToolSyntax] = {
    "namespace": _NAMESPACE,
    "namespace_short": replace(_NAMESPACE, describe=describe_tools_alone),
}
