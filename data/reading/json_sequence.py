"""JSON values that stand one after the other in a text, with or without a mark between them."""

import json
import re
from typing import Any

_SPACE = re.compile(r"[\s,;]*")


def after_space(text: str, at: int) -> int:
    """Return where the next value begins, after spaces, commas, semicolons."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def read_sequence(text: str, decoder: json.JSONDecoder) -> list[Any]:
    """Return all values of a text; ValueError or RecursionError where one cannot be read."""
    found, at = list[Any](), 0
    while (at := after_space(text, at)) < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found
