"""Rows are parsed as json.loads parses them, whatever stands in them."""

import json
import random
import struct
from typing import Any

import pytest

from chat.strict_json import lost_in
from data.reading.fast_json import json_value

TEXTS = [
    b"123456789012345678901234567890",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"1" * 400,
    b"1" * 5000,
    b"-0",
    b"-0.0",
    b"0.1234567890123456789",
    b"5e-324",
    b"1e-400",
    b"1e400",
    b"NaN",
    b"[Infinity, -Infinity]",
    b'{"a": 1, "b": 2, "a": 3}',
    b'"\\ud83d\\ude00"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\ud83d\\u0041"',
    '"\ud800"'.encode("utf-8", "surrogatepass"),
    b'"\xff"',
    b'"a\nb"',
    b'"a\x00b"',
    b'"a\x7fb"',
    b'"\\u0000\\/"',
    b"[1,]",
    b"01",
    b"1.",
    b"+1",
    b"1 2",
    b"",
    b"\xef\xbb\xbf1",
    '"x"'.encode("utf-16"),
    b"\xa01",
    b"[" * 500 + b"]" * 500,
    b"{'a': 1}",
]


def outcome(read: Any, text: bytes) -> tuple[str, str]:
    try:
        # repr tells 1 from 1.0, -0.0 from 0.0, and the order of keys.
        return "value", repr(read(text))
    except ValueError as error:
        return "error", f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:24]))
def test_value_or_error_is_that_of_json(text: bytes) -> None:
    assert outcome(json_value, text) == outcome(json.loads, text)


def test_random_numbers_are_read_to_the_last_bit() -> None:
    dice = random.Random(3)
    for _ in range(5000):
        (number,) = struct.unpack("d", dice.randbytes(8))
        text = f"[{number!r}, {number:.{dice.randrange(25)}e}, {dice.randrange(10**40)}]"
        text = text.replace("nan", "NaN").replace("inf", "Infinity")
        assert outcome(json_value, text.encode()) == outcome(json.loads, text.encode())


def test_very_deep_text_is_refused() -> None:
    with pytest.raises(RecursionError):
        json_value(b"[" * 100_000)


LOSING = {
    b'{"a": {"b": 1, "b": 2}}': "the key 'b' stands twice",
    b'[{"a": ": x", "b" : 1, "b" : 2}]': "the key 'b' stands twice",
    b'{"a\\\\": 1, "a\\\\": 2}': "the key 'a\\\\' stands twice",
    b'{"text": "{\\"a\\": 1}", "b": 1, "b": 2}': "the key 'b' stands twice",
    b'{"a": ["\\\\", ": b"], "a":1}': "the key 'a' stands twice",
    b'{"a": 0.123456789012345678}': "the number 0.123456789012345678 has more digits than",
    b'{"a": 1.2345678901234567e5}': "",
    b'{"a": [": b"], "c": "\\":\\\\\\":"}': "",
}


@pytest.mark.parametrize("text", LOSING, ids=lambda text: repr(text[:24]))
def test_what_a_value_loses_is_marked(text: bytes) -> None:
    assert lost_in(json_value(text)).startswith(LOSING[text])
    assert bool(lost_in(json_value(text))) == bool(LOSING[text])
