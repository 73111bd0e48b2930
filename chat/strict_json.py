"""Readers of JSON: strict ones that refuse or mark what would be lost, and a lenient one."""

import json
import math
from collections import Counter
from decimal import Decimal
from typing import Any, NoReturn

# Every number of so many characters is kept by a float: 15 digits, a sign and a point.
_ALWAYS_KEPT = 17
# How much of a key or number an error shows, in characters.
_SHOWN = 40


def read_json(text: str | bytes) -> Any:
    """Return the value of JSON text; ValueError for anything else, NaN and deep nesting too."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class RepeatedKey(dict[str, Any]):
    """An object in whose text a key stands twice: the last value is the one that is left."""

    key = ""


class ShortenedNumber(float):
    """A number with more digits than a float keeps; `text` has them all."""

    text = ""


def call_decoder(raw_newlines: bool = False, exact: bool = False) -> json.JSONDecoder:
    """Return a decoder for calls; it also refuses a duplicate key and a number too large.

    `raw_newlines` allows newlines and tabs inside strings; `exact` also refuses a number of which
    a float would lose digits.
    """
    return json.JSONDecoder(
        strict=not raw_newlines,
        object_pairs_hook=_distinct_keys,
        parse_float=_exact if exact else _finite,
        parse_constant=_refuse,
    )


def read_marked(raw: bytes) -> Any:
    """Return the value of JSON text in which what reading loses is marked for `lost_in`."""
    return MARKING_DECODER.decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))


def lost_in(value: Any) -> str:
    """Return what a marking decoder lost of a value, in words; empty for nothing."""
    waiting = [value]
    for found in waiting:
        kind = type(found)
        if kind is dict:
            waiting.extend(found.values())
        elif kind is list:
            waiting.extend(found)
        elif kind is ShortenedNumber:
            return f"the number {found.text[:_SHOWN]} has more digits than can be kept"
        elif kind is RepeatedKey:
            return f"the key {found.key[:_SHOWN]!r} stands twice"
    return ""


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


def _exact(text: str) -> float:
    if len(text) <= _ALWAYS_KEPT:
        return _finite(text)
    value = _marked_number(text)
    if lost := lost_in(value):
        raise ValueError(lost)
    return _finite(text)


def _marked_number(text: str) -> float:
    value = float(text)
    if len(text) <= _ALWAYS_KEPT or not math.isfinite(value):
        return value
    if Decimal(repr(value)) == Decimal(text):
        return value
    marked = ShortenedNumber(text)
    marked.text = text
    return marked


def _marked_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    marked = RepeatedKey(values)
    counts = Counter(key for key, _ in pairs)
    marked.key = next(key for key, count in counts.items() if count > 1)
    return marked


# Reads any JSON, newlines and tabs inside strings too, as texts written by hand have them. Only for
# declarations and prose: in a call a repeated key must not pass.
LENIENT_DECODER = json.JSONDecoder(strict=False)
# Reads any JSON; a repeated key and a number that a float shortens are marked.
MARKING_DECODER = json.JSONDecoder(object_pairs_hook=_marked_object, parse_float=_marked_number)
