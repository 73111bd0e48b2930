"""Find in the texts of turns what is no text: calls in any notation, and several results in one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chat.conversation import Message, Tool
from data.outcomes import Change, Rejected
from data.reading.call_text import ReadCall
from data.reading.contents import json_or_text, result_text
from data.reading.notations import WrittenCalls, find_calls
from data.reading.react import OBSERVATION, read_answer
from data.reading.thoughts import format_thoughts, split_thoughts
from data.reading.turns import Turns

_RESPONSE = ("<tool_response>", "</tool_response>")
_FENCE = "```"
# Without any of these a text holds no thoughts and no calls, in whatever notation.
SIGNS = ("<", ">", "[", "{", "}", "(", "`", "\u273f", "Action:")


def read_written(turns: Turns, tools: Sequence[Tool]) -> Turns:
    """Return turns with the calls and results that their texts hold; Rejected for broken calls."""
    reading = _Reading({tool.name: tool for tool in tools}, list(turns.changes))
    for i, message in enumerate(turns.messages):
        reading.add(message, turns.places[i] if turns.places else f"/messages/{i}/content")
    return Turns(tuple(reading.messages), tuple(reading.changes))


@dataclass
class _Reading:
    """The turns read so far.

    awaited: The names of the calls that have no result yet.
    fenced, in_steps: Whether calls stood in fences, or in ReAct's steps: then so do other turns.
    """

    tools: Mapping[str, Tool]
    changes: list[Change]
    messages: list[Message] = field(default_factory=list)
    awaited: list[str] = field(default_factory=list)
    fenced: bool = False
    in_steps: bool = False

    def add(self, message: Message, place: str) -> None:
        said = message
        if message.role == "user" and self.awaited:
            said = _as_result(message, self.in_steps)
        if said.role == "tool":
            self._add_results(said, message.content, place)
            return
        if said.role == "assistant" and said.content:
            said = self._answer(said, place)
        self.messages.append(said)
        self.awaited = [call.name for call in said.tool_calls] if said.tool_calls else []

    def _add_results(self, said: Message, before: str, place: str) -> None:
        results = _results(said, self.awaited)
        if self.fenced:
            results = [_outside_fence(result) for result in results]
            said = results[0] if len(results) == 1 else said
        if said.content != before:
            self._note("written-result", place, before, said.content)
        self.messages += results
        self.awaited = self.awaited[len(results) :]

    def _answer(self, message: Message, place: str) -> Message:
        """Return an assistant's turn with the calls that its text holds."""
        found = _find(message, place, self.tools)
        if found:
            self.fenced, self.in_steps = (
                self.fenced or found.fenced,
                self.in_steps or found.in_steps,
            )
            called, change = _with_calls(message, found, place)
            self.changes += [change] if change else []
            return called
        answer = _without_label(message) if self.in_steps else message
        if answer != message:
            self._note("written-answer", place, message.content, answer.content)
        return answer

    def _note(self, rule: str, place: str, before: str, after: str) -> None:
        self.changes.append(Change(rule, place, before, after))


def _as_result(message: Message, in_steps: bool) -> Message:
    """Return a user's turn as the result that its text says it is, or as it is."""
    text = message.content.strip()
    if in_steps and text.startswith(OBSERVATION):
        return Message("tool", text.removeprefix(OBSERVATION).strip())
    if text.startswith(_RESPONSE[0]) and not _blocks(text)[0].strip():
        return replace(message, role="tool")
    return message


def _without_label(message: Message) -> Message:
    """Return the last step of several as the answer that it says, its thought apart."""
    answer = read_answer(message.content)
    if answer is None:
        return message
    return replace(message, content=format_thoughts((answer[0],)) + answer[1])


def _find(message: Message, place: str, tools: Mapping[str, Tool]) -> WrittenCalls | None:
    if not any([sign in message.content for sign in SIGNS]):
        return None
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
    around, blocks = _blocks(text)
    if blocks and not around.strip():
        return [replace(message, content=block) for block in blocks]
    return [message]


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
    records = json_or_text(text)
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


def _outside_fence(result: Message) -> Message:
    """Return a result without the fence around the whole of it."""
    text = result.content.strip()
    first, newline, rest = text.removeprefix(_FENCE).partition("\n")
    fence = text.startswith(_FENCE) and text.endswith(_FENCE) and text.count(_FENCE) == 2
    if not fence or not newline or " " in first.strip():
        return result
    return replace(result, content=rest.removesuffix(_FENCE).strip())
