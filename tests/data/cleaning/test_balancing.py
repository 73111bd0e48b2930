"""Balancing: cuts at questions and calls in the original's proportions, by the seed alone."""

from collections import Counter

import pytest

from chat.conversation import Conversation, Message, ToolCall
from data.cleaning.balancing import balance

CALL = Message("assistant", "", (ToolCall("f", {}),))
RESULT = Message("tool", "1")


def conversation(*turns: str | Message, number: int = 0) -> Conversation:
    """Turns of text alternate between user and assistant."""
    roles = ("user", "assistant")
    messages = [Message("user", f"hello {number}"), Message("assistant", "hi")]
    for i, turn in enumerate(turns):
        messages.append(turn if isinstance(turn, Message) else Message(roles[i % 2], turn))
    return Conversation(tuple(messages))


@pytest.mark.parametrize(
    "ending",
    [
        "You're welcome! If you have other questions, feel free to ask.",
        "You\u2019re welcome.",
        "Great choice! Feel free to ask for more.",
        "I'm sorry, but I cannot book flights.",
        "I apologize for that.",
    ],
)
def test_last_exchange_of_thanks_or_apology_is_cut_off(ending: str) -> None:
    draft = balance(conversation("thanks", ending), seed=3)
    assert draft.conversation == conversation()
    (change,) = draft.changes
    assert (change.rule, change.pointer, change.after) == ("weak-ending", "/messages/2", [])
    assert change.before[1]["content"] == ending


def test_other_endings_and_short_conversations_are_unchanged() -> None:
    useful = conversation("and now?", "It is noon. Feel free to ask again.")
    assert balance(useful, seed=3).conversation == useful
    short = Conversation((Message("user", "fly"), Message("assistant", "I'm sorry, I cannot.")))
    assert balance(short, seed=3).conversation == short


def test_endings_have_the_proportions_of_the_original_project() -> None:
    endings: Counter[str] = Counter()
    for number in range(2000):
        whole = conversation("add", "Which numbers?", "1, 2", CALL, RESULT, "3", number=number)
        whole = Conversation((*whole.messages[:-1], Message("assistant", "It is 3.")))
        draft = balance(whole, seed=3)
        messages = draft.conversation.messages
        assert messages == whole.messages[: len(messages)] and messages[-1].role == "assistant"
        rules = [change.rule for change in draft.changes]
        endings[rules[0] if rules else "whole"] += 1
        if rules == ["ending-at-question"]:
            assert messages[-1].content == "Which numbers?"
        elif rules == ["ending-at-call"]:
            assert messages[-1].tool_calls
    assert endings["whole"] == pytest.approx(800, abs=80)
    assert endings["ending-at-question"] == pytest.approx(600, abs=80)
    assert endings["ending-at-call"] == pytest.approx(600, abs=80)


def test_ending_depends_on_seed_and_conversation_alone() -> None:
    rows = [conversation("add", CALL, RESULT, CALL, number=number) for number in range(50)]
    ends = [len(balance(row, 3).conversation.messages) for row in rows]
    assert ends[::-1] == [len(balance(row, 3).conversation.messages) for row in reversed(rows)]
    assert ends != [len(balance(row, 4).conversation.messages) for row in rows]
    assert set(ends) == {4, 6}


def test_conversations_without_calls_are_not_cut_by_chance() -> None:
    for number in range(50):
        row = conversation("why?", "Which one do you mean?", "that", "Because.", number=number)
        assert balance(row, 3).changes == ()
