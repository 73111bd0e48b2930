"""Incremental reading of a reply while it is generated: its content, and each complete call.

The time is linear in the length of the reply, however short the pieces are.
"""

import re
from collections.abc import Iterator

from chat.conversation import ToolCall
from chat.formats.call_syntax import CallSyntax, read_call
from chat.strict_json import call_decoder

_MARK = re.compile(r'["\\{}\[\]]')
_DECODER = call_decoder()


class UnfinishedReply:
    """Reads a reply piece by piece: text, and calls as soon as they are whole."""

    def __init__(self, syntax: CallSyntax) -> None:
        self._syntax = syntax
        self._held: list[str] = []
        # The held-back text without the white space inside it.
        self._beginning = ""
        self._begins_line = True
        self._blank = True
        self._calls: _UnfinishedCalls | None = None

    def feed(self, piece: str) -> tuple[str, list[ToolCall]]:
        """Return the text that is certainly content by now, and the calls that are now complete."""
        if self._calls is not None:
            return "", self._calls.feed(piece)
        if self._syntax.begins == "reply" and not self._blank:
            content, self._held = "".join([*self._held, piece]), []
            return content, []
        text = self._beginning + piece
        found = self._syntax.looks_like_call.search(text)
        start = found.start() if found else self._possible_start(text)
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
        self._calls = _UnfinishedCalls(self._syntax)
        self._calls.over = self._syntax.begins == "line" and not self._begins_line
        return content, self._calls.feed(text[start:])

    def _possible_start(self, text: str) -> int:
        """Return where the end of a text could become the beginning of a call."""
        places = [len(text)]
        for start in self._syntax.starts:
            first, *rest = start.split()
            place = text.rfind(first[0])
            begun = text[place:]
            if rest and begun.startswith(first):
                begun, first = begun[len(first) :].lstrip(), rest[0]
            if place >= 0 and first.startswith(begun):
                places.append(place)
        return min(places)

    def _note(self, content: str) -> None:
        """Record whether the content, and its last line, is blank so far."""
        _, newline, line = content.rpartition("\n")
        self._begins_line = not line.strip() and (bool(newline) or self._begins_line)
        self._blank &= not content.strip()


class _UnfinishedCalls:
    """Reads the objects of calls and what stands around them; `over` when no call can follow."""

    def __init__(self, syntax: CallSyntax) -> None:
        self.over = False
        self._syntax = syntax
        self._number = 0
        # What stands before an object, and how many braces of it belong to the syntax.
        self._before: list[str] = []
        self._braces = syntax.opening.count("{")
        self._object: list[str] = []
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def feed(self, piece: str) -> list[ToolCall]:
        """Return the calls that this piece completes."""
        calls: list[ToolCall] = []
        try:
            for before, written in self._objects(piece):
                calls.append(self._read(before, written))
        except (ValueError, RecursionError):
            self.over = True
        return calls

    def _read(self, before: str, written: str) -> ToolCall:
        """Read one call; ValueError or RecursionError where it is none."""
        patterns = self._syntax.patterns
        around = patterns.between if self._number else patterns.opening
        found = around.match(before + "{")
        head = patterns.head.fullmatch(before, found.end()) if found else None
        if head is None:
            raise ValueError("another text stands before the call")
        self._number += 1
        self.over = not self._syntax.between
        name = head["name"].strip() if self._syntax.head else None
        return read_call(_DECODER.decode(written), "a call", self._syntax, name)

    def _objects(self, piece: str) -> Iterator[tuple[str, str]]:
        """Yield each object that this piece completes, and what stands before it."""
        at = 0
        while at < len(piece) and not self.over:
            if self._depth:
                at = self._inside(piece, at)
                if not self._depth:
                    yield "".join(self._before), "".join(self._object)
                    self._before, self._object = [], []
                continue
            brace = piece.find("{", at)
            self._before.append(piece[at : brace if brace >= 0 else len(piece)])
            at = brace if brace >= 0 else len(piece)
            if brace >= 0 and self._braces:
                self._braces -= 1
                self._before.append("{")
                at += 1
            elif brace >= 0:
                # The brace of an object is its first letter.
                self._depth = -1

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
                    self._object.append(piece[start:at])
                    return at
        self._object.append(piece[start:])
        return len(piece)
