"""Half-written JSON: names that come twice and numbers too long are seen at once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from inference.constrain.json_text import JsonText

NAMES = st.text(max_size=3)
INTEGERS = st.integers(-(2**70), 2**70)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | INTEGERS.map(lambda number: number / 7e9) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@tries(200)
@given(value=st.dictionaries(NAMES, VALUES), cut=st.integers(0, 400))
def test_ordinary_json_is_never_wrong_and_leaves_nothing_open(value: object, cut: int) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    place = JsonText().feed(text[:cut])
    rest = place.copy().feed(text[cut:])
    assert not place.wrong
    assert (rest.names, rest.string, rest.wrong) == ([], None, False)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a"',
        '{"a": {"b": 1}, "c": [{"a": 1, "b": {}, "a"',
        '{"a\\"": 1, "a\\""',
        "[1e100",
        "[-0.5e-123",
        "[" + "9" * 201,
        "[" + "9" * 201 + ", 1]",
    ],
)
def test_a_name_twice_and_a_number_too_long_are_wrong(text: str) -> None:
    assert JsonText().feed(text.encode()).wrong
    assert not JsonText().feed(text[:-1].rstrip("9").encode()).wrong or text.endswith("]")


@pytest.mark.parametrize(
    "text",
    ['{"a": {"a": 1}}', '[{"a": 1}, {"a": 1}]', '{"a": "a", "b": "a"}', "[1e99, 0.1234, -2E+10]"],
)
def test_the_same_word_elsewhere_is_no_repetition(text: str) -> None:
    assert not JsonText().feed(text.encode()).wrong


def test_a_name_that_is_taken_is_known_before_it_ends() -> None:
    place = JsonText().feed(b'{"ab": 1, "a')
    assert not place.takes_name
    assert place.feed(b"b").takes_name


def test_text_around_the_json_is_skipped() -> None:
    assert JsonText().feed(b'say "x, {"a": 1} and "a" {"a": 2}').names == []
