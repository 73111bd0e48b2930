"""Incremental reading of a reply while it is generated: its content, and each complete call.

The time is linear in the length of the reply, however short the pieces are.
"""

import re
from collections.abc import Callable, Iterator

from chat.conversation import ToolCall

CALL = re.compile(r'\{\s*"(tool_uses|recipient_name)"')
_KEYS = ('"tool_uses"', '"recipient_name"')
_SPACE = re.compile(r"\s*")
_MARK = re.compile(r'["\\{}\[\]]')


class UnfinishedToolUses:
    """Reads `content {"tool_uses": [call, ...]}` piece by piece.

    read_call: Reads the text of one call; ValueError or RecursionError where it is none.
    """

    def __init__(self, read_call: Callable[[str], ToolCall]) -> None:
        self._read_call = read_call
        self._held: list[str] = []
        # The held-back text without the white space inside it.
        self._beginning = ""
        self._begins_line = True
        self._elements: _Elements | None = None

    def feed(self, piece: str) -> tuple[str, list[ToolCall]]:
        """Return the text that is certainly content by now, and the calls that are now complete."""
        if self._elements is not None:
            return "", self._calls(piece)
        text = self._beginning + piece
        found = CALL.search(text)
        start = found.start() if found else _possible_start(text)
        # A negative cut: the possible call begins in the held-back text.
        cut = start - len(self._beginning)
        if cut < 0:
            self._held.append(piece)
            content = ""
        else:
            content = "".join(self._held) + piece[:cut]
            self._held = [piece[cut:]]
        self._note(content)
        if found is None:
            rest = text[start:]
            self._beginning = rest[:1] + rest[1:].lstrip()
            return content, []
        self._elements = _Elements()
        if found[1] != "tool_uses" or not self._begins_line:
            self._elements.over = True
        return content, self._calls(text[found.end() :])

    def _note(self, content: str) -> None:
        """Record whether the last line of the content is blank so far."""
        _, newline, line = content.rpartition("\n")
        self._begins_line = not line.strip() and (bool(newline) or self._begins_line)

    def _calls(self, piece: str) -> list[ToolCall]:
        assert self._elements is not None, "calls have begun"
        calls: list[ToolCall] = []
        for element in self._elements.feed(piece):
            try:
                calls.append(self._read_call(element))
            except (ValueError, RecursionError):
                self._elements.over = True
                break
        return calls


def _possible_start(text: str) -> int:
    """Return where the end of a text could become the beginning of a call."""
    place = text.rfind("{")
    if place < 0:
        return len(text)
    rest = text[place + 1 :].lstrip()
    return place if any(key.startswith(rest) for key in _KEYS) else len(text)


class _Elements:
    """Reads the objects of a list and the colon before it; `over` when no object can follow."""

    def __init__(self) -> None:
        self.over = False
        self._awaited = ":["
        self._comma = False
        self._parts: list[str] = []
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def feed(self, piece: str) -> Iterator[str]:
        """Yield the text of each object that this piece completes."""
        at = 0
        while at < len(piece) and not self.over:
            if self._depth:
                at = self._inside(piece, at)
                if not self._depth:
                    yield "".join(self._parts)
                    self._comma, self._parts = True, []
                continue
            found = _SPACE.match(piece, at)
            at = found.end() if found else at
            if at < len(piece):
                self._between(piece[at])
                # The brace of an object is its first letter.
                at += not self._depth

    def _between(self, letter: str) -> None:
        if self._awaited:
            self.over = letter != self._awaited[0]
            self._awaited = self._awaited[1:]
        elif letter == "," and self._comma:
            self._comma = False
        elif letter == "{":
            self._depth = -1
        else:
            self.over = True

    def _inside(self, piece: str, at: int) -> int:
        """Scan an object up to its end or the end of the piece; return the position."""
        start, self._depth = at, max(self._depth, 0)
        if self._escaped:
            at, self._escaped = at + 1, False
        while found := _MARK.search(piece, at):
            at = found.end()
            if self._quoted and found[0] == "\\":
                self._escaped = at == len(piece)
                at += 1
            elif found[0] == '"':
                self._quoted = not self._quoted
            elif not self._quoted and found[0] in "{[":
                self._depth += 1
            elif not self._quoted and found[0] in "}]":
                self._depth -= 1
                if not self._depth:
                    self._parts.append(piece[start:at])
                    return at
        self._parts.append(piece[start:])
        return len(piece)
