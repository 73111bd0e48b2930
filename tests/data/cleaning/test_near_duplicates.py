"""Near duplicates: no system text makes two rows alike, and other answers make them others."""

from contextlib import closing
from dataclasses import replace

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.fingerprints import fingerprint
from data.cleaning.repetition import EarlierConversations

POLICY = "You answer at the garden's desk. " + " ".join(
    f"rule{chr(97 + i % 26)}" for i in range(300)
)
FRAME = " ".join(f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(150))
TOOLS = (Tool("book_bed"),)
QUESTIONS = (
    "May I bring my dog on Sundays?",
    "Where do I pay the yearly fee?",
    "Who has the key of the shed?",
    "Is there a tap near the pond?",
    "Which plants are left over today?",
    "How loud may the radio be?",
)
ANSWER = "It is open from seven until sunset, and the gate is locked after that without exception."


def talk(question: str, answer: str = ANSWER, system: str = POLICY) -> Conversation:
    turns = (Message("user", question), Message("assistant", answer))
    return Conversation((Message("system", system), *turns), TOOLS)


def calling(question: str, result: str = "done", system: str = POLICY) -> Conversation:
    made = Message("assistant", "", (ToolCall("book_bed", {}),))
    turns = (Message("user", question), made, Message("tool", result))
    return Conversation((Message("system", system), *turns, Message("assistant", "Done.")), TOOLS)


def rules(*conversations: Conversation, **settings: str) -> list[str | None]:
    with closing(EarlierConversations(**settings)) as earlier:
        found = [earlier.find(fingerprint(c), row) for row, c in enumerate(conversations)]
    return [match and match.rule for match in found]


@pytest.mark.parametrize("make", [talk, calling])
def test_questions_under_one_system_text_are_no_duplicates(make: object) -> None:
    assert rules(*map(make, QUESTIONS)) == [None] * 6  # type: ignore[call-overload]


def test_questions_to_one_long_result_are_no_duplicates() -> None:
    assert rules(*(calling(question, result=FRAME) for question in QUESTIONS)) == [None] * 6


def test_requests_in_one_long_template_are_no_duplicates() -> None:
    framed = [f"{FRAME} {question} {FRAME}" for question in QUESTIONS]
    assert rules(*map(calling, framed)) == [None] * 6
    assert rules(*map(talk, framed)) == [None] * 6


def test_other_answers_without_calls_are_no_duplicates() -> None:
    answers = ("Yes, on a lead.", "No, dogs stay at home.", "Ask the warden first, please.")
    assert rules(*(talk(FRAME, answer) for answer in answers)) == [None] * 3


def test_one_word_of_many_leaves_a_near_duplicate() -> None:
    long = f"{FRAME} Where is it?"
    changed = long.replace("wordba", "spade")
    for make in (talk, calling):
        assert rules(make(long), make(changed)) == [None, "near-duplicate"]
    assert rules(talk(QUESTIONS[0], FRAME), talk(QUESTIONS[0], FRAME + " Bye.")) == [
        None,
        "near-duplicate",
    ]


def test_another_system_text_is_another_conversation() -> None:
    assert rules(talk(FRAME), talk(FRAME + " Thanks.", system="Speak like a pirate.")) == [None] * 2
    nearly = POLICY.replace("rulec", "rulecc", 1)
    assert rules(talk(FRAME), talk(FRAME, system=nearly)) == [None, "near-duplicate"]


def test_other_turns_to_learn_are_another_conversation() -> None:
    whole = talk(FRAME)
    masked = tuple(replace(message, trained=False) for message in whole.messages)
    assert rules(whole, replace(whole, messages=masked)) == [None, None]


def test_switches_keep_near_and_exact_copies() -> None:
    other = replace(talk(FRAME), tools=(Tool("find_tide"),))
    rows = (talk(FRAME), talk(FRAME + " Thanks."), talk(FRAME), other)
    assert rules(*rows) == [None, "near-duplicate", "duplicate", "duplicate-other-tools"]
    exact = [None, None, "duplicate", "duplicate-other-tools"]
    assert rules(*rows, duplicates="exact") == exact
    assert rules(*rows, duplicates="keep") == [None] * 4


def test_turns_without_any_tool_are_another_conversation() -> None:
    long = talk(FRAME, FRAME)
    assert rules(long, replace(long, tools=())) == [None, None]
    assert rules(replace(long, tools=()), replace(long, tools=())) == [None, "duplicate"]


def test_contradictions_are_kept_with_the_switch() -> None:
    made = (Message("assistant", "", (ToolCall("book_bed", {"bed": bed}),)) for bed in range(3))
    rows = [Conversation((Message("user", "Any bed."), turn), TOOLS) for turn in made]
    assert rules(*rows) == [None, "contradictory-labels", "contradictory-labels"]
    assert rules(*rows, contradictions="keep") == [None] * 3
