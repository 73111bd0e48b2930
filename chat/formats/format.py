"""A chat format: a row of facts and one function that writes a conversation as pieces of text.

The strings of a format may name special tokens, and only those become special ids. The text of a
conversation (contents, tools, arguments) is always ordinary text.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from chat.conversation import ROLES, Conversation, Message
from chat.formats.call_syntax import CallSyntax, written_calls
from chat.recurring import MOST_KEPT
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer

Settings = Mapping[str, str]


class Piece(NamedTuple):
    """A stretch of a written conversation.

    own: Whether it is the format's own string, in which special tokens count.
    """

    text: str
    own: bool
    role: str
    trained: bool = False


class CannotWrite(ValueError):
    """A conversation has a shape that its chat format has no way to write."""


@dataclass(frozen=True)
class ChatFormat:
    """How conversations are written for one kind of model.

    name: What users call the format.
    write: Yields the pieces of a conversation; CannotWrite for a shape that the format lacks.
    special_tokens: The special tokens that the format's own strings hold.
    begin: What stands before the first turn.
    reply_opening: What opens an assistant's turn where a reply is asked for.
    stop_tokens: The special tokens at which an assistant's turn ends; they are trained.
    calls: How calls are written and read.
    reply_joins: Whether a reply goes on from ordinary text before it: both are then tokenised as
        one text.
    earlier_turns_stay: Whether the turns of a conversation are written the same whatever follows,
        so that one training sequence teaches all replies; otherwise each has its own.
    special_table: The table of chat/tokenizers/special_tokens.py that completes a tiktoken file.
    end_tokens: Special tokens that end a reply too, where the tokenizer has them; none is trained.
    settings: What else decides the text, such as a date, with its default.
    """

    name: str
    write: Callable[[Conversation, Settings], Iterator[Piece]] = field(repr=False)
    special_tokens: tuple[str, ...]
    begin: str
    reply_opening: str
    stop_tokens: tuple[str, ...]
    calls: CallSyntax
    reply_joins: bool = False
    earlier_turns_stay: Callable[[Conversation], bool] = lambda conversation: True
    special_table: str = "llama3"
    end_tokens: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict)

    @property
    def has_calls(self) -> bool:
        """Whether calls can be written; without them no tools can be offered."""
        return bool(self.calls.starts)

    def load_tokenizer(self, path: Path | str) -> Tokenizer:
        """Load a tokenizer; none of the format's special tokens is found in ordinary text."""
        return load_tokenizer(path, self.special_table, (*self.special_tokens, *self.end_tokens))


@lru_cache(maxsize=MOST_KEPT)
def own(text: str, role: str = "", trained: bool = False) -> Piece:
    """Return a string of the format itself; a format has a dozen of them, which are kept."""
    return Piece(text, True, role, trained)


def content(text: str, role: str) -> Piece:
    """Return text of the conversation that is not learnt."""
    return Piece(text, False, role)


def reply(
    message: Message, syntax: CallSyntax, lead: str = "", marks: re.Pattern[str] | None = None
) -> Iterator[Piece]:
    """Yield the pieces of an assistant's text and calls; `lead` stands before them.

    Raises CannotWrite where the syntax has no way to write them, and where one holds a mark of the
    format.
    """
    try:
        written = list(written_calls(message.content.strip(), message.tool_calls, syntax))
    except ValueError as error:
        raise CannotWrite(str(error)) from None
    for text, is_own in written:
        if marks and not is_own and (found := marks.search(text)):
            raise CannotWrite(f"a call holds the format's mark {found[0]!r}")
        yield Piece(lead + text, is_own, "assistant", message.trained)
        lead = ""


def split_system(messages: tuple[Message, ...]) -> tuple[str | None, tuple[Message, ...]]:
    """Return the text of a first system message, None without one, and the messages after it."""
    if messages and messages[0].role == "system":
        return messages[0].content, messages[1:]
    return None, messages


def cannot_write(message: Message, place: int, why: str) -> CannotWrite:
    """Return the error for a message that a format has no way to write, and its place."""
    return CannotWrite(f"messages[{place}] ({message.role}): {why}")


def check_marks(
    conversation: Conversation, marks: re.Pattern[str], roles: Collection[str] = ROLES
) -> None:
    """Raise CannotWrite where a text of some roles holds a mark by which a format tells them apart.

    So does a tool that holds one. For formats whose marks are ordinary text: anyone could write
    them. `reply` checks the calls.
    """
    for place, message in enumerate(conversation.messages):
        if message.role in roles and (found := marks.search(message.content)):
            raise cannot_write(message, place, f"its text holds the format's mark {found[0]!r}")
    for tool in conversation.tools:
        if found := marks.search(tool.json_text):
            raise CannotWrite(f"the tool {tool.name[:80]!r} holds the format's mark {found[0]!r}")
