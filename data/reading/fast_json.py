"""JSON text of rows to values, as json.loads reads it, with marks on what reading loses."""

from typing import Any

from chat.strict_json import read_marked

# Digits and points as 0, all other bytes as blanks: a long number is then a long run of 0.
_DIGITS = bytes(ord("0") if byte in b"0123456789." else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * 16
# What stands after a key before its colon, where JSON is set out: no text of a string has these.
_CONTROLS = (b"\t", b"\n", b"\r")


def json_value(raw: bytes) -> Any:
    """Return what json.loads returns, and raise what it raises, in a third of the time.

    What a value loses of its text, a repeated key or digits, is marked for `lost_in`; but not in
    an object of texts alone, which is no call.
    """
    # Not at the top: a GPU machine without pydantic imports this module's neighbours too.
    from pydantic_core import from_json

    try:
        value = from_json(raw, cache_strings="keys")
    except ValueError:
        # Half a surrogate pair is none for the faster reader, nor is very deep nesting.
        return read_marked(raw)
    if type(value) is dict and all([type(member) is str for member in value.values()]):
        return value
    kept = _LONG_NUMBER not in raw.translate(_DIGITS) and not _has_unusual_key(raw)
    return value if kept and _colons(raw) == _keys_in(value) else read_marked(raw)


def _has_unusual_key(raw: bytes) -> bool:
    """Whether a key may stand that `_colons` does not see: before a blank, after a backslash."""
    # Single bytes are found thirty times as fast as two or more.
    return (
        b'" :' in raw
        or (b"\\" in raw and b'\\\\"' in raw)
        or any([control in raw and b'"' + control + b":" in raw for control in _CONTROLS])
    )


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
