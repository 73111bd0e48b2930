"""Rules about the order of turns: who speaks, what ends a conversation, whose result is whose."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from chat.conversation import Conversation, Message
from data.cleaning.balancing import cut
from data.outcomes import Change, Draft, Rejected, excerpt_of, pointer, records

# Each turn takes five tokens and more; no context is as long as half a million.
MOST_TURNS = 100_000


def limited_turns(conversation: Conversation) -> Draft:
    """Reject a conversation of more turns or calls than any model could take in."""
    messages = conversation.messages
    calls = sum([len(message.tool_calls) for message in messages])
    for what, count in (("turns", len(messages)), ("calls", calls)):
        if count > MOST_TURNS:
            reason = f"{count:,} {what}, at most {MOST_TURNS:,} are read"
            raise Rejected("too-many-turns", "/messages", reason)
    return Draft(conversation)


def whole_assistants(conversation: Conversation) -> Draft:
    """Join text with the call that directly follows it, and calls that are answered together."""
    roles = [message.role for message in conversation.messages]
    if ("assistant", "assistant") not in pairwise(roles):
        return Draft(conversation)
    messages: list[Message] = []
    changes: list[Change] = []
    for turns in _belonging_together(conversation.messages):
        if len(turns) > 1:
            content = "\n\n".join(turn.content for turn in turns if turn.content.strip())
            calls = tuple(call for turn in turns for call in turn.tool_calls)
            learnt = all(turn.trained for turn in turns)
            turn = Message("assistant", content, calls, trained=learnt)
            where = pointer("messages", len(messages))
            changes.append(Change("split-assistant", where, records(*turns), records(turn)[0]))
            turns = [turn]
        messages += turns
    if not changes:
        return Draft(conversation)
    return Draft(replace(conversation, messages=tuple(messages)), tuple(changes))


def _belonging_together(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yield the turns one by one, but together what one assistant's turn was written as."""
    i = 0
    while i < len(messages):
        first = i + (_is_assistant(messages[i]) and not messages[i].tool_calls)
        end = _end(messages, first, _has_calls)
        if first == end:
            yield [messages[i]]
            i += 1
            continue
        results = _end(messages, end, lambda message: message.role == "tool") - end
        wanted = sum(len(message.tool_calls) for message in messages[first:end])
        # Calls in a row are parallel calls only if each of them has its result.
        while wanted != results and first + 1 < end:
            yield list(messages[i : first + 1])
            wanted -= len(messages[first].tool_calls)
            i = first = first + 1
        yield list(messages[i:end])
        i = end


def _end(messages: Sequence[Message], at: int, wanted: Callable[[Message], bool]) -> int:
    """Return where the messages end that are as wanted from a place on."""
    while at < len(messages) and wanted(messages[at]):
        at += 1
    return at


def _is_assistant(message: Message) -> bool:
    return message.role == "assistant"


def _has_calls(message: Message) -> bool:
    return _is_assistant(message) and bool(message.tool_calls)


def no_empty_turns(conversation: Conversation) -> Draft:
    """Drop empty turns at the end; reject them elsewhere. An empty tool result is a result."""
    messages = conversation.messages
    end = len(messages) - _end(messages[::-1], 0, _is_empty)
    draft = cut(conversation, end, "empty-ending")
    for i, message in enumerate(draft.conversation.messages):
        if _is_empty(message):
            reason = f"the {message.role} says nothing"
            raise Rejected("empty-turn", pointer("messages", i), reason)
    return draft


def ends_on_assistant(conversation: Conversation) -> Draft:
    """Cut off what follows the last assistant turn; reject when there is none."""
    messages = conversation.messages
    end = len(messages) - _end(messages[::-1], 0, lambda message: not _is_assistant(message))
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
