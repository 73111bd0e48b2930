"""Earlier conversations: the same, the same but for tools, otherwise labelled, nearly the same."""

from contextlib import closing
from dataclasses import replace

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.fingerprints import fingerprint
from data.cleaning.repetition import EarlierConversations

LONG = " ".join(f"word{i}" for i in range(80))


def conversation(number: int = 0, text: str = LONG, value: object = 1) -> Conversation:
    return Conversation(
        (
            Message("user", f"number {number}: {text}"),
            Message("assistant", "", (ToolCall("f", {"a": value}),)),
            Message("tool", "fine"),
            Message("assistant", "It is done."),
        ),
        (Tool("f"),),
    )


def found(*conversations: Conversation) -> list[tuple[str, int] | None]:
    with closing(EarlierConversations()) as earlier:
        matches = [earlier.find(fingerprint(c), row) for row, c in enumerate(conversations)]
    return [match and (match.rule, match.row) for match in matches]


def test_first_of_several_copies_stays() -> None:
    one, two = conversation(1), conversation(2)
    assert found(one, two, one, two, one) == [
        None,
        None,
        ("duplicate", 0),
        ("duplicate", 1),
        ("duplicate", 0),
    ]


def test_copy_with_other_tools_has_its_own_rule() -> None:
    other = replace(conversation(), tools=(Tool("f", "Other words"),))
    assert found(conversation(), other) == [None, ("duplicate-other-tools", 0)]


def test_other_calls_after_the_same_turns_are_contradictory() -> None:
    assert found(conversation(), conversation(value=2)) == [None, ("contradictory-labels", 0)]
    later = [
        Conversation(
            (*conversation().messages, Message("user", "again"), *end), conversation().tools
        )
        for end in (
            [Message("assistant", "", (ToolCall("f", {"a": 1}),))],
            [Message("assistant", "", (ToolCall("f", {"a": 3}),))],
        )
    ]
    assert found(*later) == [None, ("contradictory-labels", 0)]


def test_other_calls_are_allowed_after_other_tools_or_turns() -> None:
    elsewhere = replace(conversation(value=2), tools=(Tool("f"), Tool("g")))
    assert found(conversation(), elsewhere, conversation(7, value=2)) == [None] * 3


@pytest.mark.parametrize(
    "text",
    [LONG.upper(), LONG.replace(" ", ",\n "), LONG.replace("word7 ", "wird7 "), LONG + " Thanks!"],
)
def test_copy_with_changed_case_or_one_word_is_near_duplicate(text: str) -> None:
    assert found(conversation(), conversation(text=text)) == [None, ("near-duplicate", 0)]


def test_other_numbers_calls_or_many_words_are_no_duplicate() -> None:
    others = [
        conversation(1),
        conversation(text=LONG.replace("word7 ", "word777 ")),
        conversation(text=LONG + " And more.", value=2),
        conversation(text=LONG.replace("d", "t")),
    ]
    assert found(conversation(), *others) == [None] * 5


def test_short_conversations_are_near_only_with_the_same_words() -> None:
    texts = ["Rome, please", "rome please!", "Paris, please", "Rome"]
    assert found(*(conversation(text=text) for text in texts)) == [
        None,
        ("near-duplicate", 0),
        None,
        None,
    ]


def test_copy_is_found_after_ten_thousand_rows() -> None:
    rows = [conversation(number, text=f"text {number}") for number in range(10_000)]
    assert found(*rows, rows[17])[-1] == ("duplicate", 17)


@pytest.mark.long
def test_conversation_may_have_more_calls_than_sqlite_takes_values() -> None:
    turn = (Message("assistant", "", (ToolCall("f", {}),)), Message("tool", "1"))
    one = Conversation((Message("user", "Count."), *turn * 140_000), (Tool("f"),))
    assert found(one, conversation(1), one, conversation(1)) == [
        None,
        None,
        ("duplicate", 0),
        ("duplicate", 1),
    ]
