"""Rules about the order of turns: who speaks, what ends a conversation, whose result is whose."""

from collections.abc import Callable
from dataclasses import replace

from chat.conversation import Conversation, Message
from data.balancing import cut
from data.outcomes import Change, Draft, Rejected, excerpt_of, pointer, records


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
        before, after = records(first, second), records(messages[i])[0]
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
    """Reject results that no call asked for, calls left without one, two assistants in a row."""
    awaited, unanswered, previous = 0, False, ""
    for i, message in enumerate(conversation.messages):
        if message.role == "tool":
            if awaited == 0:
                reason = "a tool result that no call asked for"
                raise _rejected("result-without-call", i, reason, message)
            awaited, unanswered = awaited - 1, False
        elif message.role == previous == "assistant":
            raise _rejected("two-assistants", i, "two assistant turns in a row", message)
        elif unanswered:
            called = conversation.messages[i - 1]
            reason = "a call without a result, and the conversation goes on"
            raise _rejected("call-without-result", i - 1, reason, called)
        else:
            awaited, unanswered = len(message.tool_calls), bool(message.tool_calls)
        previous = message.role
    return Draft(conversation)


def _rejected(rule: str, i: int, reason: str, message: Message) -> Rejected:
    excerpt = message.content or excerpt_of(records(message)[0])
    return Rejected(rule, pointer("messages", i), reason, excerpt)


def _is_empty(message: Message) -> bool:
    return message.role != "tool" and not message.tool_calls and not message.content.strip()


def _is_result(message: Message) -> bool:
    return message.role == "tool"


def _count(messages: list[Message], wanted: Callable[[Message], bool]) -> int:
    """Count the messages at the beginning that are as wanted."""
    return next((i for i, m in enumerate(messages) if not wanted(m)), len(messages))
