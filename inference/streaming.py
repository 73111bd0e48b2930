"""A reply while it is being written: text as soon as it is surely text, calls when they are whole.

What the events add up to is what `parse_reply` makes of the whole text, however it came in pieces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from chat.formats.format import ChatFormat
from chat.formats.rendering import parse_reply, reply_text, silent_ids
from chat.formats.unfinished import UnfinishedReply
from chat.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextDelta:
    """More of the content."""

    text: str


@dataclass(frozen=True)
class WholeCall:
    """A call that is complete; its place in the reply is the number of those before it."""

    call: ToolCall


@dataclass(frozen=True)
class Unreadable:
    """The end of a reply with something like a call that cannot be read; it has no calls.

    Calls that came before are taken back: their text has become content. Constrained replies that
    were not cut off never end so.
    """

    problem: str


Event = TextDelta | WholeCall | Unreadable


class ReplyStream:
    """Reads one reply piece by piece."""

    def __init__(self, format: ChatFormat) -> None:
        self._format = format
        self._reading = UnfinishedReply(format.calls)
        self._pieces: list[str] = []
        # White space that is part of the content if more of it follows.
        self._space: list[str] = []
        self._given = 0
        self._calls = 0

    def feed(self, piece: str) -> Iterator[Event]:
        """Yield what is certain now that the text goes on with `piece`."""
        self._pieces.append(piece)
        content, calls = self._reading.feed(piece)
        yield from self._content(content)
        yield from self._new(calls)

    def finish(self) -> Iterator[Event]:
        """Yield what is left when nothing follows."""
        reply = parse_reply("".join(self._pieces), self._format)
        rest = reply.content[self._given :]
        self._given += len(rest)
        if rest:
            yield TextDelta(rest)
        yield from self._new(reply.tool_calls[self._calls :])
        if reply.problem is not None:
            yield Unreadable(reply.problem)

    def _content(self, more: str) -> Iterator[Event]:
        """Yield more of a content that may go on: without the white space around it."""
        text = more if self._given else more.lstrip()
        if not text.strip():
            self._space.append(text)
            return
        end = len(text.rstrip())
        new = "".join([*self._space, text[:end]])
        self._space = [text[end:]]
        self._given += len(new)
        yield TextDelta(new)

    def _new(self, calls: Sequence[ToolCall]) -> Iterator[Event]:
        self._calls += len(calls)
        yield from map(WholeCall, calls)


def assemble(events: Sequence[Event]) -> Reply:
    """Return the reply that all events of a stream add up to."""
    content = "".join(event.text for event in events if isinstance(event, TextDelta))
    calls = tuple(event.call for event in events if isinstance(event, WholeCall))
    problem = next((event.problem for event in events if isinstance(event, Unreadable)), None)
    return Reply(content, () if problem is not None else calls, problem)


# A character has at most four bytes, each of which may be a token of its own.
_BYTES = 4
# How many tokens are decoded together at most, and how many of them are kept then.
_MOST_TOKENS, _KEPT_TOKENS = 16, 8


class TokenText:
    """Turns tokens into text as they come; characters that are cut between tokens wait.

    Special tokens have no text, but for those that write calls.
    """

    def __init__(self, tokenizer: Tokenizer, format: ChatFormat) -> None:
        self._tokenizer = tokenizer
        self._silent = silent_ids(format, tokenizer)
        # The last tokens, and how much of their text was given.
        self._tokens: list[int] = []
        self._given = 0

    def feed(self, token: int) -> str:
        """Return the text that is certain now and was not before; often empty."""
        self._tokens.append(token)
        text = reply_text(self._tokens, self._tokenizer, self._silent)
        # Part of a character is decoded as U+FFFD, at most once for a byte, until the rest comes.
        certain = max(len(text.rstrip("\ufffd")), len(text) - _BYTES + 1)
        new = text[self._given : certain]
        self._given = max(self._given, certain)
        if len(self._tokens) > _MOST_TOKENS:
            left = len(text) - self._given
            del self._tokens[:-_KEPT_TOKENS]
            self._given = len(reply_text(self._tokens, self._tokenizer, self._silent)) - left
        return new

    def finish(self) -> str:
        """Return what is left when no token follows."""
        return reply_text(self._tokens, self._tokenizer, self._silent)[self._given :]
