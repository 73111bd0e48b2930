"""Rules about calls: declared functions, arguments that fit their schema and were not made up."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

from chat.conversation import Conversation, Message, ToolCall
from chat.schemas.validation import ArgumentProblem, validate_arguments
from chat.strict_json import lost_in
from data.cleaning.argument_repairs import moved, repair_arguments
from data.cleaning.first_mentions import first_places
from data.cleaning.placeholders import (
    is_placeholder,
    may_be_placeholder,
    named_texts,
    topics_of,
    topics_of_tool,
)
from data.outcomes import NOTHING_DECLARED, Change, Draft, Rejected, excerpt_of, pointer

_PREFIX = "functions."


def declared_functions(conversation: Conversation) -> Draft:
    """Reject calls of undeclared functions; take spaces and `functions.` off a declared name."""
    names = {tool.name for tool in conversation.tools}
    changes: list[Change] = []
    mended: dict[tuple[int, int], ToolCall] = {}
    for i, j, call in _calls(conversation):
        if call.name in names:
            continue
        where = pointer("messages", i, "tool_calls", j, "function", "name")
        name = call.name.strip().removeprefix(_PREFIX).strip()
        if name not in names:
            declared = ", ".join(tool.name for tool in conversation.tools)
            there = f"({declared} is)" if declared else NOTHING_DECLARED
            reason = f"{call.name} is not declared {there}"
            raise Rejected("undeclared-function", where, reason, _excerpt(call))
        changes.append(Change("function-name", where, call.name, name))
        mended[i, j] = replace(call, name=name)
    return Draft(_with_calls(conversation, mended), tuple(changes))


def kept_values(conversation: Conversation) -> Draft:
    """Reject arguments of which reading the row lost something: a repeated key, digits."""
    for i, j, call in _calls(conversation):
        if lost := lost_in(call.arguments):
            where = pointer("messages", i, "tool_calls", j, "function", "arguments")
            raise Rejected("unreadable-call", where, lost, _excerpt(call))
    return Draft(conversation)


def given_values(conversation: Conversation) -> Draft:
    """Reject arguments that are placeholders, unless an earlier turn says the very same."""
    found = [
        (name, text, i, j, call)
        for i, j, call in _calls(conversation)
        for name, text in named_texts(call.arguments)
        if may_be_placeholder(text)
    ]
    if not found:
        return Draft(conversation)
    about = {tool.name: topics_of_tool(tool) for tool in conversation.tools}
    said = first_places({text for _, text, *_ in found}, conversation)
    talk = list(accumulate(map(_topics, conversation.messages), lambda known, new: known | new))
    for name, text, i, j, call in found:
        topics = talk[i] | about.get(call.name, frozenset())
        if said.get(text, i) >= i and is_placeholder(text, name, topics):
            where = pointer("messages", i, "tool_calls", j, "function", "arguments")
            where += _where(call.arguments, text)
            reason = f"{text!r} stands for a value that nobody gave"
            raise Rejected("placeholder-value", where, reason, _excerpt(call))
    return Draft(conversation)


def valid_calls(conversation: Conversation) -> Draft:
    """Reject arguments that do not fit their schema, once those with one reading are repaired.

    Calls of undeclared functions, which only answers that are not to be learnt may have, are passed
    over.
    """
    tools = {tool.name: tool for tool in conversation.tools}
    changes: list[Change] = []
    corrected: dict[tuple[int, int], ToolCall] = {}
    for i, j, call in _calls(conversation):
        tool = tools.get(call.name)
        problems = validate_arguments(tool, call.arguments) if tool else []
        if tool is None or not problems:
            continue
        where = pointer("messages", i, "tool_calls", j, "function", "arguments")
        repaired = repair_arguments(tool, call.arguments, problems)
        if repaired.problems:
            raise _invalid(repaired.problems[0], where, call)
        changes += moved(repaired.changes, where)
        corrected[i, j] = replace(call, arguments=repaired.arguments)
    return Draft(_with_calls(conversation, corrected), tuple(changes))


def check_formats(conversation: Conversation) -> None:
    """Raise Rejected for a text that has not the format which its schema names."""
    tools = {tool.name: tool for tool in conversation.tools}
    for i, j, call in _calls(conversation):
        problems = validate_arguments(tools[call.name], call.arguments, formats=True)
        if problems:
            where = pointer("messages", i, "tool_calls", j, "function", "arguments")
            rejected = _invalid(problems[0], where, call)
            rejected.reason += " (only with --check-formats)"
            raise rejected


def _invalid(problem: ArgumentProblem, where: str, call: ToolCall) -> Rejected:
    rule = "costly-schema" if problem.rule == "costly" else "invalid-arguments"
    reason = f"{problem.rule}: {problem.message}"
    return Rejected(rule, where + problem.pointer, reason, _excerpt(call))


def _topics(message: Message) -> frozenset[str]:
    """Return what a user or the system talks of."""
    return topics_of(message.content) if message.role in ("user", "system") else frozenset()


def _where(value: Any, text: str) -> str:
    """Return the pointer of the first place of a JSON value that holds a text."""
    steps = value.items() if isinstance(value, Mapping) else enumerate(value)
    for step, member in steps:
        if member == text:
            return pointer(step)
        if isinstance(member, Mapping | list) and (inner := _where(member, text)):
            return pointer(step) + inner
    return ""


def _calls(conversation: Conversation) -> Iterator[tuple[int, int, ToolCall]]:
    for i, message in enumerate(conversation.messages):
        for j, call in enumerate(message.tool_calls):
            yield i, j, call


def _with_calls(
    conversation: Conversation, changed: Mapping[tuple[int, int], ToolCall]
) -> Conversation:
    """Return a conversation with other calls in some places: of a message, and in it."""
    if not changed:
        return conversation
    messages = list(conversation.messages)
    for i in dict.fromkeys(i for i, _ in changed):
        calls = enumerate(messages[i].tool_calls)
        new = tuple(changed.get((i, j), call) for j, call in calls)
        messages[i] = replace(messages[i], tool_calls=new)
    return replace(conversation, messages=tuple(messages))


def _excerpt(call: ToolCall) -> str:
    return excerpt_of({"name": call.name, "arguments": dict(call.arguments)})
