"""Fingerprints: what makes two conversations the same, and what only looks different."""

from dataclasses import replace
from typing import Any

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.fingerprints import fingerprint

TOOLS = (Tool("f", "d", {"type": "object", "properties": {}}), Tool("g"))


def calling(*calls: tuple[str, dict[str, Any]], id: str | None = None) -> Conversation:
    made = tuple(ToolCall(name, arguments, id) for name, arguments in calls)
    turns = (Message("user", "hello"), Message("assistant", "", made), Message("tool", "1"))
    return Conversation((*turns, Message("assistant", "It is 1.")), TOOLS)


ONE = fingerprint(calling(("f", {"a": 1, "b": [2.5]}), ("g", {})))


def test_ids_and_orders_do_not_change_the_fingerprint() -> None:
    for same in (
        calling(("f", {"a": 1, "b": [2.5]}), ("g", {}), id="x"),
        calling(("f", {"b": [2.5], "a": 1}), ("g", {})),
        calling(("g", {}), ("f", {"a": 1.0, "b": [2.5]})),
        replace(calling(("f", {"a": 1, "b": [2.5]}), ("g", {})), tools=TOOLS[::-1], id="y"),
    ):
        assert fingerprint(same) == ONE


def test_other_calls_change_the_label_but_not_its_prompt() -> None:
    for other in (
        calling(("f", {"a": 2, "b": [2.5]}), ("g", {})),
        calling(("f", {"a": True, "b": [2.5]}), ("g", {})),
        calling(("g", {})),
    ):
        found = fingerprint(other)
        assert found.tools == ONE.tools and found.messages != ONE.messages
        assert found.meaning != ONE.meaning
        assert found.labels[0].prompt == ONE.labels[0].prompt
        assert found.labels[0].calls != ONE.labels[0].calls


def test_other_tools_change_the_prompt_but_not_the_messages() -> None:
    found = fingerprint(replace(calling(("f", {"a": 1, "b": [2.5]}), ("g", {})), tools=TOOLS[:1]))
    assert found.messages == ONE.messages and found.tools != ONE.tools
    assert found.labels[0].prompt != ONE.labels[0].prompt


def test_turn_boundaries_change_the_fingerprint() -> None:
    first = Conversation((Message("user", "a"), Message("assistant", "b")))
    second = Conversation((Message("user", "a\x00assistant\x00b"),))
    assert fingerprint(first).messages != fingerprint(second).messages
