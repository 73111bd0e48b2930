"""Rules about calls: declared functions, arguments that fit their schema and were not made up."""

import copy
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from chat.conversation import Conversation, ToolCall
from chat.schemas.validation import ArgumentProblem, validate_arguments
from data.cleaning.first_mentions import first_places, texts_in
from data.outcomes import NOTHING_DECLARED, Change, Draft, Rejected, excerpt_of, pointer

_PREFIX = "functions."
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_TRUTHS = {"true": True, "True": True, "false": False, "False": False}
# A whole argument that stands for a value nobody gave: the result of a call that has not been made
# (Seal-Tools, NESTFUL), a variable of a template, or "<your_api_key>". Each repetition matches
# in one way only: with several, the time would grow exponentially with the text.
_PLACEHOLDER = re.compile(
    r"""API_call_\d+
    | \$var_?\d+(?:\.\w+)*\$?
    | \$\{\w[\w.]*\}
    | \{\{\s*\w[\w.]*\s*\}\}
    | <(?:\w[^\W_]*_\w+|\w+(?:\ \w+)+)>
    | <(?:your|insert|enter)\b[^<>]*>
    | \[(?:your|insert|enter)\b[^\[\]]*\]
    | (?:your|insert|enter)(?:_\w+)?_(?:here|key|token|id|name|password|value)
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)


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


def given_values(conversation: Conversation) -> Draft:
    """Reject arguments that are placeholders, unless an earlier turn says the very same."""
    found = [
        (text, i, j, call)
        for i, j, call in _calls(conversation)
        for text in texts_in(call.arguments)
        if _PLACEHOLDER.fullmatch(text)
    ]
    said = first_places({text for text, *_ in found}, conversation) if found else {}
    for text, i, j, call in found:
        if said.get(text, i) >= i:
            where = pointer("messages", i, "tool_calls", j, "function", "arguments")
            where += _where(call.arguments, text)
            reason = f"{text!r} stands for a value that nobody gave"
            raise Rejected("placeholder-value", where, reason, _excerpt(call))
    return Draft(conversation)


def valid_calls(conversation: Conversation) -> Draft:
    """Reject arguments that do not fit their schema, once numbers in quotes are numbers."""
    tools = {tool.name: tool for tool in conversation.tools}
    changes: list[Change] = []
    corrected: dict[tuple[int, int], ToolCall] = {}
    for i, j, call in _calls(conversation):
        problems = validate_arguments(tools[call.name], call.arguments)
        if not problems:
            continue
        where = pointer("messages", i, "tool_calls", j, "function", "arguments")
        arguments, mended = _without_quotes(call.arguments, problems)
        left = validate_arguments(tools[call.name], arguments) if mended else problems
        if left:
            problem = left[0]
            rule = "costly-schema" if problem.rule == "costly" else "invalid-arguments"
            reason = f"{problem.rule}: {problem.message}"
            raise Rejected(rule, where + problem.pointer, reason, _excerpt(call))
        changes += [Change("text-value", where + at, old, new) for at, old, new in mended]
        corrected[i, j] = replace(call, arguments=arguments)
    return Draft(_with_calls(conversation, corrected), tuple(changes))


def _without_quotes(
    arguments: Mapping[str, Any], problems: list[ArgumentProblem]
) -> tuple[dict[str, Any], list[tuple[str, str, Any]]]:
    """Return arguments in which each text of the wrong type is the number or truth it says."""
    changed = copy.deepcopy(dict(arguments))
    mended = []
    for problem in problems:
        if problem.rule != "type" or not problem.pointer:
            continue
        holder, key = _place(changed, problem.pointer)
        old = holder[key]
        new = _unquoted(old) if isinstance(old, str) else None
        if new is not None:
            holder[key] = new
            mended.append((problem.pointer, old, new))
    return changed, mended


def _unquoted(text: str) -> int | float | bool | None:
    if text in _TRUTHS:
        return _TRUTHS[text]
    # Longer ones are identifiers, of which a float would keep 15 digits.
    if not (match := _NUMBER.fullmatch(text)) or len(text) > 15:
        return None
    number = float(text) if match[1] or match[2] else int(text)
    return number if math.isfinite(number) else None


def _place(value: Any, where: str) -> tuple[Any, Any]:
    """Return what a JSON pointer's last step is taken in, and that step."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in where.split("/")[1:]]
    for step in steps[:-1]:
        value = value[int(step) if isinstance(value, list) else step]
    return value, int(steps[-1]) if isinstance(value, list) else steps[-1]


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
