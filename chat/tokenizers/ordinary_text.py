"""Ordinary text to ids with tiktoken: short recurring text is cached, long text cut into pieces."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from chat.recurring import MOST_KEPT

if TYPE_CHECKING:
    from tiktoken import Encoding

# Beyond these tiktoken overflows its stack or slows down; Meta's tokenizer cuts at the same places.
MOST_CHARACTERS = 400_000
LONGEST_RUN = 25_000
# Lengths in characters. Cached are texts up to SHORT_TEXT (names of roles), and in texts from
# LONG_TEXT on (announcements of tools) the paragraphs up to LONGEST_KEPT.
SHORT_TEXT = 12
LONG_TEXT = 500
LONGEST_KEPT = 2_000


def encode_ordinary(encoding: "Encoding", text: str, paragraphs: bool) -> list[int]:
    """Return the ids of a text.

    `paragraphs` says that the encoding's pattern always ends a match after two newlines that are
    followed by other than white space, as Llama 3's does: the ids of the paragraphs in order are
    then the ids of the whole text.
    """
    if len(text) <= SHORT_TEXT:
        return list(_kept_ids(encoding, text))
    if len(text) < LONG_TEXT or (not paragraphs and len(text) <= LONGEST_RUN):
        return encoding.encode_ordinary(text)
    ids: list[int] = []
    for piece in _paragraphs(text) if len(text) <= LONGEST_RUN else _short_pieces(text):
        if len(piece) <= LONGEST_KEPT:
            ids += _kept_ids(encoding, piece)
        else:
            ids += encoding.encode_ordinary(piece)
    return ids


_BORDER = re.compile(r"\n\n(?=\S)")


def _paragraphs(text: str) -> Iterator[str]:
    *ended, last = _BORDER.split(text)
    yield from (paragraph + "\n\n" for paragraph in ended)
    yield last


@lru_cache(maxsize=MOST_KEPT)
def _kept_ids(encoding: "Encoding", paragraph: str) -> tuple[int, ...]:
    """Encode a text and cache its ids."""
    return tuple(encoding.encode_ordinary(paragraph))


def _short_pieces(text: str) -> Iterator[str]:
    """Cut text so that no piece, and no run of blanks or of non-blanks in it, is too long."""
    for start in range(0, len(text), MOST_CHARACTERS):
        chunk = text[start : start + MOST_CHARACTERS]
        cut = 0
        if len(chunk) > LONGEST_RUN:
            for run in re.finditer(r"\s+|\S+", chunk):
                for border in range(run.start() + LONGEST_RUN, run.end(), LONGEST_RUN):
                    yield chunk[cut:border]
                    cut = border
        yield chunk[cut:]
