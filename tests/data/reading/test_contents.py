"""What a turn says, in parts of several kinds."""

from typing import Any

import pytest

from data.outcomes import Rejected
from data.reading.contents import read_content, result_text


def test_parts_are_told_apart_and_keep_their_places() -> None:
    call = {"name": "f", "arguments": {}}
    parts = read_content(
        [
            {"type": "thinking", "thinking": "Hm."},
            {"type": "text", "text": "a"},
            "b",
            {"type": "tool_call", "value": "{}"},
            {"type": "tool_use", **call},
        ],
        "/content",
    )
    assert (parts.text, parts.reasoning) == ("ab", ("Hm.",))
    assert parts.calls == (("/content/3", "{}"), ("/content/4", call))


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (5, "/content"),
        ([5], "/content/0"),
        ([{"type": "text", "text": 5}], "/content/0"),
        ([{"type": "image"}], "/content/0"),
        ([{"type": {"a": 1}}], "/content/0"),
    ],
)
def test_content_that_is_no_text_is_rejected(value: Any, where: str) -> None:
    with pytest.raises(Rejected) as raised:
        read_content(value, "/content")
    assert raised.value.pointer == where


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("a", "a"),
        (5, "5"),
        ({"é": None}, '{"é": null}'),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "text", "size": 1}], '[{"type": "text", "size": 1}]'),
        ([], "[]"),
    ],
)
def test_a_result_is_text_or_becomes_json(value: Any, text: str) -> None:
    assert result_text(value) == text
