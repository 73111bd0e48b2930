"""Cut source text at its marks in linear time.

The results equal those of regular expressions with `.*?` between the marks, which may backtrack.
"""

import re
from collections.abc import Iterator

_PUT = re.compile(r'put\("')


def between(text: str, opening: re.Pattern[str], closing: str, least: int = 0) -> Iterator[str]:
    """Yield the texts of at least `least` characters on one line between two marks."""
    reached = line_end = end = -1
    for found in opening.finditer(text):
        start = found.end()
        if found.start() < reached:
            continue
        line_end = line_end if line_end >= start else _line_end(text, start)
        end = end if end >= start + least else text.find(closing, start + least)
        if end < 0:
            return
        if end < line_end:
            yield text[start:end]
            reached = end + len(closing)


def _line_end(text: str, place: int) -> int:
    found = text.find("\n", place)
    return found if found >= 0 else len(text)


def puts(text: str) -> Iterator[tuple[str, str]]:
    """Yield the keys and values of calls `put("key", value)`.

    A key ends at the first quote and comma for which a `)` follows on the line of the value.
    """
    reached = line_end = last = -1
    for opening in _PUT.finditer(text):
        start = opening.end()
        if opening.start() < reached:
            continue
        if line_end < start:
            line_end = _line_end(text, start)
            last = text.rfind(")", start, line_end)
        comma = text.find('",', start, line_end)
        while comma >= 0:
            value = past_space(text, comma + 2)
            end = text.find(")", value, _line_end(text, value)) if value > line_end else -1
            if end >= 0 or value <= last:
                end = text.find(")", value)
                yield text[start:comma], text[value:end]
                reached = end + 1
                break
            comma = text.find('",', comma + 1, line_end)
        else:
            # No other call of this line ends either.
            reached = line_end


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield the keys and values of one line `key: value, key: value`.

    A value ends at the first comma that another key follows: text, without a comma, up to a colon.
    """
    start = 0
    while True:
        while text[start : start + 1] == ":":
            start += 1
        colon = text.find(":", start)
        if colon < 0:
            return
        value = past_space(text, colon + 1)
        end, following = _end_of_entry(text, value)
        yield text[start:colon], text[value:end]
        start = following


def _end_of_entry(text: str, start: int) -> tuple[int, int]:
    comma = text.find(",", start)
    while comma >= 0:
        after = text.find(",", comma + 1)
        key = past_space(text, comma + 1)
        if text.find(":", key + 1, after if after >= 0 else len(text)) >= 0:
            return comma, key
        if key > comma + 1 and text[key : key + 1] == ":":
            return comma, key - 1  # the key is white space
        comma = after
    return len(text), len(text)


def past_space(text: str, place: int) -> int:
    """Return the first place from `place` on that is no white space."""
    while text[place : place + 1].isspace():
        place += 1
    return place
