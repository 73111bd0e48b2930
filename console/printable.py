"""Text that others wrote, made safe to print: no control characters reach the terminal."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return a text with U+FFFD for each control character but tabs and line ends."""
    return _CONTROL.sub("\ufffd", text)
