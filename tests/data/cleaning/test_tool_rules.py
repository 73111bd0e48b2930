"""Declarations: dots and spaces are part of a name, what breaks its line is not."""

import pytest

from chat.conversation import Conversation, Message, Tool
from data.cleaning.tool_rules import distinct_tools, usable_tools
from data.outcomes import Draft, Rejected

TALK = (Message("user", "hello"), Message("assistant", "hi"))


def test_names_with_dots_spaces_or_signs_are_unchanged() -> None:
    names = ["math.add", "Get weather", "a-b", "größe", "v1/items", "f()"]
    said = Conversation(TALK, tuple(map(Tool, names)))
    assert usable_tools(said) == distinct_tools(said) == Draft(said)


def test_tool_without_parameters_is_unchanged() -> None:
    said = Conversation(TALK, (Tool("now", "", {"type": "object", "properties": {}}),))
    assert usable_tools(said).conversation.tools == said.tools


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "a\u2028b"])
def test_tool_name_with_control_characters_is_rejected(name: str) -> None:
    with pytest.raises(Rejected) as raised:
        usable_tools(Conversation(TALK, (Tool("f"), Tool(name))))
    assert (raised.value.rule, raised.value.pointer) == ("unusable-name", "/tools/1/function/name")


def test_dangling_reference_passes_but_malformed_schema_is_rejected() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}
    said = Conversation(TALK, (Tool("f", "", schema),))
    assert usable_tools(said) == Draft(said)  # only a call with `a` would need it
    broken = {"type": "object", "properties": {"a": {"type": "object", "required": "b"}}}
    with pytest.raises(Rejected, match="invalid-schema"):
        usable_tools(Conversation(TALK, (Tool("f", "", broken),)))
