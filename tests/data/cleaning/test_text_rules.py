"""Texts: invisible characters and end marks are taken off, everything else is what was said."""

import pytest

from chat.conversation import Conversation, Message, ToolCall
from data.cleaning.text_rules import visible_text, writable_text
from data.outcomes import Draft, Rejected

USER = Message("user", "hello")


@pytest.mark.parametrize(
    "text",
    [
        "Tabs\tand\r\nline\nends stay.",
        "The mark <|endoftext|> ends a text, <|im_end|> a turn.",
        "<|eot_id|> is a token",
        "astral 🎉 \u200d joiners, \u202e marks of direction, \ufeff",
        "USER: hello\n\n\nASSISTANT: hi",
        "Crossed out: <s>this</s>",
    ],
)
def test_visible_text_is_unchanged(text: str) -> None:
    said = Conversation((Message("user", text), Message("assistant", text)))
    assert visible_text(said) == writable_text(said) == Draft(said)


def test_control_characters_are_removed_except_in_results_and_arguments() -> None:
    said = Conversation(
        (
            Message("user", "a\x00b\x1b[1m"),
            Message("assistant", "", (ToolCall("f", {"a": "\x07"}),)),
            Message("tool", "\x1b[31mred\x1b[0m"),
            Message("assistant", "c\x08d"),
        )
    )
    draft = visible_text(said)
    contents = [message.content for message in draft.conversation.messages]
    assert contents == ["ab[1m", "", "\x1b[31mred\x1b[0m", "cd"]
    assert draft.conversation.messages[1] == said.messages[1]
    assert [(c.rule, c.pointer, c.before) for c in draft.changes] == [
        ("control-characters", "/messages/0/content", "a\x00b\x1b[1m"),
        ("control-characters", "/messages/3/content", "c\x08d"),
    ]


@pytest.mark.parametrize("mark", ["<|endoftext|>", "<|eot_id|>", " <|im_end|>\n", "</s></s>"])
def test_end_mark_is_removed_from_answers_only(mark: str) -> None:
    said = Conversation((Message("user", "x" + mark), Message("assistant", "It is so." + mark)))
    draft = visible_text(said)
    assert [m.content for m in draft.conversation.messages] == ["x" + mark, "It is so."]
    (change,) = draft.changes
    assert (change.rule, change.after) == ("end-mark", "It is so.")


def test_lone_surrogate_is_rejected_with_its_place() -> None:
    said = Conversation((USER, Message("assistant", "a\ud800")))
    with pytest.raises(Rejected) as raised:
        writable_text(said)
    assert (raised.value.rule, raised.value.pointer) == ("invalid-text", "/messages/1")
