"""Where one stands in JSON text that is still being written.

A grammar of schemas allows what no reader wants: a name twice in one object, and numbers too large
to be read. This follows the text byte by byte and says so beforehand.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field

from inference.constrain.completions import TextRule, TextUnderWay

# Numbers with no more digits than these are finite, and quick to read.
MOST_DIGITS = 200
MOST_EXPONENT_DIGITS = 2


@dataclass
class JsonText:
    """The place reached: open containers, and the string or number under way.

    names: For each open object the names it has so far, None for an open array.
    key: Whether the next or present string of an object is a name.
    string: The bytes of the name under way, without its opening quote; empty in other strings, None
        outside strings.
    rules: What the schemas ask of texts.
    number: What is written of the number under way, while it is whole.
    digits: How many digits the number under way has before its point, or in its exponent.
    part: The sign that began the part of that number under way: "." or "e"; empty at first.
    wrong: Whether a name came twice, or a number with too many digits.
    """

    names: list[set[bytes] | None] = field(default_factory=list)
    key: bool = False
    string: bytes | None = None
    escaped: bool = False
    rules: Sequence[TextRule] = ()
    number: str = ""
    digits: int = 0
    part: str = ""
    wrong: bool = False
    _text: TextUnderWay | None = None

    def copy(self) -> "JsonText":
        """Return an independent place at the same point."""
        other = copy(self)
        other.names = [None if name is None else set(name) for name in self.names]
        other._text = self._text and self._text.copy()
        return other

    def feed(self, text: bytes) -> "JsonText":
        """Go on by some bytes; what stands outside all containers is no JSON and skipped."""
        for value in text:
            if self.string is not None:
                self._in_string(value)
            else:
                self._outside(value)
        return self

    @property
    def takes_name(self) -> bool:
        """Whether the string under way is a name that its object has already."""
        taken = self.names[-1] if self.key and self.names else None
        return taken is not None and self.string in taken

    def completions(self) -> Iterator[bytes]:
        """Yield what may end the text under way so that it fits, as far as the rules know."""
        return self._text.completions() if self._text else iter(())

    def _in_string(self, value: int) -> None:
        assert self.string is not None
        if value != 0x22 or self.escaped:
            self.escaped = value == 0x5C and not self.escaped
            if self.key:
                self.string += bytes([value])
            elif self._text:
                self._text.feed(value)
            return
        taken = self.names[-1] if self.key else None
        if taken is not None:
            self.wrong |= self.string in taken
            taken.add(self.string)
        self.string, self.key, self._text = None, False, None

    def _outside(self, value: int) -> None:
        character = chr(value)
        self._in_number(character)
        if character in "{[":
            self.names.append(set() if character == "{" else None)
            self.key = character == "{"
        elif not self.names:
            return
        elif character in "}]":
            self.names.pop()
            self.key = False
        elif character == ",":
            self.key = self.names[-1] is not None
        elif character == '"':
            self.string = b""
            self._text = TextUnderWay(self.rules) if self.rules and not self.key else None

    def _in_number(self, character: str) -> None:
        is_whole = character in "-0123456789" and not self.part and self.digits < MOST_DIGITS
        self.number = self.number + character if is_whole else ""
        if character in "0123456789":
            self.digits += 1
            most = {"": MOST_DIGITS, "e": MOST_EXPONENT_DIGITS}.get(self.part)
            self.wrong |= most is not None and self.digits > most
        elif character not in "+-":
            self.digits = 0
            self.part = character.lower() if character in ".eE" else ""
