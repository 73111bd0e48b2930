"""Read one reply token by token: its events, whether it has ended, and a call being formed."""

from collections import deque
from collections.abc import Iterable, Sequence

from chat.formats.rendering import stop_ids
from inference.chat_model import ChatModel
from inference.streaming import Event, ReplyStream, TextDelta, TokenText

# The most characters shown of a call that is not complete.
LONGEST_FORMING = 1000


class ReplyReader:
    """Reads a reply token by token.

    `ended` says whether a stop token or one of `stop_texts` has ended it, `cut` whether it was such
    a text. `tokens` counts what was read, `written` the bytes of its text, `bytes` those of them
    that are surely part of the reply. A stop text and what follows it are not.
    """

    def __init__(self, chat_model: ChatModel, stop_texts: Sequence[str] = ()) -> None:
        self.tokens = self.bytes = self.written = 0
        self.ended = False
        self._stop_ids = stop_ids(chat_model.format, chat_model.tokenizer)
        self._stops = [_Stop(text) for text in stop_texts]
        self._tokens = TokenText(chat_model.tokenizer, chat_model.format)
        self._reply = ReplyStream(chat_model.format)
        # What may be the beginning of a stop text, in pieces, and its length.
        self._held: deque[str] = deque()
        self._unsure = 0
        # The end of the text, and how much of it, from its first letter on, is no content yet.
        self._end = ""
        self._begun = False
        self._forming = 0
        self.cut = False

    @property
    def forming(self) -> str:
        """The end of what may become a call: the text that is not content yet."""
        return self._end[len(self._end) - min(self._forming, len(self._end)) :].strip()

    def feed(self, token: int) -> list[Event]:
        """Return the events that one more token makes certain; not to be called after the end."""
        assert not self.ended, "the reply has ended"
        self.tokens += 1
        if token in self._stop_ids:
            self.ended = True
            return []
        return self._read(self._tokens.feed(token))

    def finish(self) -> list[Event]:
        """Return the remaining events when no token follows."""
        rest = [] if self.cut else self._read(self._tokens.finish(), last=True)
        return [*rest, *self._counted("", self._reply.finish())]

    def _read(self, piece: str, last: bool = False) -> list[Event]:
        """Read more text; hold back a possible beginning of a stop text unless it is the last."""
        self.written += _bytes(piece)
        self._held.append(piece)
        self._unsure += len(piece)
        found = [place for stop in self._stops if (place := stop.find(piece)) is not None]
        if found:
            self.cut = self.ended = True
            length = self._unsure - len(piece) + min(found)
        else:
            kept = 0 if last else max((stop.met for stop in self._stops), default=0)
            length = self._unsure - kept
        certain = self._released(length)
        self.bytes += _bytes(certain)
        return self._counted(certain, self._reply.feed(certain))

    def _released(self, length: int) -> str:
        """Remove the first `length` characters of the held text and return them."""
        parts: list[str] = []
        self._unsure -= length
        while length > 0:
            part = self._held.popleft()
            parts.append(part[:length])
            if len(part) > length:
                self._held.appendleft(part[length:])
            length -= len(part)
        return "".join(parts)

    def _counted(self, text: str, events: Iterable[Event]) -> list[Event]:
        found = list(events)
        content = sum(len(event.text) for event in found if isinstance(event, TextDelta))
        self._end = (self._end + text)[-LONGEST_FORMING:]
        begun = text if self._begun else text.lstrip()
        self._begun |= bool(begun)
        self._forming += len(begun) - content
        return found


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


class _Stop:
    """A text that ends a reply, looked for letter by letter (Knuth, Morris and Pratt).

    met: How many letters at the end of what was read begin the text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.met = 0
        # For each beginning of the text the length of its longest ending that begins the text too.
        self._shorter = [0] * len(text)
        for place in range(1, len(text)):
            self._shorter[place] = self._after(self._shorter[place - 1], text[place])

    def _after(self, met: int, letter: str) -> int:
        while met and self._text[met] != letter:
            met = self._shorter[met - 1]
        return met + (self._text[met] == letter)

    def find(self, piece: str) -> int | None:
        """Return where in a piece the text begins that ends in it, negative for before it."""
        for place, letter in enumerate(piece, start=1):
            self.met = self._after(self.met, letter)
            if self.met == len(self._text):
                return place - self.met
        return None
