"""What can happen to a row on its way to a conversation: kept, repaired with changes, rejected."""

import json
from dataclasses import dataclass
from typing import Any

from chat.conversation import Conversation, Message

EXCERPT = 200
# How the reason ends for a call in a row without any declaration.
NOTHING_DECLARED = "(no function is)"


@dataclass(frozen=True)
class Change:
    """One repair: `pointer` (RFC 6901) says where, `before` and `after` are JSON values."""

    rule: str
    pointer: str
    before: Any
    after: Any


# Every rule makes one for every row, about twenty in all, and a frozen one takes 2.5 times as long.
@dataclass
class Draft:
    """A conversation as read, with the repairs that reading it took; never changed once made.

    rejected: For a row that prefers one answer to another, the same prompt with the other answer,
        and the repairs that this took; `conversation` has the chosen one. Cleaning writes both as a
        pair (data/cleaning/pairs.py).
    """

    conversation: Conversation
    changes: tuple[Change, ...] = ()
    rejected: "Draft | None" = None


class Rejected(Exception):
    """A row that cannot be used: the rule that says so, where in the row, why, and an excerpt."""

    def __init__(self, rule: str, pointer: str, reason: str, excerpt: str = "") -> None:
        super().__init__(rule, pointer, reason, excerpt)
        self.rule = rule
        self.pointer = pointer
        self.reason = reason
        self.excerpt = shorten(excerpt)


def shorten(text: str) -> str:
    """Return `text` cut to an excerpt's length, with a mark where it was cut."""
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"


def pointer(*steps: str | int) -> str:
    """Return the JSON pointer of nested keys and indices."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def records(*messages: Message) -> list[dict[str, Any]]:
    """Return messages as the JSON objects they are written as."""
    return [message.to_record() for message in messages]


def excerpt_of(value: Any) -> str:
    """Return a JSON value as text, cut to an excerpt's length."""
    return shorten(json.dumps(value, ensure_ascii=False))
