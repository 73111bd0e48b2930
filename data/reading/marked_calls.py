"""Read the calls that a mark announces in a text: `<tool_call>`, `[TOOL_CALLS]` and their like."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chat.conversation import Tool
from data.reading.call_text import ReadCall, read_call_value, read_calls, read_expressions
from data.reading.contents import json_or_text


@dataclass(frozen=True)
class Mark:
    """What opens and closes calls in a text.

    closing: Empty where calls go on to the next mark or to the end of the text.
    is_head: Whether the mark is part of the call, as in `<function=f>`.
    foreign: Whether it is another than those that data sets have for their own calls.
    """

    opening: str
    closing: str = ""
    is_head: bool = False
    foreign: bool = True


MARKS = {
    mark.opening: mark
    for mark in (
        Mark("<tool_call>", "</tool_call>", foreign=False),
        Mark("<functioncall>", foreign=False),
        Mark("<function=", "</function>", is_head=True),
        Mark("[TOOL_CALLS]"),
        Mark("<|python_tag|>"),
        Mark("<tool_calls>", "</tool_calls>"),
        Mark("<function_call>", "</function_call>"),
        Mark("<calls>", "</calls>"),
        Mark("<|tool_call|>", "<|/tool_call|>"),
        Mark("<|python_start|>", "<|python_end|>"),
        Mark("[TOOL_CALL]", "[/TOOL_CALL]"),
        Mark("[TOOL_REQUEST]", "[END_TOOL_REQUEST]"),
    )
}
OPENINGS = re.compile("|".join(map(re.escape, MARKS)))
_FENCE = "```"
# How far after the mark of a call its name stands, in characters.
_NAME_WITHIN = 200
# How models write calls whose notation is not read here: DeepSeek's, Kimi's, Claude's, MiniMax's,
# FunctionGemma's, Phi-4's, functionary's, InternLM's, Command's, gpt-oss's, Qwen's first.
_UNREAD_SIGNS = ("<", ">>>", "functools[", "\u273f")  # looked for first, because it is quick
_UNREAD = re.compile(
    "<\uff5ctool\u2581call|<\\|tool_calls_section_begin\\|>|<\\|tool_call_begin\\|>|<invoke name="
    "|<function_calls>|<minimax:tool_call>|<start_function_call>|functools\\[{|^>>>(?=\\w)"
    "|<\\|action_start\\|>|<\\|START_ACTION\\|>|<\\|channel\\|>commentary to=|\u273fFUNCTION\u273f",
    re.MULTILINE,
)

_BEGIN = re.compile(
    r"\s*+(?:[{\[]|<function=[^<>\n]*+>\s*+(?:[{<])|name:[ \t]|"
    r"(?P<name>[^\s<>(){}\[\]\"']++)\s*+(?:<arg_key>|[({]|\[ARGS\]|\[CALL_ID\]|(?P<alone></tool_call>)))"
)
_HEAD = re.compile(r"<function=(?P<name>[^<>\n]*+)>")
_NAMED = re.compile(r"(?P<name>[^\s<>(){}\[\]\"']++)(?:\[CALL_ID\]\w*+)?(?:\[ARGS\])?\s*+(?=\{)")


def begins_call(text: str, at: int, tools: Mapping[str, Tool]) -> bool:
    """Return whether a call begins at a place, and no prose."""
    found = _BEGIN.match(text, at)
    return bool(found and not (found["alone"] and found["name"] not in tools))


def read_call_body(body: str, tools: Mapping[str, Tool]) -> tuple[tuple[ReadCall, ...], bool]:
    """Read what stands between the marks of calls, and say whether it was anything but JSON.

    `tools` decide which values of `<arg_value>` are text. ValueError for what is no call.
    """
    body = body.strip()
    if body.startswith("<function="):
        return _functions(body, tools), True
    if body.startswith("name:"):
        # Not at the top: it loads the format with its tokenizers, and few files have such calls.
        from chat.formats.call_syntax import read_reply
        from chat.formats.tool_call_tags import CALLS as NAMED_BLOCKS

        reply = read_reply(f"{NAMED_BLOCKS.opening}{body}{NAMED_BLOCKS.closing}", NAMED_BLOCKS)
        if reply.problem:
            raise ValueError(reply.problem)
        return tuple(map(ReadCall, reply.tool_calls)), True
    if body.startswith(("{", "[")):
        return _json_or_expressions(body)
    if named := _NAMED.match(body):
        return (_call(named["name"], body[named.end() :]),), True
    name, opening, rest = body.partition("<arg_key>")
    if opening or name in tools:
        read = _pairs(opening + rest, "<arg_key>", "</arg_key>", _value_after_key)
        return (_typed(name.strip(), read, tools),), True
    return read_expressions(body), True


def _json_or_expressions(body: str) -> tuple[tuple[ReadCall, ...], bool]:
    try:
        return read_calls(body), False
    except ValueError:
        if not body.startswith("[") or body[1:].lstrip().startswith(("{", '"', "'")):
            raise
        return read_expressions(body), True


def _call(name: str, arguments: Any) -> ReadCall:
    return read_call_value({"name": name.strip(), "arguments": arguments})


def _functions(body: str, tools: Mapping[str, Tool]) -> tuple[ReadCall, ...]:
    """Read `<function=f>{"a": 1}`, or with `<parameter=a>1</parameter>`, one after the other."""
    found = []
    for part in body.split("</function>"):
        if not part.strip():
            continue
        head = _HEAD.match(part.strip())
        if head is None:
            raise ValueError("a call does not begin with <function=")
        inside = part.strip()[head.end() :].strip()
        if inside.startswith("<parameter="):
            read = _pairs(inside, "<parameter=", ">", _value_of_parameter)
            found.append(_typed(head["name"], read, tools))
        else:
            found.append(_call(head["name"], inside))
    return tuple(found)


def _pairs(
    text: str, opening: str, closing: str, value: Callable[[str, str], str]
) -> dict[str, str]:
    """Read keys between two marks, each with the value that follows it.

    The text is empty or begins with the first mark.
    """
    pairs: dict[str, str] = {}
    for part in text.split(opening)[1:]:
        key, closed, rest = part.partition(closing)
        if not closed:
            raise ValueError(f"{opening} is not closed")
        if key.strip() in pairs:
            raise ValueError(f"the key {key.strip()[:40]!r} stands twice")
        pairs[key.strip()] = value(key, rest)
    return pairs


def _value_after_key(key: str, rest: str) -> str:
    before, opened, inside = rest.partition("<arg_value>")
    value, closed, after = inside.rpartition("</arg_value>")
    if before.strip() or not opened or not closed or after.strip():
        raise ValueError(f"the argument {key.strip()[:40]!r} has no <arg_value> of its own")
    return value


def _value_of_parameter(key: str, rest: str) -> str:
    value, closed, after = rest.rpartition("</parameter>")
    if not closed or after.strip():
        raise ValueError(f"<parameter={key.strip()[:40]}> is not closed")
    return value.removeprefix("\n").removesuffix("\n")


def _typed(name: str, texts: Mapping[str, str], tools: Mapping[str, Tool]) -> ReadCall:
    """Return a call whose arguments are texts: JSON where the tool wants something but a string."""
    tool = tools.get(name)
    wanted = tool.parameters.get("properties") or {} if tool else {}
    arguments = {key: _argument(text, wanted.get(key)) for key, text in texts.items()}
    return _call(name, arguments)


def _argument(text: str, schema: Any) -> Any:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    return text if kind == "string" else json_or_text(text)


def unread_mark(text: str, tools: Mapping[str, Tool]) -> str:
    """Return the mark of a notation that is not read: at the beginning, or before a tool's name."""
    found = _UNREAD.search(text) if any(sign in text for sign in _UNREAD_SIGNS) else None
    if found is None or (found.start() and Code(text)(found.start())):
        return ""
    after = text[found.end() : found.end() + _NAME_WITHIN]
    # Python's prompt begins a text too.
    begins = found.start() == 0 and found[0] != ">>>"
    return found[0] if begins or any(name in after for name in tools) else ""


class Code:
    """Tells of places of a text, one after the other, whether they stand in code."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.fences, self.ticks = 0, 0

    def __call__(self, place: int) -> bool:
        passed = self.text[self.at : place]
        newline = passed.rfind("\n")
        self.fences += passed.count(_FENCE)
        self.ticks = (self.ticks if newline < 0 else 0) + passed[newline + 1 :].count("`")
        self.at = place
        return bool(self.fences % 2 or self.ticks % 2)
