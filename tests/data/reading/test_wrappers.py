"""Files of objects that are no JSON Lines."""

import pytest

from data.reading.wrappers import after_wrapper, goes_over_lines


@pytest.mark.parametrize(
    "head",
    [
        '{"type": "conversation", "instances": [{',
        '{"instances":[ {"a": 1}]}',
        ' {\n "n": -1.5e3, "a": "}", "ok": true, "data": [\n {',
        '{\n  "messages": [\n    {',
        '{"messages": [\n {"role":',
    ],
)
def test_wrapped_rows_and_multiline_objects_are_recognised(head: str) -> None:
    assert goes_over_lines(head)


@pytest.mark.parametrize(
    "head",
    [
        "",
        '{"a": 1}',
        '{"a": 1}\n{"a": 2}\n',
        '{"a": [\n{"a": 2}\n',
        '{"instances": []}',
        '{"data": [1, 2]}',
        '{"messages": [{"data": [{"a": 1}]}]}',
        '{"messages": [], "data": [{"a": 1}]}',
        '{"a": "\\"data\\": [{"}',
    ],
)
def test_json_lines_are_not_taken_for_wrapped_rows(head: str) -> None:
    assert not goes_over_lines(head)


def test_after_wrapper_returns_where_the_rows_begin() -> None:
    text = '{"type": "a", "instances": [{"b": 1}]}'
    assert text[after_wrapper(text) :] == '{"b": 1}]}'
    assert after_wrapper("x" + text, 1) == after_wrapper(text) + 1
    assert after_wrapper('{"a": 1}') is None
