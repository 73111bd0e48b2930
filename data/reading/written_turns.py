"""Find in the texts of turns what is no text: calls in any notation, and several results in one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chat.conversation import Message, Tool
from data.outcomes import Change, Rejected, pointer
from data.reading.call_text import ReadCall
from data.reading.contents import result_text
from data.reading.notations import WrittenCalls, find_calls
from data.reading.thoughts import format_thoughts, split_thoughts
from data.reading.turns import Turns

_RESPONSE = ("<tool_response>", "</tool_response>")
_FENCE = "```"


def read_written(turns: Turns, tools: Sequence[Tool]) -> Turns:
    """Return turns with the calls and results that their texts hold; Rejected for broken calls."""
    declared = {tool.name: tool for tool in tools}
    messages: list[Message] = []
    changes = list(turns.changes)
    awaited: list[str] = []
    fenced = False
    for i, message in enumerate(turns.messages):
        place = turns.places[i] if turns.places else pointer("messages", i, "content")
        if message.role == "user" and awaited and _are_responses(message.content):
            # Qwen's templates write results so.
            message = Message("tool", message.content)
        if message.role == "tool":
            results = _results(message, awaited)
            if fenced and (opened := _outside_fence(results)):
                changes.append(Change("written-result", place, message.content, opened[0].content))
                results = opened
            messages += results
            awaited = awaited[len(results) :]
            continue
        if message.role == "assistant" and message.content:
            found = _find(message, place, declared)
            if found:
                called, change = _with_calls(message, found, place)
                changes += [change] if change else []
                message, fenced = called, fenced or found.fenced
        messages.append(message)
        awaited = [call.name for call in message.tool_calls] if message.tool_calls else []
    return Turns(tuple(messages), tuple(changes))


def _find(message: Message, place: str, tools: Mapping[str, Tool]) -> WrittenCalls | None:
    try:
        return find_calls(split_thoughts(message.content).answer, tools)
    except (ValueError, RecursionError) as error:
        if message.tool_calls:
            return None  # the turn's calls stand beside its text, whatever that shows
        raise Rejected("unreadable-call", place, str(error), message.content) from error


def _with_calls(message: Message, found: WrittenCalls, place: str) -> tuple[Message, Change | None]:
    """Put calls where they belong; those that also stand beside the text must be the same."""
    calls = message.tool_calls or tuple(read.call for read in found.calls)
    if message.tool_calls and _said(found.calls) != [(c.name, c.arguments) for c in calls]:
        reason = "the text calls otherwise than what stands beside it"
        raise Rejected("unreadable-call", place, reason, message.content)
    thoughts = (*split_thoughts(message.content).thoughts, found.thought)
    content = format_thoughts(thoughts) + found.around
    called = replace(message, content=content, tool_calls=calls)
    after: Any = [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]
    if found.repaired or message.tool_calls:
        after = {"content": content, "calls": after}
        return called, Change("written-call", place, message.content, after)
    if any(read.mended for read in found.calls):
        return called, Change("call-syntax", place, message.content, after)
    return called, None


def _said(calls: Sequence[ReadCall]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(read.call.name, read.call.arguments) for read in calls]


def _results(message: Message, awaited: Sequence[str]) -> list[Message]:
    """Return one result, or those that a turn lists which does not say whose result it is."""
    text = message.content
    if message.tool_call_id is None and message.name is None:
        records = _records(text, awaited)
        if records:
            return [_result(message, record) for record in records]
    if _are_responses(text):
        return [replace(message, content=block) for block in _blocks(text)[1]]
    return [message]


def _are_responses(text: str) -> bool:
    """Whether a text is results between the tags of results, and nothing else."""
    around, blocks = _blocks(text)
    return bool(blocks) and not around.strip()


def _result(message: Message, record: Mapping[str, Any]) -> Message:
    number = record.get("tool_call_id")
    return replace(
        message,
        content=result_text(record["content"]),
        name=_name(record),
        tool_call_id=None if number is None else str(number),
    )


def _records(text: str, awaited: Sequence[str]) -> list[dict[str, Any]]:
    """Return the results that a text lists: each by its id, or no more than the calls by name."""
    if not text.startswith("[") or '"content"' not in text:
        return []
    try:
        records = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(records, list) or not all(
        isinstance(record, dict) and "content" in record for record in records
    ):
        return []
    by_id = all("tool_call_id" in record for record in records)
    names = [_name(record) for record in records]
    by_name = len(records) <= len(awaited) and set(names) <= set(awaited)
    return records if by_id or by_name else []


def _name(record: Mapping[str, Any]) -> str | None:
    name = record.get("name")
    return name if isinstance(name, str) and name else None


def _blocks(text: str) -> tuple[str, list[str]]:
    """Return what stands around the blocks between the tags of results, and what in each."""
    opening, closing = _RESPONSE
    before, *rest = text.split(opening)
    around, blocks = [before], list[str]()
    for part in rest:
        inside, closed, after = part.partition(closing)
        if not closed:
            return text, []
        blocks.append(inside.strip())
        around.append(after)
    return "".join(around), blocks


def _outside_fence(results: Sequence[Message]) -> list[Message]:
    """Return a result without the fence around the whole of it; none where there is no fence."""
    text = results[0].content.strip()
    first, newline, rest = text.removeprefix(_FENCE).partition("\n")
    fence = text.startswith(_FENCE) and text.endswith(_FENCE) and text.count(_FENCE) == 2
    if len(results) > 1 or not fence or not newline or " " in first.strip():
        return []
    return [replace(results[0], content=rest.removesuffix(_FENCE).strip())]
