r"""Patterns of schemas, with the meaning they have in Python, matched within a bound.

Python's `re` needs exponential time for `^(a+)+$` on forty letters. Here a linear engine matches
what it can express; look-around and back-references need an engine that counts its steps. A pattern
is rewritten so that it means the same as in Python: `\w` covers every script, `.` excludes `\n`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from chat.recurring import MOST_KEPT

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

# Limits of the counting engine: backtracking steps, and the length of a text in characters.
MOST_STEPS = 100_000
LONGEST_TEXT = 4096
# The size limit of a pattern's automaton, in bits, is _SIZE_BITS less the text's length in bits,
# and stays between the other two.
_SIZE_BITS, _LEAST_BITS, _MOST_BITS = 31, 16, 23

_SPACES = [chr(code) for code in range(0x3001) if chr(code).isspace()]
_SPACE = "".join(f"\\u{{{ord(space):x}}}" for space in _SPACES)
_BORDERS = [-1, *map(ord, _SPACES), 0x110000]
_NO_SPACE = "".join(
    f"\\u{{{before + 1:x}}}-\\u{{{after - 1:x}}}"
    for before, after in pairwise(_BORDERS)
    if after - before > 1
)
_NO_WORD = (
    r"\p{M}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{S}\p{Z}\p{C}"
    r"\u{203f}\u{2040}\u{2054}\u{fe33}\u{fe34}\u{fe4d}-\u{fe4f}\u{ff3f}"
)
# What may stand between the brackets of a class, for texts in ASCII and for others.
_ASCII = {
    **{"d": "0-9", "w": "A-Za-z0-9_", "s": _SPACE, "S": _NO_SPACE},
    "D": r"\u{0}-\u{2f}\u{3a}-\u{10ffff}",
    "W": r"\u{0}-\u{2f}\u{3a}-\u{40}\u{5b}-\u{5e}\u{60}\u{7b}-\u{10ffff}",
}
_UNICODE = {
    **{"d": r"\p{Nd}", "w": r"\p{L}\p{N}_", "s": _SPACE, "S": _NO_SPACE},
    **{"D": r"\P{Nd}", "W": _NO_WORD},
}
_ANYTHING = r"[\s\S]"
_CONTROLS = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_FLAGS = re.compile(r"\(\?([aimsu]+)\)")
_CODE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(0[0-7]{0,2})")
_REPEAT = re.compile(r"\{(\d*)(,?)(\d*)\}")
_GROUP = re.compile(r"\(\?(?:P<(\w+)>|P=(\w+)\)|(:|=|!|<=|<!|i:))")


class TooCostly(ValueError):
    """Raised for a check that does not end within its bound."""


def matches(pattern: str, text: str) -> bool:
    """Whether Python's `re.search` would find a pattern; TooCostly where no bounded search can say.

    Half a surrogate pair counts as a question mark. Equal arguments always end alike.
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    size = max(_LEAST_BITS, min(_MOST_BITS, _SIZE_BITS - len(text).bit_length()))
    prepared, counts, ends_early = _prepared(pattern, text.isascii(), size)
    if counts and len(text) > LONGEST_TEXT:
        raise TooCostly(
            f"the pattern {_shown(pattern)} looks around, and a text is too long for it"
        )
    # `$` also matches before a newline at the end of the text.
    texts = (text, text[:-1]) if ends_early and text.endswith("\n") else (text,)
    return any(_is_match(prepared, counts, pattern, text) for text in texts)


def _is_match(prepared: "Draft202012Validator", counts: bool, pattern: str, text: str) -> bool:
    if not counts or prepared.is_valid(text):
        return prepared.is_valid(text)
    if any("BacktrackLimit" in type(error.kind).__name__ for error in prepared.iter_errors(text)):
        raise TooCostly(f"the pattern {_shown(pattern)} takes too many steps")
    return False


@lru_cache(maxsize=MOST_KEPT)
def _prepared(pattern: str, ascii: bool, bits: int) -> "tuple[Draft202012Validator, bool, bool]":
    """Return the matcher of a pattern, whether it counts its steps, and whether `$` is in it."""
    from jsonschema_rs import Draft202012Validator, FancyRegexOptions, RegexOptions, ValidationError

    try:
        rewritten = _Rewriting(pattern, ascii)
        text = "".join(rewritten.parts())
    except LookupError:
        raise TooCostly(f"the pattern {_shown(pattern)} cannot be run within a bound") from None
    size = 1 << bits
    for options in (
        RegexOptions(size_limit=size),
        FancyRegexOptions(backtrack_limit=MOST_STEPS, size_limit=size),
    ):
        counts = isinstance(options, FancyRegexOptions)
        try:
            made = Draft202012Validator({"pattern": text}, pattern_options=options)
        except ValidationError:
            continue
        return made, counts, rewritten.ends_early
    raise TooCostly(f"the pattern {_shown(pattern)} cannot be run within a bound")


def _shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 60 else pattern[:59] + "…")


def _code(code: int) -> str:
    return f"\\u{{{code:x}}}"


class _Rewriting:
    """Rewrites one pattern; LookupError for syntax without a counterpart.

    ends_early: Whether a `$` was met.
    """

    def __init__(self, pattern: str, ascii: bool) -> None:
        flags = _FLAGS.match(pattern)
        self.flags = flags[1] if flags else ""
        self.pattern, self.at = pattern, flags.end() if flags else 0
        self.classes = _ASCII if ascii or "a" in self.flags else _UNICODE
        self.groups: dict[str, int] = {}
        self.count = 0
        self.ends_early = False

    def parts(self) -> Iterator[str]:
        """Yield the rewritten pattern."""
        yield "".join(f"(?{flag})" for flag in "im" if flag in self.flags)
        while self.at < len(self.pattern):
            letter = self.pattern[self.at]
            if letter == "\\":
                yield self._escape()
            elif letter == "[":
                yield self._class()
            elif letter == "(":
                yield self._group()
            elif letter == "{":
                yield self._repeat()
            else:
                self.at += 1
                yield self._plain(letter)

    def _plain(self, letter: str) -> str:
        if letter == ".":
            return _ANYTHING if "s" in self.flags else r"[^\n]"
        self.ends_early |= letter == "$"
        if letter in "^$|)*+?" or (letter.isascii() and letter.isalnum()):
            return letter
        return _code(ord(letter))

    def _escape(self) -> str:
        self.at += 1
        letter = self.pattern[self.at]
        if letter in self.classes:
            self.at += 1
            negated = letter in "DWS"
            return f"[{'^' if negated else ''}{self.classes[letter.lower()]}]"
        if letter in "bBAZ" and (letter != "A" or "m" not in self.flags):
            self.at += 1
            return {"A": "^", "Z": "$"}.get(letter, f"\\{letter}")
        if letter in "123456789":
            self.at += 1
            if self.pattern[self.at : self.at + 1].isdigit():
                raise LookupError(letter)
            return f"(?:\\{letter})"
        return _code(self._escaped_code())

    def _escaped_code(self) -> int:
        """Return the code of an escaped character that stands for itself or a control."""
        found = _CODE.match(self.pattern, self.at)
        if found:
            self.at = found.end()
            octal = found[4]
            return int(octal, 8) if octal else int(found[1] or found[2] or found[3], 16)
        letter = self.pattern[self.at]
        self.at += 1
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter.isascii() and letter.isalnum():
            raise LookupError(letter)
        return ord(letter)

    def _class(self) -> str:
        """Rewrite a class of characters, brackets included."""
        self.at += 1
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        members, kinds, first = [], set[str](), True
        while first or self.pattern[self.at] != "]":
            first = False
            low = self._member()
            is_range = self.pattern[self.at] == "-" and self.pattern[self.at + 1] != "]"
            if isinstance(low, str):
                kinds.add(low)
                members.append(self.classes[low])
            elif is_range:
                self.at += 1
                high = self._member()
                if isinstance(high, str):
                    raise LookupError(high)
                members.append(f"{_code(low)}-{_code(high)}")
            else:
                members.append(_code(low))
        self.at += 1
        if any({kind.lower(), kind.upper()} <= kinds for kind in kinds):
            return r"[^\s\S]" if negated else _ANYTHING
        return f"[{'^' if negated else ''}{''.join(members)}]"

    def _member(self) -> str | int:
        """Return the letter of a class inside a class, or a character's code."""
        letter = self.pattern[self.at]
        self.at += 1
        if letter != "\\":
            return ord(letter)
        if self.pattern[self.at] in self.classes:
            self.at += 1
            return self.pattern[self.at - 1]
        return self._escaped_code()

    def _group(self) -> str:
        if not self.pattern.startswith("(?", self.at):
            self.at, self.count = self.at + 1, self.count + 1
            return "("
        found = _GROUP.match(self.pattern, self.at)
        if found is None:
            raise LookupError(self.pattern[self.at :][:3])
        self.at = found.end()
        name, reference, kind = found.groups()
        if name:
            self.count += 1
            self.groups[name] = self.count
            return "("
        return f"(?:\\{self.groups[reference]})" if reference else f"(?{kind}"

    def _repeat(self) -> str:
        found = _REPEAT.match(self.pattern, self.at)
        if found is None or not (found[1] or found[3]):
            self.at += 1
            return _code(ord("{"))
        self.at = found.end()
        return f"{{{found[1] or 0}{found[2]}{found[3]}}}"
