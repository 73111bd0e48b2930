"""What a dataset layout is: how its rows are told from others, and how one is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chat.conversation import Conversation, Message
from data.outcomes import Draft, Rejected
from data.reading.declarations import Declarations
from data.reading.marked_calls import OPENINGS
from data.reading.system_text import read_system, says_nothing
from data.reading.turns import Turns
from data.reading.written_turns import read_written


@dataclass(frozen=True)
class Source:
    """A layout: what a row looks like (for messages), whether one is, and how one is read.

    `recognises` says whether `read` can take a row; `detects`, where there is one, whether a file
    whose first row this is has the layout, for layouts whose rows others would take too. `told_by`
    says what tells such rows from theirs.
    `read` raises data.outcomes.Rejected, whose pointers go into the raw row.
    """

    looks_like: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any], Draft]
    detects: Callable[[Any], bool] | None = None
    told_by: str = ""


def draft(
    turns: Turns,
    declarations: Declarations,
    system: Any = None,
    where: str = "",
    search: bool = True,
) -> Draft:
    """Put a conversation together.

    `system` is a system text that stands beside the turns, at the JSON pointer `where`. With
    `search`, texts may hold what is no text: assistants' calls in any notation, and in the system
    text the tools, which are looked for only where none are given and are taken out of it.
    """
    messages, places = list(turns.messages), list(turns.places)
    if isinstance(system, str) and system.strip():
        messages.insert(0, Message("system", system))
        places.insert(0, where)
    if not search:
        noted = (*declarations.changes, *turns.changes)
        return Draft(Conversation(tuple(messages), declarations.tools), noted)
    if messages and messages[0].role == "system":
        place = places[0] if places else "/messages/0/content"
        content, declarations = _searched(messages, declarations, place)
        messages[0] = replace(messages[0], content=content)
        if not content:
            messages, places = messages[1:], places[1:]
    places = places if len(places) == len(messages) else []  # not all layouts say where
    whole = Turns(tuple(messages), turns.changes, tuple(places))
    found = read_written(whole, declarations.tools)
    return Draft(
        Conversation(found.messages, declarations.tools), (*declarations.changes, *found.changes)
    )


def _searched(
    messages: Sequence[Message], declarations: Declarations, where: str
) -> tuple[str, Declarations]:
    """Return what the system text says, and the tools that are given or that it declares."""
    text = messages[0].content
    if declarations.tools:
        return ("" if says_nothing(text) else text), declarations
    try:
        found = read_system(text, where)
    except Rejected:
        # No call needs the tools: what they are announced with is prose.
        if any(map(_may_call, messages)):
            raise
        return text, declarations
    content = text if found.content == text.strip() else found.content
    changes = (*declarations.changes, *found.declarations.changes)
    return (content if found.content else ""), replace(found.declarations, changes=changes)


def _may_call(message: Message) -> bool:
    if message.role != "assistant":
        return message.role == "tool"
    text = message.content.lstrip()
    return bool(message.tool_calls or text[:1] in tuple("[{`") or OPENINGS.search(text))
