"""Python literals are read to the letter; what is no literal is refused, and nothing is run."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.reading.python_text import read_call_expressions, read_literal

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_repr_and_json_texts_are_read_back(value: Any) -> None:
    assert repr(read_literal(repr(value))) == repr(value)
    assert json.dumps(read_literal(json.dumps(value))) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(1, 2,)", [1, 2]),
        ("()", []),
        ("(1)", 1),
        ("(1,)", [1]),
        ("[(1, 'a'), ('b',)]", [[1, "a"], ["b"]]),
        ("'a' \"b\"", "ab"),
        (r"'\x41\u00e9\U0001F389\101\d'", "Aé🎉A\\d"),
        (r"r'\d'", "\\d"),
        ("'two\nlines'", "two\nlines"),
        ("1_000", 1000),
        ("-.5e1", -5.0),
        (" {'a' : [ true , null ] } ", {"a": [True, None]}),
    ],
)
def test_literals_may_be_written_in_other_ways(text: str, value: Any) -> None:
    assert read_literal(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("__import__('os').getcwd()", "no literal: __import__"),
        ("[x for x in 'a']", "no literal: x"),
        ("{'a'}", "wanted ':'"),
        ("{1: 2}", "a key must be text, found 1"),
        ("{'a': 1, 'a': 2}", "the key 'a' stands twice"),
        ("nan", "no literal: nan"),
        ("1e999", "1e999 is not a finite number"),
        ("1 + 1", "wanted|no Python literal"),
        ("'cut", "no Python literal"),
        ("[1, 2", "wanted ','"),
        ("{'a': ", "no literal: the text ends"),
        ("", "no literal: the text ends"),
        ("f'{a}'", "no literal: f"),
        ("b'a'", "no literal: b"),
        ("[" * 100_000, "nested too deeply"),
        (r"'\UFFFFFFFF'", "no such character"),
    ],
)
def test_text_that_is_no_literal_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_literal(text)


def test_calls_are_read_with_their_arguments() -> None:
    text = "[shop.find(place='Rome', open=true, tags=['a', (1, 2)]), now()]"
    assert read_call_expressions(text) == [
        ("shop.find", {"place": "Rome", "open": True, "tags": ["a", [1, 2]]}),
        ("now", {}),
    ]
    assert read_call_expressions("f(a=1)") == [("f", {"a": 1})]


@pytest.mark.parametrize("text", ["f(1)", "f(a=b)", "f(a=1, a=2)", "f(a=1", "f", "f(a=1) or g()"])
def test_calls_with_unnamed_or_computed_arguments_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_call_expressions(text)
