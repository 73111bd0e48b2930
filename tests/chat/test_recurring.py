"""The cache by JSON value: equal JSON is read once, different JSON separately."""

from types import MappingProxyType
from typing import Any

import pytest

from chat.conversation import Conversation
from chat.recurring import read_once
from chat.schemas.validation import read_tool


def test_equal_values_are_read_once_and_give_the_same_object() -> None:
    seen = []

    @read_once
    def read(value: Any) -> list[Any]:
        seen.append(value)
        return [value]

    # The same text as two objects: a constant, and a string made at run time.
    first, second = {"a": ["name", "name"]}, {"a": ["na" + "me"[:2], "".join(("na", "me"))]}
    assert read(first) is read(second)
    assert seen == [first]


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (1, 1.0), (0.0, -0.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ("1", 1), ([], {})],
)
def test_values_whose_json_differs_are_read_separately(one: Any, other: Any) -> None:
    read = read_once(repr)
    assert (read([one]), read([other])) == (repr([one]), repr([other]))
    assert read([one]) != read([other])


def test_error_is_raised_on_every_call() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="a tool must be an object, found 3"):
            read_tool(3)


def test_values_without_a_cache_key_are_still_read() -> None:
    tool = MappingProxyType({"name": "f", "parameters": MappingProxyType({})})
    assert read_tool(tool).name == "f"
    deep: list[Any] = []
    for _ in range(3_000):
        deep = [deep]
    assert read_once(len)(deep) == 1


def test_conversations_with_equal_declarations_share_the_tool() -> None:
    record = {"messages": [], "tools": [{"type": "function", "function": {"name": "f"}}]}
    other = {"messages": [], "tools": [{"name": "g"}, *record["tools"]]}
    first, second = Conversation.from_record(record), Conversation.from_record(other)
    assert second.tools[1] is first.tools[0]
