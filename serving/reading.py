"""One reply as its tokens come: events, why it ended, and what is still in the making."""

from collections.abc import Iterable, Sequence

from chat.formats import stop_ids
from evaluation.replies import Speaker
from evaluation.stream import Event, ReplyStream, TextDelta, TokenText


class ReplyReader:
    """Reads a reply token by token.

    `ended` says whether a stop token or one of `stop_texts` has ended it, `tokens` counts what was
    read. A stop text and what follows it are not part of the reply.
    """

    def __init__(self, speaker: Speaker, stop_texts: Sequence[str] = ()) -> None:
        self.tokens = 0
        self.ended = False
        self._stop_ids = stop_ids(speaker.format, speaker.tokenizer)
        self._stop_texts = tuple(stop_texts)
        self._tokens = TokenText(speaker.tokenizer)
        self._reply = ReplyStream(speaker.format)
        self._text = self._held = ""
        self._content = 0
        self._cut = False

    @property
    def forming(self) -> str:
        """What may become a call: the text that is not content yet."""
        return self._text.strip()[self._content :].strip()

    def feed(self, token: int) -> list[Event]:
        """Return what is certain with one more token; none may come once the reply has ended."""
        assert not self.ended, "the reply has ended"
        self.tokens += 1
        if token in self._stop_ids:
            self.ended = True
            return []
        return self._read(self._tokens.feed(token))

    def finish(self) -> list[Event]:
        """Return what is left when no token follows."""
        rest = [] if self._cut else self._read(self._tokens.finish(), last=True)
        return [*rest, *self._counted(self._reply.finish())]

    def _read(self, piece: str, last: bool = False) -> list[Event]:
        """Read more text, but what may be the beginning of a stop text unless it is the last."""
        held = self._held + piece
        places = [place for text in self._stop_texts if (place := held.find(text)) >= 0]
        if places:
            self._cut = self.ended = True
        end = min(places) if places else len(held) - (0 if last else self._unsure(held))
        self._held = "" if places else held[end:]
        self._text += held[:end]
        return self._counted(self._reply.feed(held[:end]))

    def _unsure(self, text: str) -> int:
        """Return how many characters at the end of a text could begin a stop text."""
        longest = max(map(len, self._stop_texts), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop_texts):
                return length
        return 0

    def _counted(self, events: Iterable[Event]) -> list[Event]:
        found = list(events)
        self._content += sum(len(each.text) for each in found if isinstance(each, TextDelta))
        return found
