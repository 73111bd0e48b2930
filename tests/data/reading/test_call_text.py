"""Calls as data sets write them: read to the letter, or refused; nothing is evaluated."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.reading.call_text import read_call, read_calls

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(), JSON, max_size=4)


def arguments(text: str) -> dict[str, Any]:
    return dict(read_call(text).call.arguments)


@given(ARGUMENTS)
def test_arguments_are_equal_in_every_written_form(wanted: dict[str, Any]) -> None:
    text = json.dumps(wanted, ensure_ascii=False)
    forms = {
        "object": f'{{"name": "f", "arguments": {text}}}',
        "string": json.dumps({"name": "f", "arguments": text}),
        "encoded twice": json.dumps({"name": "f", "arguments": json.dumps(text)}),
        "single quotes": f"""{{"name": "f", "arguments": '{text}'}}""",
        "arguments first": f"""{{"arguments": '{text}', "name": "f"}}""",
        "parameters": f'{{"name": "f", "parameters": {text}}}',
    }
    for form, call in forms.items():
        read = read_call(call)
        assert json.dumps(read.call.arguments) == json.dumps(wanted), form
        assert read.call.name == "f"
        assert read.mended == (form == "encoded twice"), form


@pytest.mark.parametrize(
    ("quoted", "wanted", "mended"),
    [
        ('{"text": "it\'s John\'s"}', {"text": "it's John's"}, False),
        ('{"text": "two\nlines\tand a tab"}', {"text": "two\nlines\tand a tab"}, False),
        (r'{"text": "two\nlines"}', {"text": "two\nlines"}, False),
        (r'{"text": "a \"word\""}', {"text": 'a "word"'}, False),
        (r'{"text": "it\'s a \"word\""}', {"text": 'it\'s a "word"'}, True),
        (r"{\"text\": \"it\'s\"}", {"text": "it's"}, True),
        (r'{"text": "a \\"word\\""}', {"text": 'a "word"'}, True),
        (r"{\n  \"a\": 1\n}", {"a": 1}, True),
        ('{"end": "\'}"}', {"end": "'}"}, False),
        ("{}", {}, False),
        ("", {}, True),
    ],
)
def test_single_quoted_arguments_keep_apostrophes_newlines_and_escapes(
    quoted: str, wanted: dict[str, Any], mended: bool
) -> None:
    read = read_call(f"""{{"name": "f", "arguments": '{quoted}'}}""")
    assert read.call.arguments == wanted
    assert read.mended is mended


def test_a_call_without_arguments_has_none_and_counts_as_mended() -> None:
    assert read_call('{"name": "now"}').call.arguments == {}
    assert read_call('{"name": "now"}').mended
    assert not read_call('{"name": "now", "arguments": {}}').mended


def test_key_order_and_number_types_are_kept() -> None:
    text = '{"name": "f", "arguments": {"z": 1, "a": 1.0, "m": 12345678901234567890}}'
    assert json.dumps(arguments(text)) == '{"z": 1, "a": 1.0, "m": 12345678901234567890}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "f", "arguments": [1]}', "must be an object, found a list"),
        ('{"name": "f", "arguments": null}', "must be an object, found null"),
        ('{"name": "f", "arguments": "[1]"}', "must be an object, found a list"),
        ("""{"name": "f", "arguments": 'null'}""", "must be an object, found null"),
        ("""{"name": "f", "arguments": '[]'}""", "must be an object, found a list"),
        ('{"name": "f", "arguments": {"a": NaN}}', "NaN is no JSON"),
        ("""{"name": "f", "arguments": '{"a": -Infinity}'}""", "-Infinity is no JSON"),
        ("""{"name": "f", "arguments": '{"a": 1e999}'}""", "1e999 is not a finite"),
        ("""{"name": "f", "arguments": '{"a": "\\x41"}'}""", "Invalid .*escape"),
        ("""{"name": "f", "arguments": '{"a": 1}'}}""", "the call is not JSON"),
        ("""{"name": "f", "arguments": '{"a": 1}}'}""", "Extra data"),
        ("""{{"name": "f", "arguments": '{"a": 1}'}""", "the call is not JSON"),
        ("""{"name": "f", "arguments": '{"a": 1}'} Done.""", "the call is not JSON"),
        ("""{"name": "f", "arguments": '{"a": "cut""", "the call is not JSON"),
        ("""{"name": "f", "arguments": '{"a": '}""", "Expecting value"),
        ("""{"name": "f", "arguments": '{"a": 1, "a": 2}'}""", "'a' stands twice"),
        ("""{'name': 'f', 'arguments': {'a'}}""", "the call is not JSON"),
        ("""{'name': 'f', 'arguments': {'a': nan}}""", "the call is not JSON"),
        ('{"name": "f", "arguments": {}, "parameters": {}}', "both arguments and parameters"),
        ('{"name": "f", "arguments": {}, "why": 1}', "found 'why' too"),
        ('{"arguments": {}}', "name must be a string, found null"),
        ('{"name": 5, "arguments": {}}', "name must be a string, found a number"),
        ('{"name": "", "arguments": {}}', "name must be a string"),
        ('"f"', "a call must be an object, found a string"),
        ("", "the call is not JSON"),
        ('{"name": "f", "arguments": ' + "[" * 100_000, "nested too deeply"),
        ("""{"name": "f", "arguments": '""" + '{"a":' * 50_000 + "'}", "nested too deeply"),
        ("""{"name": "f", "arguments": __import__('os').getcwd()}""", "the call is not JSON"),
    ],
)
def test_unreadable_call_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_call(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('{"type": "function", "function": {"name": "f", "arguments": "{\\"a\\": 1}"}}', None),
        (
            '{"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}',
            "c1",
        ),
        ('{"id": 7, "name": "f", "parameters": {"a": 1}, "arguments": null}', "7"),
        ('{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}', "c1"),
        ('{"function": "f", "args": {"a": 1}}', None),
    ],
)
def test_a_call_may_be_wrapped_and_have_an_id(text: str, number: str | None) -> None:
    read = read_call(text)
    assert (read.call.name, dict(read.call.arguments), read.call.id) == ("f", {"a": 1}, number)
    assert not read.mended


@pytest.mark.parametrize(
    "text",
    [
        """{'name': 'f', 'arguments': {'a': "it's", 'b': None, 'c': (1, True)}}""",
        """{"name": "f", "arguments": {"a": "it's", "b": None, "c": [1, True]}}""",
        """{"name": "f", "arguments": "{'a': \\"it's\\", 'b': None, 'c': [1, True]}"}""",
    ],
)
def test_python_literals_are_read_and_count_as_mended(text: str) -> None:
    read = read_call(text)
    assert read.call.arguments == {"a": "it's", "b": None, "c": [1, True]}
    assert read.mended


def test_calls_may_stand_one_after_the_other() -> None:
    calls = read_calls('{"name": "f", "arguments": {}}\n{"name": "g", "arguments": {}}')
    assert [read.call.name for read in calls] == ["f", "g"]
    calls = read_calls("[{'name': 'f', 'arguments': {}}, {'name': 'g', 'arguments': {}}]")
    assert [(read.call.name, read.mended) for read in calls] == [("f", True), ("g", True)]
    with pytest.raises(ValueError, match="the call is not JSON"):
        read_calls('{"name": "f", "arguments": {}}\n{"name": "g"')


def test_a_list_of_calls_is_one_turn_with_several() -> None:
    calls = read_calls('[{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]')
    assert [read.call.name for read in calls] == ["f", "g"]
    with pytest.raises(ValueError, match="the list of calls is empty"):
        read_calls("[]")
