"""What a model thought is told from what it answers."""

import pytest

from data.reading.thoughts import format_thoughts, split_thoughts


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("<think>Hm.</think>\nHello.", ("Hm.",), "Hello."),
        ("<think>\n\n</think>\n\nHello.", ("\n\n",), "Hello."),
        ("<thinking>Hm.</thinking> Hello.", ("Hm.",), "Hello."),
        ("[THINK]Hm.[/THINK]Hello.", ("Hm.",), "Hello."),
        ("<|begin_of_thought|>Hm.<|end_of_thought|>\n\nHello.", ("Hm.",), "Hello."),
        ("Hm.\n</think>\n\nHello.", ("Hm.\n",), "Hello."),
        ("<think>A.</think><think>B.</think>Hello.", ("A.", "B."), "Hello."),
        ("One.\n<think>Hm.</think>\nTwo.", ("Hm.",), "One.\n\nTwo."),
        ("<think>`</think>` ends it.</think>Hello.", ("`",), "` ends it.</think>Hello."),
    ],
)
def test_thoughts_are_told_from_an_answer(
    text: str, thoughts: tuple[str, ...], answer: str
) -> None:
    found = split_thoughts(text)
    assert (found.thoughts, found.answer, found.ends) == (thoughts, answer, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello.",
        "The mark <think> opens a thought, and </think> ends it.",
        "<think> is how a thought begins.",
        "A thought ends with </think>",
        "```\n<think>\nHm.\n</think>\nHello.\n```",
        "Models write <think>their thoughts</think> before an answer.",
    ],
)
def test_text_about_the_marks_stays_text(text: str) -> None:
    found = split_thoughts(text)
    assert (found.thoughts, found.answer) == ((), text)


@pytest.mark.parametrize("text", ["<think>\nI should", "<think>Okay, the user"])
def test_a_thought_without_an_end_answers_nothing(text: str) -> None:
    found = split_thoughts(text)
    assert found.thoughts and not found.ends and not found.answer


def test_thoughts_are_written_in_one_way() -> None:
    assert format_thoughts(("A. ", "", "\nB.")) == "<think>\nA.\n\nB.\n</think>\n\n"
    assert format_thoughts((" ",)) == ""
