"""How calls are written as text: one row of facts from which they are written, read and ruled.

Reading repairs nothing: text that looks like a call and cannot be read stays text, and
`Reply.problem` has the reason.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from chat.conversation import ToolCall
from chat.strict_json import call_decoder


@dataclass(frozen=True)
class Reply:
    """An assistant's turn read from text; `problem` says why something like a call was not read."""

    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class CallSyntax:
    """One JSON object for each call, and the text around the objects.

    opening, between, closing: What stands before, between and after the objects; empty `between`
        for a syntax with one call a turn.
    starts: What a call begins with, or text that is taken for one; in it, a blank stands for any
        white space. Text without a call must not hold it.
    name_key, arguments_key: The keys of the object. Without a `name_key` the object is that of the
        arguments alone, and `head` names the tool.
    head: What stands before each object, with `{name}` for the tool's name.
    id_key: The key of a call's id, which is written where the call has one; a model writes none.
    prefix: What stands before a tool's name.
    joint: What stands between the text of a turn and its calls; None for no text beside calls.
    begins: Where calls are looked for.
    special_tokens: The special tokens that the strings above hold.
    """

    opening: str
    between: str
    closing: str
    starts: tuple[str, ...]
    name_key: str = "name"
    arguments_key: str = "arguments"
    head: str = ""
    id_key: str = ""
    prefix: str = ""
    joint: str | None = "\n"
    begins: Literal["anywhere", "line", "reply"] = "anywhere"
    special_tokens: tuple[str, ...] = ()

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys that the object of a call may have."""
        return tuple(key for key in (self.name_key, self.arguments_key, self.id_key) if key)

    def object_start(self, name: str) -> str:
        """Return the text of a call up to its arguments."""
        if not self.name_key:
            return self.head.format(name=name)
        before, after = self._around_name
        return before + ENCODER.encode(self.prefix + name) + after

    @cached_property
    def _around_name(self) -> tuple[str, str]:
        name_key, arguments_key = map(ENCODER.encode, (self.name_key, self.arguments_key))
        return f"{{{name_key}: ", f", {arguments_key}: "

    @cached_property
    def first_text(self) -> str:
        """The ordinary text with which calls begin; empty where a special token opens them."""
        if not self.starts:
            return ""
        text = (self.opening or self.object_start("")).lstrip()
        return "" if text.startswith(self.special_tokens) else text

    @cached_property
    def looks_like_call(self) -> re.Pattern[str]:
        """The pattern of `starts`."""
        starts = [r"\s*".join(map(re.escape, start.split())) for start in self.starts] or ["(?!)"]
        return re.compile((r"\A\s*" if self.begins == "reply" else "") + f"(?:{'|'.join(starts)})")

    @cached_property
    def patterns(self) -> "Patterns":
        """The strings around the objects as patterns, for which white space may differ."""
        before, _, after = self.head.partition("{name}")
        head = rf"{_loose(before)}(?P<name>[^\n]*+){_loose(after)}" if self.head else ""
        opening, between, closing = (
            re.compile(_loose(text)) for text in (self.opening, self.between, self.closing)
        )
        return Patterns(opening, between, closing, re.compile(head))


# Of formats that have no calls: any text is text.
NO_CALLS = CallSyntax(opening="", between="", closing="", starts=())


@dataclass(frozen=True)
class Patterns:
    """What may stand around the objects of calls."""

    opening: re.Pattern[str]
    between: re.Pattern[str]
    closing: re.Pattern[str]
    head: re.Pattern[str]


ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_DECODER = call_decoder()
_WORD = re.compile(r'"[^"]*"|<[^>]*>|\w+|\S')


def _loose(text: str) -> str:
    """Return a pattern of a text that allows other white space between its words and marks.

    White space alone must lead to an object.
    """
    if text.isspace():
        return r"\s*+(?=\{)"
    return r"\s*+" + "".join(re.escape(word) + r"\s*+" for word in _WORD.findall(text))


def written_calls(
    content: str, calls: Sequence[ToolCall], syntax: CallSyntax
) -> Iterator[tuple[str, bool]]:
    """Yield the text of an assistant's turn in pieces, each with whether it is the syntax's own.

    ValueError for arguments that are no JSON, and for a shape that the syntax does not have.
    """
    if content:
        yield content, False
    if not calls:
        return
    if not syntax.starts:
        raise ValueError("a turn has calls, and the format has none")
    if content and syntax.joint is None:
        raise ValueError("a turn has text beside a call")
    if len(calls) > 1 and not syntax.between:
        raise ValueError(f"a turn has {len(calls)} calls, and one can be written")
    yield (syntax.joint or "" if content else "") + syntax.opening, True
    for place, call in enumerate(calls):
        if place:
            yield syntax.between, True
        yield _object_text(call, syntax), False
    yield syntax.closing, True


def write_reply(content: str, calls: Sequence[ToolCall], syntax: CallSyntax) -> str:
    """Return the text of an assistant's turn, the names of special tokens in it."""
    return "".join([text for text, _ in written_calls(content, calls, syntax)])


def _object_text(call: ToolCall, syntax: CallSyntax) -> str:
    try:
        arguments = call.arguments_json_text
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"the arguments of {call.name} are no JSON: {error}") from None
    text = syntax.object_start(call.name) + arguments
    if syntax.id_key and call.id is not None:
        text += f", {ENCODER.encode(syntax.id_key)}: {ENCODER.encode(call.id)}"
    return text + "}" if syntax.name_key else text


def read_reply(text: str, syntax: CallSyntax) -> Reply:
    """Read text and the calls that end it; nothing follows them."""
    text = text.strip()
    start = _call_start(text, syntax)
    if start is None:
        return Reply(text)
    try:
        calls = _read_calls(text, start, syntax)
    except RecursionError:
        return Reply(text, problem="the call is nested too deeply to be read")
    except ValueError as error:
        return Reply(text, problem=str(error))
    return Reply(text[:start].strip(), calls)


def _call_start(text: str, syntax: CallSyntax) -> int | None:
    found = syntax.looks_like_call.search(text)
    if found:
        return found.start()
    # A call that was cut off in its first words.
    last_line = text if syntax.begins == "reply" else text[text.rfind("\n") + 1 :]
    cut = len(last_line) > 2 and syntax.first_text.startswith(last_line)
    return len(text) - len(last_line) if cut else None


def _read_calls(text: str, start: int, syntax: CallSyntax) -> tuple[ToolCall, ...]:
    if syntax.begins == "line" and text[:start].rpartition("\n")[2].strip():
        raise ValueError("the call does not begin a line")
    at = _skip(text, start, start, syntax.opening, syntax.patterns.opening)
    if syntax.closing and syntax.patterns.closing.match(text, at):
        raise ValueError(f"no call stands in {_excerpt(syntax.opening.strip())}")
    calls: list[ToolCall] = []
    while True:
        call, at = _read_object(text, start, at, f"call {len(calls) + 1}", syntax)
        calls.append(call)
        following = syntax.patterns.between.match(text, at) if syntax.between else None
        if following is None:
            break
        at = following.end()
    at = _skip(text, start, at, syntax.closing, syntax.patterns.closing)
    if text[at:].strip():
        raise ValueError(f"text follows the call: {_excerpt(text[at:].strip())}")
    return tuple(calls)


def _skip(text: str, start: int, at: int, wanted: str, pattern: re.Pattern[str]) -> int:
    """Return the place after a string of the syntax; ValueError where another text stands."""
    found = pattern.match(text, at)
    if found:
        return found.end()
    shown = _excerpt(wanted.strip())
    if not text[at:].strip() or wanted.strip().startswith(text[at:].strip()):
        raise ValueError(f"the call ends early, before {shown}")
    raise ValueError(
        f"{_excerpt(text[at:].strip())} stands where the call wants {shown}, "
        f"character {at - start} of {len(text) - start}"
    )


def _read_object(
    text: str, start: int, at: int, where: str, syntax: CallSyntax
) -> tuple[ToolCall, int]:
    """Read a call and return it with the place after it."""
    name = None
    if syntax.head:
        head = syntax.patterns.head.match(text, at)
        if head is None:
            raise ValueError(f"{where} does not begin with {_excerpt(syntax.head.strip())}")
        name, at = head["name"].strip(), head.end()
    try:
        value, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        place = f"character {error.pos - start} of {len(text) - start}"
        raise ValueError(f"the call is no JSON: {error.msg} at {place}") from None
    return read_call(value, where, syntax, name), end


def read_call(value: Any, where: str, syntax: CallSyntax, name: Any = None) -> ToolCall:
    """Return the call that an object says, `name` where its head named the tool."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is {_json_kind(value)}, wanted an object")
    if syntax.name_key:
        for key in value:
            if key not in syntax.keys:
                raise ValueError(f"{where} has an unknown key {_excerpt(key)}")
        name, arguments = value.get(syntax.name_key), value.get(syntax.arguments_key)
    else:
        arguments = value
    if not isinstance(name, str) or not name.removeprefix(syntax.prefix):
        named = f"{where}.{syntax.name_key}" if syntax.name_key else f"the name of {where}"
        raise ValueError(f"{named} is {_json_kind(name)}, wanted a tool's name")
    if not isinstance(arguments, Mapping):
        raise ValueError(
            f"{where}.{syntax.arguments_key} is {_json_kind(arguments)}, wanted an object"
        )
    id = value.get(syntax.id_key) if syntax.id_key else None
    return ToolCall(
        name.removeprefix(syntax.prefix), arguments, id if isinstance(id, str) else None
    )


def _json_kind(value: Any) -> str:
    if value is None:
        return "missing or null"
    if isinstance(value, str):
        return _excerpt(value)
    return _excerpt(json.dumps(value, ensure_ascii=False))


def _excerpt(text: str, most: int = 40) -> str:
    return repr(text if len(text) <= most else text[: most - 1] + "…")
