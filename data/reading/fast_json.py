"""JSON text of rows to values, as json.loads reads it, with marks on what reading loses."""

from typing import Any

from chat.strict_json import read_marked

# Digits and points as 0, all other bytes as blanks: a long number is then a long run of 0.
_DIGITS = bytes(ord("0") if byte in b"0123456789." else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * 16
# A key before blanks and its colon, and one that ends in a backslash: `_colons` does not see them.
_UNUSUAL_KEYS = (b'" :', b'"\t:', b'"\n:', b'"\r:', b'\\\\"')


def json_value(raw: bytes) -> Any:
    """Return what json.loads returns, and raise what it raises, in a third of the time.

    What a value loses of its text, a repeated key or digits, is marked for `lost_in`.
    """
    # Not at the top: a GPU machine without pydantic imports this module's neighbours too.
    from pydantic_core import from_json

    if _LONG_NUMBER not in raw.translate(_DIGITS) and not any(key in raw for key in _UNUSUAL_KEYS):
        try:
            value = from_json(raw, cache_strings="keys")
        except ValueError:
            # Half a surrogate pair is none for the faster reader, nor is very deep nesting.
            return read_marked(raw)
        if _colons(raw) == _keys_in(value):
            return value
    return read_marked(raw)


def _colons(raw: bytes) -> int:
    """Return how many colons follow a quote that is no part of a string: a key, or more."""
    return raw.count(b'":') - raw.count(b'\\":')


def _keys_in(value: Any) -> int:
    """Return how many keys all objects of a value have."""
    count, left = 0, [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            count += len(value)
            left += value.values()
        elif isinstance(value, list):
            left += value
    return count
