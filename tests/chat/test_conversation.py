"""Conversation records: round trips, and errors that name the place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from chat.conversation import Conversation, Message, Tool, ToolCall

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
CALLS = st.builds(ToolCall, TEXT, OBJECTS, st.none() | TEXT)
ASSISTANTS = st.builds(
    Message,
    st.just("assistant"),
    TEXT,
    st.lists(CALLS, max_size=2).map(tuple),
    trained=st.booleans(),
)
OTHERS = st.builds(
    Message,
    st.sampled_from(["system", "user", "tool"]),
    TEXT,
    name=st.none() | TEXT,
    tool_call_id=st.none() | TEXT,
)
CONVERSATIONS = st.builds(
    Conversation,
    st.lists(ASSISTANTS | OTHERS, max_size=4).map(tuple),
    st.lists(st.builds(Tool, TEXT, TEXT, OBJECTS), max_size=2).map(tuple),
    TEXT,
    TEXT,
    TEXT,
)


@tries(100)
@given(message=ASSISTANTS | OTHERS)
def test_text_of_a_message_is_that_of_its_record(message: Message) -> None:
    record = message.to_record()
    assert message.json_text == json.dumps(record, ensure_ascii=False)
    compact = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert message.sorted_json_text == compact


@tries(100)
@given(conversation=CONVERSATIONS)
def test_record_round_trips_with_its_values_and_key_order(conversation: Conversation) -> None:
    line = json.dumps(conversation.to_record(), ensure_ascii=False)
    read = Conversation.from_record(json.loads(line))
    assert read == conversation
    assert json.dumps(read.to_record(), ensure_ascii=False) == line


USER = {"role": "user", "content": "Hi"}
WRONG: list[tuple[Any, str]] = [
    ([], "a conversation must be an object, found list"),
    ({}, "messages: messages must be a list, found nothing"),
    ({"messages": {}}, "messages must be a list, found dict"),
    ({"messages": ["hi"]}, r"messages\[0\] must be an object, found str"),
    ({"messages": [USER, {"role": "bot"}]}, r"messages\[1\]\.role is 'bot', wanted one of system"),
    ({"messages": [{"role": "user", "content": 3}]}, r"messages\[0\]\.content must be a string"),
    ({"messages": [{**USER, "tool_calls": [{}]}]}, "only an assistant calls tools"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]},
        r"messages\[0\]\.tool_calls\[0\]\.arguments must be an object, found nothing",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{}"}]}]},
        r"tool_calls\[0\]\.arguments must be an object, found str",
    ),
    ({"messages": [USER], "tools": [{}]}, r"tools\[0\]\.name must be a string, found nothing"),
    ({"messages": [USER], "tools": "[]"}, "tools must be a list, found str"),
    (
        {
            "messages": [USER],
            "tools": [{"name": "f", "parameters": []}, {"name": "g", "parameters": [1]}],
        },
        r"tools\[1\]\.parameters must be an object, found list",
    ),
]


@pytest.mark.parametrize(("record", "problem"), WRONG)
def test_malformed_record_raises_an_error_with_the_place(record: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Conversation.from_record(record)


def test_a_mark_of_training_is_true_or_false() -> None:
    record = {"messages": [{"role": "assistant", "content": "Hi", "trained": "no"}]}
    with pytest.raises(ValueError, match=r"trained must be true or false, found \"no\""):
        Conversation.from_record(record)
