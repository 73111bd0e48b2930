"""Strict JSON: NaN, Infinity and deep nesting are refused."""

import json
import math
from collections import Counter
from typing import Any, NoReturn

# How much of a key or number an error shows, in characters.
_SHOWN = 40


def read_json(text: str | bytes) -> Any:
    """Return the value of JSON text; ValueError for anything else, NaN and deep nesting too."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def call_decoder(raw_newlines: bool = False) -> json.JSONDecoder:
    """Return a decoder for calls; it also refuses a duplicate key and a number too large.

    `raw_newlines` allows newlines and tabs inside strings.
    """
    return json.JSONDecoder(
        strict=not raw_newlines,
        object_pairs_hook=_distinct_keys,
        parse_float=_finite,
        parse_constant=_refuse,
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = next(key for key, count in times.items() if count > 1)
        raise ValueError(f"the key {twice[:_SHOWN]!r} stands twice")
    return values


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:_SHOWN]} is not a finite number")
    return value
