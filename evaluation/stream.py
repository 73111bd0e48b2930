"""A reply while it is being written: text as soon as it is surely text, calls when they are whole.

What the events add up to is what `parse_reply` makes of the whole text, however it came in pieces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chat.conversation import ToolCall
from chat.formats import ChatFormat, parse_reply, reply_text
from chat.tokenizer import Tokenizer
from chat.tool_syntax import Reply


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
        self._text = ""
        self._given = 0
        self._calls: list[ToolCall] = []

    def feed(self, piece: str) -> Iterator[Event]:
        """Yield what is certain now that the text goes on with `piece`."""
        self._text += piece
        content, calls = self._format.syntax.unfinished(self._text)
        yield from self._content(self._text[:content])
        yield from self._new(calls)

    def finish(self) -> Iterator[Event]:
        """Yield what is left when nothing follows."""
        reply = parse_reply(self._text, self._format)
        rest = reply.content[self._given :]
        self._given += len(rest)
        if rest:
            yield TextDelta(rest)
        yield from self._new(reply.tool_calls)
        if reply.problem is not None:
            yield Unreadable(reply.problem)

    def _content(self, text: str) -> Iterator[Event]:
        """Yield the new part of a content that may go on: without the white space around it."""
        new = text.strip()[self._given :]
        if new:
            self._given += len(new)
            yield TextDelta(new)

    def _new(self, calls: Sequence[ToolCall]) -> Iterator[Event]:
        for call in calls[len(self._calls) :]:
            self._calls.append(call)
            yield WholeCall(call)


def assemble(events: Sequence[Event]) -> Reply:
    """Return the reply that all events of a stream add up to."""
    content = "".join(event.text for event in events if isinstance(event, TextDelta))
    calls = tuple(event.call for event in events if isinstance(event, WholeCall))
    problem = next((event.problem for event in events if isinstance(event, Unreadable)), None)
    return Reply(content, () if problem is not None else calls, problem)


class TokenText:
    """Turns tokens into text as they come; characters that are cut between tokens wait.

    Special tokens have no text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._given = 0

    def feed(self, token: int) -> str:
        """Return the text that is certain now and was not before; often empty."""
        self._tokens.append(token)
        text = reply_text(self._tokens, self._tokenizer)
        # Half a character is decoded as U+FFFD until its other half comes.
        return self._new(text[: len(text.rstrip("\ufffd"))])

    def finish(self) -> str:
        """Return what is left when no token follows."""
        return self._new(reply_text(self._tokens, self._tokenizer))

    def _new(self, text: str) -> str:
        new = text[self._given :]
        self._given += len(new)
        return new
