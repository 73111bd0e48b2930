"""What a dataset layout is: how its rows are told from others, and how one is read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from chat.conversation import Conversation, Message
from data.outcomes import Change, Draft
from data.reading.declarations import Declarations
from data.reading.system_text import read_system
from data.reading.turns import Turns


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

    `system` is a system text that stands beside the turns, at the JSON pointer `where`. Tools may
    stand in a system text alone: with `search` they are read from it, and taken out of it.
    """
    messages = list(turns.messages)
    if isinstance(system, str) and system.strip():
        messages.insert(0, Message("system", system))
    tools, changes = declarations.tools, declarations.changes
    if search and messages and messages[0].role == "system":
        found = read_system(messages[0].content, where or "/messages/0/content")
        if not tools:
            tools, changes = found.declarations.tools, found.declarations.changes
        if found.content != messages[0].content.strip():
            messages[0] = replace(messages[0], content=found.content)
        messages = messages if found.content else messages[1:]
    noted: tuple[Change, ...] = (*changes, *turns.changes)
    return Draft(Conversation(tuple(messages), tools), noted)
