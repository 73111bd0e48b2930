"""What building would leave out is rejected at cleaning: nothing to learn, nothing to write."""

from dataclasses import replace

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.learnable import check_learnable
from data.outcomes import Rejected

ASKED = Message("user", "What does a call look like inside?")
MENTION = 'It begins with {"recipient_name": "functions.find_tide"} and goes on.'


def talk(*turns: Message) -> Conversation:
    return Conversation((ASKED, *turns), (Tool("find_tide"),))


def rule(conversation: Conversation, chat_format: str | None) -> str | None:
    try:
        check_learnable(conversation, chat_format)
    except Rejected as rejected:
        return rejected.rule
    return None


@pytest.mark.parametrize(
    ("text", "format", "wanted"),
    [
        (MENTION, None, None),
        (MENTION, "llama3", "unwritable"),
        (MENTION, "llama3_short", "unwritable"),
        (MENTION, "qwen3", None),
        ("Ask for the tide.", "llama3", None),
        ("It stands after <functioncall> {", "glaive_text", "unwritable"),
    ],
)
def test_a_turn_is_unwritable_only_in_a_format_that_is_named(
    text: str, format: str | None, wanted: str | None
) -> None:
    assert rule(talk(Message("assistant", text)), format) == wanted


def test_text_beside_a_call_is_unwritable_where_a_format_has_no_place_for_it() -> None:
    call = Message("assistant", "I look it up.", (ToolCall("find_tide", {}),))
    assert rule(talk(call), "llama3_1") == "unwritable"
    assert rule(talk(replace(call, content="")), "llama3_1") is None
    assert rule(talk(call), "llama3") is None


def test_nothing_to_learn_is_rejected_in_every_format() -> None:
    masked = Message("assistant", "A draft.", trained=False)
    assert rule(talk(masked), None) == "nothing-to-learn"
    assert rule(talk(masked, ASKED, Message("assistant", "Better.")), None) is None
