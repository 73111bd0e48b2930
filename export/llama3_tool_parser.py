"""A tool parser for vLLM that reads calls written as {"tool_uses": [...]}, one file on its own.

    vllm serve MODEL --enable-auto-tool-choice --tool-call-parser tool_uses \
        --tool-parser-plugin /absolute/path/of/llama3_tool_parser.py

A reply is text, and on a line after it one JSON object with which the reply ends:
`{"tool_uses": [{"recipient_name": "functions.NAME", "parameters": {...}}, ...]}`. Nothing is
repaired: what looks like calls and cannot be read stays text. While a reply is streamed, text is
passed on as it comes and each call once it is complete; the time is linear in the reply.
"""

import json
import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def _first_module(*names: str) -> Any:
    """Return the first of these modules that this vLLM has; newer places stand first."""
    for name in names[:-1]:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    return import_module(names[-1])


_PARSERS = _first_module(
    "vllm.tool_parsers.abstract_tool_parser",
    "vllm.entrypoints.openai.tool_parsers.abstract_tool_parser",
)
_PROTOCOL = _first_module(
    "vllm.entrypoints.generate.base.protocol",
    "vllm.entrypoints.openai.engine.protocol",
    "vllm.entrypoints.openai.protocol",
)

_CALLS = re.compile(r'\{\s*"(tool_uses|recipient_name)"')
_KEYS = ('"tool_uses"', '"recipient_name"')
_PREFIX = "functions."
_BRACES_AND_QUOTES = re.compile(r'["\\{}\[\]]')
# A call as it is read: its name and its arguments.
Call = tuple[str, Mapping[str, Any]]


def read_reply(text: str) -> tuple[str, list[Call]]:
    """Return the content and the calls of a complete reply; no calls where they cannot be read."""
    text = text.strip()
    found = _CALLS.search(text)
    if found is None or text[: found.start()].rpartition("\n")[2].strip():
        return text, []
    try:
        value, end = _DECODER.raw_decode(text, found.start())
        uses = value.get("tool_uses")
        if text[end:].strip() or list(value) != ["tool_uses"] or not isinstance(uses, list):
            return text, []
        calls = [_read_call(use) for use in uses]
    except (ValueError, RecursionError):
        return text, []
    return (text[: found.start()].strip(), calls) if calls else (text, [])


def _read_call(use: Any) -> Call:
    if not isinstance(use, Mapping) or set(use) != {"recipient_name", "parameters"}:
        raise ValueError("a call has a recipient_name and parameters")
    name, arguments = use["recipient_name"], use["parameters"]
    if not isinstance(name, str) or not name.removeprefix(_PREFIX):
        raise ValueError("a recipient_name is the name of a tool")
    if not isinstance(arguments, Mapping):
        raise ValueError("parameters are an object")
    return name.removeprefix(_PREFIX), arguments


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands twice")
    return values


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_distinct_keys, parse_float=_finite, parse_constant=_refuse
)


class ReplyReader:
    """Reads a reply piece by piece: what is certainly content by now, and complete calls."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        # What could become the beginning of calls: as it came, and without inner white space.
        self._held: list[str] = []
        self._beginning = ""
        self._begins_line = True
        self._objects: _Objects | None = None
        self._shown = 0
        self._calls = 0

    def feed(self, piece: str) -> tuple[str, list[Call]]:
        """Return the text that is content for certain, and the calls that became complete."""
        self._pieces.append(piece)
        if self._objects is not None:
            return "", self._complete(piece)
        text = self._beginning + piece
        found = _CALLS.search(text)
        start = found.start() if found else _possible_start(text)
        content = self._content(piece, start - len(self._beginning))
        if found is None:
            self._beginning = text[start : start + 1] + text[start + 1 :].lstrip()
            return content, []
        self._objects = _Objects()
        self._objects.over = found[1] != "tool_uses" or not self._begins_line
        return content, self._complete(text[found.end() :])

    def finish(self) -> tuple[str, list[Call]]:
        """Return what is left at the end of the reply: text that turned out to be no call."""
        text = "".join(self._pieces)
        calls = read_reply(text)[1]
        left = "" if calls or self._calls else text[self._shown :]
        return left, calls[self._calls :]

    def _content(self, piece: str, cut: int) -> str:
        """Return the content up to a place in this piece; none where it lies before the piece."""
        if cut < 0:
            self._held.append(piece)
            return ""
        content = "".join(self._held) + piece[:cut]
        self._held = [piece[cut:]]
        self._shown += len(content)
        _, newline, line = content.rpartition("\n")
        self._begins_line = not line.strip() and (bool(newline) or self._begins_line)
        return content

    def _complete(self, piece: str) -> list[Call]:
        assert self._objects is not None, "calls have begun"
        calls: list[Call] = []
        for text in self._objects.feed(piece):
            try:
                calls.append(_read_call(_DECODER.decode(text)))
            except (ValueError, RecursionError):
                self._objects.over = True
                break
        self._calls += len(calls)
        return calls


def _possible_start(text: str) -> int:
    """Return where the end of a text could become the beginning of calls."""
    place = text.rfind("{")
    if place < 0:
        return len(text)
    rest = text[place + 1 :].lstrip()
    return place if any(key.startswith(rest) for key in _KEYS) else len(text)


class _Objects:
    """Cuts the objects out of `: [{...}, {...}]`; `over` when no further object can follow."""

    def __init__(self) -> None:
        self.over = False
        self._awaited = ":["
        self._comma = False
        self._parts: list[str] = []
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def feed(self, piece: str) -> list[str]:
        """Return the text of each object that this piece completes."""
        at, objects = 0, []
        while at < len(piece) and not self.over:
            if self._depth:
                at = self._inside(piece, at)
                if not self._depth:
                    objects.append("".join(self._parts))
                    self._comma, self._parts = True, []
            elif piece[at].isspace():
                at += 1
            elif piece[at] == "{" and not self._awaited and not self._comma:
                self._depth, self._parts = 1, ["{"]
                at += 1
            else:
                self._between(piece[at])
                at += 1
        return objects

    def _between(self, letter: str) -> None:
        if self._awaited:
            self.over = letter != self._awaited[0]
            self._awaited = self._awaited[1:]
        else:
            self.over = letter != "," or not self._comma
            self._comma = False

    def _inside(self, piece: str, start: int) -> int:
        """Scan an object up to its end or the end of the piece; return the position."""
        at = start
        if self._escaped:
            at, self._escaped = at + 1, False
        while found := _BRACES_AND_QUOTES.search(piece, at):
            at = found.end()
            if self._quoted and found[0] == "\\":
                self._escaped = at == len(piece)
                at += 1
            elif found[0] == '"':
                self._quoted = not self._quoted
            elif not self._quoted and found[0] in "{[":
                self._depth += 1
            elif not self._quoted and found[0] in "}]":
                self._depth -= 1
                if not self._depth:
                    break
        else:
            at = len(piece)
        self._parts.append(piece[start:at])
        return at


class ToolUsesParser(_PARSERS.ToolParser):  # type: ignore[misc, name-defined]
    """vLLM's interface to the reader above; one object serves one request."""

    # With this, newer versions of vLLM call `finish_streaming` at the end of a reply.
    engine_based_streaming = True

    def __init__(self, tokenizer: Any, *more: Any, **options: Any) -> None:
        super().__init__(tokenizer, *more, **options)
        self._reader = ReplyReader()

    def extract_tool_calls(self, model_output: str, request: Any) -> Any:
        """Read a complete reply."""
        content, calls = read_reply(model_output)
        made = [
            _PROTOCOL.ToolCall(
                type="function",
                function=_PROTOCOL.FunctionCall(name=name, arguments=_json(arguments)),
            )
            for name, arguments in calls
        ]
        return _PROTOCOL.ExtractedToolCallInformation(
            tools_called=bool(made),
            tool_calls=made,
            content=(content or None) if made else model_output,
        )

    def extract_tool_calls_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
        request: Any,
    ) -> Any:
        """Read the next piece of a reply; None where there is nothing to pass on yet."""
        return self._delta(*self._reader.feed(delta_text))

    def finish_streaming(self) -> Any:
        """Return what is left when a reply has ended."""
        return self._delta(*self._reader.finish())

    def _delta(self, content: str, calls: Sequence[Call]) -> Any:
        made = [self._call_delta(*call) for call in calls]
        if not content and not made:
            return None
        return _PROTOCOL.DeltaMessage(content=content or None, tool_calls=made)

    def _call_delta(self, name: str, arguments: Mapping[str, Any]) -> Any:
        text = _json(arguments)
        # vLLM compares these two lists at the end, to send what was not sent.
        self.prev_tool_call_arr.append({"name": name, "arguments": arguments})
        self.streamed_args_for_tool.append(text)
        self.current_tool_id = len(self.prev_tool_call_arr) - 1
        return _PROTOCOL.DeltaToolCall(
            index=self.current_tool_id,
            type="function",
            id=f"call_{uuid.uuid4().hex}",
            function=_PROTOCOL.DeltaFunctionCall(name=name, arguments=text),
        )


_json: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False).encode

_PARSERS.ToolParserManager.register_module(name="tool_uses", module=ToolUsesParser)
