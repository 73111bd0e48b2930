"""Tell what a file holds: nothing, no text, one object around all rows, or many lines a row."""

import json
import re
from pathlib import Path
from typing import BinaryIO

# How many characters at the beginning of an object are looked at.
HEAD = 1 << 16
# Under these keys an object can hold the rows of a whole file.
KEYS = ("instances", "data", "rows", "examples")
_TEXT = r'"(?:[^"\\]|\\.)*+"'
# What comes before the list is text and numbers: an object that holds more is a row itself. The
# pairs are not matched possessively: Python before 3.11.5 does not go back to before a half one.
_WRAPPER = re.compile(
    rf"\s*+\{{\s*+(?:{_TEXT}\s*+:\s*+(?:{_TEXT}|[-+.\w]++)\s*+,\s*+)*"
    rf'"(?:{"|".join(KEYS)})"\s*+:\s*+\[(?=\s*+\{{)',
    re.DOTALL,
)

_BINARY = {b"\x1f\x8b": "gzip-compressed", b"PK\x03\x04": "a zip file"}


def first_character(stream: BinaryIO, path: Path) -> bytes:
    """Return the first byte that is not white space; ValueError for an empty or binary file."""
    head = stream.read(1 << 13)
    for magic, kind in _BINARY.items():
        if head.startswith(magic):
            raise ValueError(f"{path} is {kind}; wanted JSON or JSON Lines text")
    if b"\0" in head:
        raise ValueError(f"{path} is a binary file; wanted JSON or JSON Lines in UTF-8")
    while head:
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if text:
            return text[:1]
        head = stream.read(1 << 13)
    raise ValueError(f"{path} is empty; wanted a JSON list or one JSON object a line")


def advice(index: int, line: bytes) -> str:
    """Return what to do about a line that is not JSON; a table or prose begins with no bracket."""
    if index == 0 and line[:1] not in (b"{", b"["):
        return (
            "wanted JSON, JSON Lines or Parquet with one conversation a row: docs/data-formats.md"
        )
    return (
        "correct the line, or leave such lines out with --skip-malformed of "
        "scripts/clean_dataset.py"
    )


def after_wrapper(text: str, at: int = 0) -> int | None:
    """Return where the rows begin that an object at this place holds in a list, or None."""
    opening = _WRAPPER.match(text, at)
    return opening.end() if opening else None


def goes_over_lines(head: str) -> bool:
    """Whether a file that begins so holds its rows in an object, or has objects of many lines."""
    if after_wrapper(head) is not None:
        return True
    lines = [line for line in head.lstrip().split("\n", 2)[:2] if line.strip()]
    if len(lines) < 2 or not lines[0].rstrip().endswith(("{", "[", ",", ":")):
        return False
    # In JSON Lines whose first line is damaged, the second one is whole.
    return not any(map(_is_json, lines))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
