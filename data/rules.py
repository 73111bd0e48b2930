"""The cleaning rules: each leaves a conversation alone, repairs it, or rejects it with a reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chat.conversation import Conversation, Message, Tool
from chat.schemas import validate_arguments
from data.balancing import cut
from data.outcomes import Change, Draft, Rejected, pointer

# Every rule code with what it means, in the order in which they apply to a row.
MEANINGS: dict[str, str] = {
    "malformed-json": "rejected: the line is not JSON (only with --skip-malformed)",
    "wrong-layout": "rejected: the row does not have the layout of its file",
    "unreadable-tools": "rejected: a tool declaration cannot be read",
    "unreadable-call": "rejected: a call is cut off or not JSON, or its arguments are no object",
    "tool-without-schema": "repaired: a tool of the service itself was left out (no function)",
    "call-syntax": "repaired: a call was encoded twice, had stray escapes, or was Python's",
    "reasoning": "repaired: the model's reasoning beside an answer was left out",
    "ignored-weight": "repaired: a turn is trained although its weight was 0",
    "invalid-text": "rejected: half a surrogate pair, NaN or Infinity, which JSON cannot hold",
    "repeated-tool": "repaired: the same tool was declared twice",
    "conflicting-tools": "rejected: one name is declared with different definitions",
    "invalid-schema": "rejected: the schema of a tool is no JSON Schema",
    "split-assistant": "repaired: one assistant turn was written as several",
    "empty-ending": "repaired: turns without text at the end were cut off",
    "empty-turn": "rejected: a user or assistant says nothing, and others follow",
    "unanswered-ending": "repaired: what follows the last assistant turn was cut off",
    "no-assistant": "rejected: there is no assistant turn to learn from",
    "result-without-call": "rejected: a tool result that no call asked for",
    "two-assistants": "rejected: two assistant turns in a row",
    "undeclared-function": "rejected: a function is called that is not declared",
    "invalid-arguments": "rejected: arguments do not fit the schema of their tool",
    "no-functions": "rejected: no function is declared (only with --remove-no-fc)",
    "duplicate": "rejected: the same conversation stands earlier in the file",
    "weak-ending": "repaired: a last exchange of thanks or apology was cut off (only --balance)",
    "ending-at-question": "repaired: cut so that a question ends it (only --balance)",
    "ending-at-call": "repaired: cut so that a call ends it (only --balance)",
}


def writable_text(conversation: Conversation) -> Draft:
    """Reject what JSON in UTF-8 cannot hold."""
    record = conversation.to_record()
    for key in ("tools", "messages"):
        for i, part in enumerate(record[key]):
            try:
                json.dumps(part, ensure_ascii=False, allow_nan=False).encode()
            except (ValueError, RecursionError) as error:
                excerpt = repr(part)
                raise Rejected("invalid-text", pointer(key, i), str(error), excerpt) from error
    return Draft(conversation)


def distinct_tools(conversation: Conversation) -> Draft:
    """Drop a tool that is declared again; reject another tool of the same name."""
    kept: dict[str, Tool] = {}
    changes = []
    for i, tool in enumerate(conversation.tools):
        if tool.name not in kept:
            kept[tool.name] = tool
            continue
        record = conversation.to_record()["tools"][i]
        where = pointer("tools", i)
        if kept[tool.name] != tool:
            reason = f"{tool.name} is declared with different definitions"
            raise Rejected("conflicting-tools", where, reason, _text(record))
        changes.append(Change("repeated-tool", where, record, None))
    return Draft(replace(conversation, tools=tuple(kept.values())), tuple(changes))


def usable_schemas(conversation: Conversation) -> Draft:
    """Reject a tool whose schema cannot be used to check a call."""
    for i, tool in enumerate(conversation.tools):
        for problem in validate_arguments(tool, {}):
            if problem.rule == "schema":
                where = pointer("tools", i, "function", "parameters")
                raise Rejected("invalid-schema", where, problem.message, _text(tool.parameters))
    return Draft(conversation)


def whole_assistants(conversation: Conversation) -> Draft:
    """Join text with the call that directly follows it, and calls that are answered together."""
    messages = list(conversation.messages)
    changes = []
    i = 0
    while i + 1 < len(messages):
        first, second = messages[i], messages[i + 1]
        if not (first.role == second.role == "assistant" and _belong_together(messages, i)):
            i += 1
            continue
        content = "\n\n".join(text for text in (first.content, second.content) if text.strip())
        calls = first.tool_calls + second.tool_calls
        messages[i : i + 2] = [Message("assistant", content, calls)]
        before, after = _records(first, second), _records(messages[i])[0]
        changes.append(Change("split-assistant", pointer("messages", i), before, after))
    return Draft(replace(conversation, messages=tuple(messages)), tuple(changes))


def _belong_together(messages: list[Message], i: int) -> bool:
    first, second = messages[i], messages[i + 1]
    if not first.tool_calls:
        return bool(second.tool_calls)
    # Calls in a row are parallel calls only if each of them has its result.
    following = messages[i:]
    calls = _count(following, lambda m: m.role == "assistant" and bool(m.tool_calls))
    wanted = sum(len(m.tool_calls) for m in following[:calls])
    return bool(second.tool_calls) and wanted == _count(following[calls:], _is_result)


def no_empty_turns(conversation: Conversation) -> Draft:
    """Drop empty turns at the end; reject them elsewhere. An empty tool result is a result."""
    messages = conversation.messages
    end = len(messages) - _count(list(reversed(messages)), _is_empty)
    draft = cut(conversation, end, "empty-ending")
    for i, message in enumerate(draft.conversation.messages):
        if _is_empty(message):
            reason = f"the {message.role} says nothing"
            raise Rejected("empty-turn", pointer("messages", i), reason)
    return draft


def ends_on_assistant(conversation: Conversation) -> Draft:
    """Cut off what follows the last assistant turn; reject when there is none."""
    messages = conversation.messages
    end = len(messages) - _count(list(reversed(messages)), lambda m: m.role != "assistant")
    if end == 0:
        excerpt = messages[0].content if messages else ""
        raise Rejected("no-assistant", "/messages", "no assistant turn", excerpt)
    return cut(conversation, end, "unanswered-ending")


def ordered_turns(conversation: Conversation) -> Draft:
    """Reject results that no call asked for, and two assistant turns in a row."""
    awaited = 0
    previous = ""
    for i, message in enumerate(conversation.messages):
        where = pointer("messages", i)
        if message.role == "tool":
            if awaited == 0:
                reason = "a tool result that no call asked for"
                raise Rejected("result-without-call", where, reason, message.content)
            awaited -= 1
        elif message.role == previous == "assistant":
            excerpt = message.content or _text(_records(message)[0])
            raise Rejected("two-assistants", where, "two assistant turns in a row", excerpt)
        else:
            awaited = len(message.tool_calls)
        previous = message.role
    return Draft(conversation)


def valid_calls(conversation: Conversation) -> Draft:
    """Reject calls of undeclared functions, and arguments that do not fit their schema."""
    tools = {tool.name: tool for tool in conversation.tools}
    for i, message in enumerate(conversation.messages):
        for j, call in enumerate(message.tool_calls):
            where = pointer("messages", i, "tool_calls", j, "function")
            excerpt = _text({"name": call.name, "arguments": dict(call.arguments)})
            if call.name not in tools:
                declared = ", ".join(tools) or "no function"
                reason = f"{call.name} is not declared ({declared} is)"
                raise Rejected("undeclared-function", where + "/name", reason, excerpt)
            for problem in validate_arguments(tools[call.name], call.arguments):
                place = f"{where}/arguments{problem.pointer}"
                reason = f"{problem.rule}: {problem.message}"
                raise Rejected("invalid-arguments", place, reason, excerpt)
    return Draft(conversation)


RULES: tuple[Callable[[Conversation], Draft], ...] = (
    writable_text,
    distinct_tools,
    usable_schemas,
    whole_assistants,
    no_empty_turns,
    ends_on_assistant,
    ordered_turns,
    valid_calls,
)


def _is_empty(message: Message) -> bool:
    return message.role != "tool" and not message.tool_calls and not message.content.strip()


def _is_result(message: Message) -> bool:
    return message.role == "tool"


def _count(messages: list[Message], wanted: Callable[[Message], bool]) -> int:
    """Count the messages at the beginning that are as wanted."""
    return next((i for i, m in enumerate(messages) if not wanted(m)), len(messages))


def _records(*messages: Message) -> list[dict[str, Any]]:
    return Conversation(messages).to_record()["messages"]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
