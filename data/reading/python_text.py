"""Read Python literals, and calls with literal arguments, as `repr` writes them; nothing is run."""

import math
import re
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>[rRuU]?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))"
    r"|(?P<number>[-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[^\W\d][\w.\-]*)|(?P<mark>[\[\](){},:=])|(?P<end>\Z))",
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CHARACTERS |= {"\n": "", "\\": "\\", "'": "'", '"': '"'}
# Data sets mix JSON's words into Python literals.
_WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
_DEEPEST = 100
# Names of tools may be of several words.
_NAME = re.compile(r"([^()\[\]{}\"'=,\n]*+)(?=\()")


def read_literal(text: str) -> Any:
    """Return the value of a literal, tuples as lists; ValueError for anything that is not one."""
    reader = _Reader(text)
    value = reader.value()
    reader.expect("")
    return value


def last_collection(text: str, at: int) -> tuple[Any, int]:
    """Return the collection that begins at a place and ends the text, or None, and how far it goes.

    What is none is read up to where that shows.
    """
    reader: _Reader | None = None
    try:
        reader = _Reader(text, at)
        value = reader.value()
        reader.expect("")
    except ValueError:
        return None, reader.at if reader else at
    return value, len(text)


def read_call_expressions(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Read `f(a=1, b=[2])`, several or a list of such calls, as names with their arguments."""
    reader = _Reader(text)
    calls: list[tuple[str, dict[str, Any]]] = []
    while True:
        if reader.peek() == "[":
            reader.take()
            calls += reader.members("]", reader.call)
        else:
            calls.append(reader.call())
        if not reader.peek():
            return calls
        reader.expect_separator()


def end_of_group(text: str) -> int:
    """Return the place after the bracket that closes the first one of a text; -1 without one."""
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += 1 if found[0] in "([{" else -1
        if depth <= 0:
            return found.end()
    return -1


_BRACKET = re.compile(r"[()\[\]{}]")


class _Reader:
    """Goes through the tokens of one text."""

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.depth = 0
        self.trailing_comma = False
        self.at = at
        self.kind, self.token = "", ""
        self._advance()

    def _advance(self) -> None:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise ValueError(f"no Python literal at {self.text[self.at : self.at + 20]!r}")
        self.kind = str(match.lastgroup)
        self.token, self.at = match[self.kind], match.end()

    def peek(self) -> str:
        """Return the next mark or name; a text or number is never taken for one."""
        return self.token if self.kind in ("mark", "name", "end") else " "

    def take(self) -> str:
        token = self.token
        self._advance()
        return token

    def expect(self, mark: str) -> None:
        if self.peek() != mark:
            raise ValueError(f"wanted {mark or 'the end'!r}, found {self.token[:20]!r}")
        if mark:
            self._advance()

    def expect_separator(self) -> None:
        """Go past a comma, or see that what follows begins a new line."""
        start = end = self.at - len(self.token)
        while start and self.text[start - 1].isspace():
            start -= 1
        if self.peek() == "," or "\n" not in self.text[start:end]:
            self.expect(",")

    def value(self) -> Any:
        if self.kind == "text":
            parts = []
            while self.kind == "text":
                parts.append(_text(self.take()))
            return "".join(parts)
        if self.kind == "number":
            return _number(self.take())
        if self.kind == "name" and self.token in _WORDS:
            return _WORDS[self.take()]
        if self.kind != "mark" or self.token not in "[({":
            raise ValueError(f"no literal: {self.token[:20] or 'the text ends'}")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("nested too deeply")
        value = self._collection(self.take())
        self.depth -= 1
        return value

    def _collection(self, opening: str) -> Any:
        if opening == "{":
            return _distinct(self.members("}", self._entry))
        if opening == "[":
            return self.members("]", self.value)
        values = self.members(")", self.value)
        # One value in parentheses is a tuple only with a comma after it.
        return values[0] if len(values) == 1 and not self.trailing_comma else values

    def members(self, closing: str, read: Any) -> list[Any]:
        """Read members up to the closing bracket, the opening one being taken already."""
        found = []
        comma = False
        while self.peek() != closing:
            found.append(read())
            comma = self.peek() == ","
            if self.peek() != closing:
                self.expect(",")
        self.trailing_comma = comma
        self.expect(closing)
        return found

    def _entry(self) -> tuple[str, Any]:
        key = self.value()
        if not isinstance(key, str):
            raise ValueError(f"a key must be text, found {key!r}")
        self.expect(":")
        return key, self.value()

    def call(self) -> tuple[str, dict[str, Any]]:
        if self.kind != "name":
            raise ValueError(f"wanted a function's name, found {self.token[:20]!r}")
        start = self.at - len(self.token)
        if found := _NAME.match(self.text, start):
            self.at = found.end()
        name = self.text[start : self.at].strip()
        self._advance()
        self.expect("(")
        return name, _distinct(self.members(")", self._argument))

    def _argument(self) -> tuple[str, Any]:
        if self.kind != "name" or self.token in _WORDS:
            raise ValueError(f"wanted an argument's name, found {self.token[:20]!r}")
        name = self.take()
        self.expect("=")
        return name, self.value()


def _distinct(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in entries:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice")
        found[key] = value
    return found


def _number(text: str) -> int | float:
    if re.fullmatch(r"[-+]?[\d_]+", text):
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _text(token: str) -> str:
    prefix = token[: token.index(token[-1])]
    inner = token[len(prefix) + 1 : -1]
    return inner if prefix in ("r", "R") else _ESCAPE.sub(_character, inner)


def _character(match: re.Match[str]) -> str:
    octal, *hexadecimal, other = match.groups()
    if octal:
        return chr(int(octal, 8))
    code = next((digit for digit in hexadecimal if digit), None)
    if code is None:
        return _CHARACTERS.get(other, "\\" + other)
    if int(code, 16) > 0x10FFFF:
        raise ValueError(f"no such character: {match[0]}")
    return chr(int(code, 16))
