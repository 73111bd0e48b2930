"""Declarations: dots and spaces are part of a name, what breaks its line is not."""

import pytest

from chat.conversation import Conversation, Message, Tool
from data.cleaning.tool_rules import distinct_tools, usable_tools
from data.outcomes import Draft, Rejected

TALK = (Message("user", "hello"), Message("assistant", "hi"))


def test_names_with_dots_spaces_and_other_signs_stay_as_they_are() -> None:
    names = ["math.add", "Get weather", "a-b", "größe", "v1/items", "f()"]
    said = Conversation(TALK, tuple(map(Tool, names)))
    assert usable_tools(said) == distinct_tools(said) == Draft(said)


def test_a_tool_without_parameters_stays() -> None:
    said = Conversation(TALK, (Tool("now", "", {"type": "object", "properties": {}}),))
    assert usable_tools(said).conversation.tools == said.tools


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "a\u2028b"])
def test_a_name_that_would_break_its_line_is_rejected(name: str) -> None:
    with pytest.raises(Rejected) as raised:
        usable_tools(Conversation(TALK, (Tool("f"), Tool(name))))
    assert (raised.value.rule, raised.value.pointer) == ("unusable-name", "/tools/1/function/name")


def test_a_reference_that_leads_nowhere_makes_a_schema_unusable() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}
    said = Conversation(TALK, (Tool("f", "", schema),))
    assert usable_tools(said) == Draft(said)  # only a call with `a` would need it
    broken = {"type": "object", "properties": {"a": {"type": "object", "required": "b"}}}
    with pytest.raises(Rejected, match="invalid-schema"):
        usable_tools(Conversation(TALK, (Tool("f", "", broken),)))
