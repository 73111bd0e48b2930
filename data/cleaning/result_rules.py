"""Rules about whose result a tool's turn is: by id, else by name, else by its place."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from chat.conversation import Conversation, Message
from data.outcomes import Change, Draft, Rejected, pointer, records


def linked_results(conversation: Conversation) -> Draft:
    """Put results in the order of their calls, and give ids that lead nowhere anew.

    A result whose function was not called, or an id that only guessing could link, is rejected.
    """
    messages = list(conversation.messages)
    if not any(m.tool_call_id is not None or m.name for m in messages if m.role == "tool") and all(
        call.id is None for message in messages for call in message.tool_calls
    ):
        return Draft(conversation)
    changes: list[Change] = []
    for first, end in _groups(messages):
        results = messages[first + 1 : end]
        order = _order(messages[first], results, first)
        if order != list(range(len(results))):
            messages[first + 1 : end] = [results[k] for k in order]
            before, after = records(*results), records(*messages[first + 1 : end])
            where = pointer("messages", first + 1)
            changes.append(Change("result-order", where, before, after))
    if not _ids_lead_somewhere(messages):
        renumbered = _renumbered(messages)
        changes.append(Change("call-ids", "/messages", _ids(messages), _ids(renumbered)))
        messages = renumbered
    if not changes:
        return Draft(conversation)
    return Draft(replace(conversation, messages=tuple(messages)), tuple(changes))


def _groups(messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
    """Yield where each turn that calls stands, and where its results end, if it has some."""
    for i, message in enumerate(messages):
        if not message.tool_calls:
            continue
        end = i + 1
        while end < len(messages) and messages[end].role == "tool":
            end += 1
        if end > i + 1:
            yield i, end


def _order(caller: Message, results: list[Message], at: int) -> list[int]:
    """Return which result belongs to which call, as the order in which they should stand."""
    names = [call.name for call in caller.tool_calls]
    called = {_bare(name): j for j, name in enumerate(names)}
    for k, result in enumerate(results):
        if result.name and _bare(result.name) not in called:
            reason = f"a result of {result.name}, where {', '.join(names)} was called"
            raise Rejected(
                "dangling-result", pointer("messages", at + 1 + k, "name"), reason, result.content
            )
    ids = [call.id for call in caller.tool_calls]
    given = [result.tool_call_id for result in results]
    if _distinct(ids) and _distinct(given) and set(given) <= set(ids):
        _check_answered(caller, set(given), at)
        places = {id: j for j, id in enumerate(ids)}
        return sorted(range(len(results)), key=lambda k: places[given[k]])
    if len(results) < len(names) and any(given) and any(ids):
        place = pointer("messages", at + 1, "tool_call_id")
        reason = f"results with the ids {given} for calls with the ids {ids}"
        raise Rejected("dangling-result", place, reason, results[0].content)
    named = [_bare(result.name or "") for result in results]
    if all(called) and len(called) == len(names) and _distinct(named) and set(named) == set(called):
        return sorted(range(len(results)), key=lambda k: called[named[k]])
    return list(range(len(results)))


def _check_answered(caller: Message, given: set[str | None], at: int) -> None:
    for j, call in enumerate(caller.tool_calls):
        if call.id not in given:
            place = pointer("messages", at, "tool_calls", j)
            reason = f"the call {call.id} has no result, though others beside it have"
            raise Rejected("call-without-result", place, reason, call.name)


def _distinct(ids: Sequence[str | None]) -> bool:
    return all(ids) and len(set(ids)) == len(ids)


def _bare(name: str) -> str:
    return name.strip().removeprefix("functions.")


def _ids_lead_somewhere(messages: Sequence[Message]) -> bool:
    """Whether there are no ids, or each call has its own and each result that of its call."""
    ids = [call.id for message in messages for call in message.tool_calls]
    given = [m.tool_call_id for m in messages if m.role == "tool"]
    if not any(ids) and not any(given):
        return True
    if not _distinct(ids):
        return False
    return all(
        set(m.tool_call_id for m in messages[first + 1 : end])
        <= {call.id for call in messages[first].tool_calls}
        for first, end in _groups(messages)
    )


def _renumbered(messages: Sequence[Message]) -> list[Message]:
    """Number all calls, and give each result the number of the call in its place."""
    renumbered: list[Message] = []
    waiting: Iterator[str] = iter(())
    count = 0
    for message in messages:
        if message.tool_calls:
            numbers = [f"call_{count + j + 1}" for j in range(len(message.tool_calls))]
            calls = zip(message.tool_calls, numbers, strict=True)
            message = replace(message, tool_calls=tuple(replace(c, id=n) for c, n in calls))
            count, waiting = count + len(numbers), iter(numbers)
        elif message.role == "tool":
            message = replace(message, tool_call_id=next(waiting))
        renumbered.append(message)
    return renumbered


def _ids(messages: Sequence[Message]) -> list[str | None]:
    found: list[str | None] = []
    for message in messages:
        found += [call.id for call in message.tool_calls]
        found += [message.tool_call_id] if message.role == "tool" else []
    return found
