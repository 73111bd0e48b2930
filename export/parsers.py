"""The rules by which servers read calls in a reply, restated: one function for each parser.

Each agrees with the parser of that name in the version that tests/export/verdicts.json was recorded
from. None of them repairs or improves: what a server's parser loses is lost here too.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

_PYTHON_TAG = "<|python_tag|>"
_TOOL_CALLS = "[TOOL_CALLS]"
_OPENING, _CLOSING = "<tool_call>\n", "\n</tool_call>"
_DECODER = json.JSONDecoder()
# A string may end with the stretch of text that is searched.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


class Reading(NamedTuple):
    """What a server makes of a reply: its content, and name and arguments of each call."""

    content: str
    calls: tuple[tuple[str, Any], ...] = ()


# Reads a reply when tools of these names are offered.
Rule = Callable[[str, Collection[str]], Reading]


def read_vllm_llama3_json(text: str, tools: Collection[str]) -> Reading:
    """Read every JSON object of the text as a call; text beside calls is dropped.

    One that is no call, or a brace that begins no JSON, makes the whole reply text.
    """
    calls, end = [], -1
    for found in re.finditer(r"\{", text):
        # An object that begins right where the last one ended is passed over.
        if found.start() <= end:
            continue
        try:
            value, end = _DECODER.raw_decode(text, found.start())
            calls.append(_call(value, ("arguments", "parameters")))
        except (ValueError, RecursionError):
            return Reading(text)
    return Reading("", tuple(calls)) if calls else Reading(text)


def read_vllm_hermes(text: str, tools: Collection[str]) -> Reading:
    """Read the JSON object of each <tool_call>; the last one may lack its end.

    The first `</tool_call>` ends a call, also inside a string, and one call that is no JSON makes
    the whole reply text.
    """
    if "<tool_call>" not in text:
        return Reading(text)
    calls = []
    for closed, unclosed in re.findall(
        r"<tool_call>(.*?)</tool_call>|<tool_call>(.*)", text, re.DOTALL
    ):
        try:
            calls.append(_call(json.loads(closed or unclosed), ("arguments",)))
        except (ValueError, RecursionError):
            return Reading(text)
    return Reading(text[: text.find("<tool_call>")], tuple(calls))


def read_vllm_mistral(text: str, tools: Collection[str]) -> Reading:
    """Read the JSON list after [TOOL_CALLS], for tokenizers before Mistral's version 11.

    A second [TOOL_CALLS] ends it, also inside a string.
    """
    if _TOOL_CALLS not in text:
        return Reading(text)
    content, *parts = text.split(_TOOL_CALLS)
    part = next((part.strip() for part in parts if part.strip()), "")
    try:
        value, _ = _DECODER.raw_decode(part)
    except ValueError:
        return Reading(part)
    items = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
    calls = [
        (item["name"] if isinstance(item.get("name"), str) else "", _mistral_arguments(item))
        for item in items
        if isinstance(item, dict) and ("name" in item or "arguments" in item)
    ]
    if not calls:
        return Reading(part)
    return Reading(content if content.strip() else "", tuple(calls))


def _mistral_arguments(item: dict[str, Any]) -> Any:
    arguments = item.get("arguments")
    if isinstance(arguments, str):
        return json.loads(arguments)
    return {} if arguments is None else arguments


def read_sglang_llama3(text: str, tools: Collection[str]) -> Reading:
    """Read JSON objects divided by one character each, from the start or after the python tag."""
    if _PYTHON_TAG not in text and not text.startswith("{"):
        return Reading(text)
    content, _, rest = text.partition(_PYTHON_TAG) if _PYTHON_TAG in text else ("", "", text)
    values, read_to = _divided_values(_Uncounted(rest))
    return Reading(content + rest[read_to:].strip(), _known_calls(values, tools))


class _Uncounted(str):
    """Text whose lines no JSON error counts: that takes the time of all the text before it."""

    def count(self, *place: Any) -> int:
        return 0

    def rfind(self, *place: Any) -> int:
        return -1


def _divided_values(text: _Uncounted) -> tuple[list[Any], int]:
    """Return the values divided by one character each, and where they end.

    Where none begins, the next `{"name":` is tried. What is open where JSON breaks off breaks off
    there too, so it is not tried again: the time is linear.
    """
    values, at, read_to = [], 0, 0
    broken = set[int]()
    while 0 <= at < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at) if at not in broken else (None, -1)
        except json.JSONDecodeError as error:
            broken.update(_open_brackets(text, at, error.pos))
            end = -1
        if end < 0:
            at = text.find('{"name":', at + 1)
            continue
        values.append(value)
        at = read_to = end + 1
    return values, read_to


def _open_brackets(text: str, start: int, end: int) -> list[int]:
    """Return the places of the brackets of JSON that are open where it breaks off."""
    places = list[int]()
    for found in _STRING_OR_BRACKET.finditer(text, start, end):
        if found[0] in "[{":
            places.append(found.start())
        elif found[0] in "]}":
            places.pop()
    return places


def read_sglang_qwen25(text: str, tools: Collection[str]) -> Reading:
    r"""Read each block between `<tool_call>\n` and `\n</tool_call>`; a broken one is dropped."""
    return _qwen_blocks(text, tools)


def read_tensorrt_llm_qwen3(text: str, tools: Collection[str]) -> Reading:
    """Read the same blocks; calls of tools that were not offered are kept."""
    return _qwen_blocks(text, None)


def _qwen_blocks(text: str, tools: Collection[str] | None) -> Reading:
    start = text.find(_OPENING)
    if start < 0:
        return Reading(text)
    values = []
    for block in _blocks(text, start):
        try:
            values.append(json.loads(block.strip()))
        except ValueError:
            continue
    return Reading(text[:start].strip(), _known_calls(values, tools))


def _blocks(text: str, start: int) -> Iterator[str]:
    """Yield the text of each block from a place on; one that does not end is none."""
    while start >= 0:
        start += len(_OPENING)
        end = text.find(_CLOSING, start)
        if end < 0:
            return
        yield text[start:end]
        start = text.find(_OPENING, end + len(_CLOSING))


def read_sglang_hermes(text: str, tools: Collection[str]) -> Reading:
    """Read the JSON object of each <tool_call>, as vLLM's parser of that name does."""
    start = text.find("<tool_call>")
    if start < 0:
        return Reading(text)
    values = []
    for closed, unclosed in re.findall(
        r"<tool_call>(.*?)</tool_call>|<tool_call>(.*)", text, re.DOTALL
    ):
        try:
            values += [json.loads(closed or unclosed)] if closed or unclosed else []
        except ValueError:
            return Reading(text)
    return Reading(text[:start].strip(), _known_calls(values, tools))


def read_sglang_mistral(text: str, tools: Collection[str]) -> Reading:
    """Read the JSON list after `[TOOL_CALLS] [`, with its blank; without it the reply is lost."""
    start = text.find("[TOOL_CALLS")
    if start < 0:
        return Reading(text)
    content, rest = text[:start].strip(), text[start:]
    opening = rest.find("[TOOL_CALLS] [")
    if opening < 0:
        return Reading(content)
    array = _bracketed(rest, opening + len("[TOOL_CALLS] "))
    if array is None:
        return Reading(content)
    after = rest[rest.find(array) + len(array) :].strip()
    try:
        values = [json.loads(array)]
    except ValueError:
        values = []
    return Reading(f"{content} {after}".strip(), _known_calls(values, tools))


def _bracketed(text: str, start: int) -> str | None:
    """Return the text of the list that begins at a place, None where it does not end."""
    depth, quoted = 0, False
    for found in re.finditer(r'\\.|["\[\]]', text[start:], re.DOTALL):
        if found[0] == '"':
            quoted = not quoted
        elif not quoted and found[0] in "[]":
            depth += 1 if found[0] == "[" else -1
            if not depth:
                return text[start : start + found.end()]
    return None


def _call(value: Any, keys: tuple[str, ...]) -> tuple[str, Any]:
    """Return name and arguments of a call; ValueError for what is none."""
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        for key in keys:
            if key in value:
                return value["name"], value[key]
    raise ValueError("no call")


def _known_calls(values: list[Any], tools: Collection[str] | None) -> tuple[tuple[str, Any], ...]:
    """Return the calls of tools that are offered, of all where that is None."""
    return tuple(
        (value["name"], value.get("parameters") or value.get("arguments", {}))
        for value in _flat(values)
        if value.get("name") and (tools is None or value["name"] in tools)
    )


def _flat(values: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects of values that are objects or lists of them; ValueError for others."""
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict):
                raise ValueError("no object")
            yield item


SERVER_PARSERS: dict[tuple[str, str], Rule] = {
    ("vllm", "llama3_json"): read_vllm_llama3_json,
    ("vllm", "hermes"): read_vllm_hermes,
    ("vllm", "mistral"): read_vllm_mistral,
    ("sglang", "llama3"): read_sglang_llama3,
    ("sglang", "qwen25"): read_sglang_qwen25,
    ("sglang", "hermes"): read_sglang_hermes,
    ("sglang", "mistral"): read_sglang_mistral,
    ("tensorrt-llm", "qwen3"): read_tensorrt_llm_qwen3,
}


def read_as(server: str, parser: str, text: str, tools: Collection[str]) -> Reading:
    """Read a reply by the rule of a server's parser; one that fails leaves all as text."""
    try:
        return SERVER_PARSERS[server, parser](text, tools)
    except (ValueError, RecursionError):
        return Reading(text)
