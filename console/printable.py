"""Text that others wrote, made printable; nothing is imported for it but the standard library."""

import re

# Controls (C0, C1), marks that turn the direction of text, separators of lines and paragraphs,
# halves of surrogate pairs, annotation marks, and tags, which no terminal shows.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"
    r"\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Return a text with U+FFFD for each character that moves a cursor, hides or reorders text.

    Tabs and line ends stay. The length stays too, so that places in the text keep their meaning.
    """
    return _UNPRINTABLE.sub("\ufffd", text)
