import re

import pytest

from demo.making.text.choices import choice_conversation, draw_aims, plain_choice
from demo.making.text.lexicon import SEEN
from demo.making.text.names import Words
from synthesis.dice import Dice


def drawn(make, count=200):
    return [make(Words(Dice("choices", index), SEEN)) for index in range(count)]


def answered(system, reply):
    """The names in a reply, read by the pattern that the system text shows."""
    shown = re.match("Answer as (.*)\\.\n", system)[1]
    pattern = re.escape(shown).replace("name", "(.+)")
    return [re.fullmatch(pattern, line)[1] for line in reply.splitlines()]


@pytest.mark.parametrize("make", [choice_conversation, plain_choice])
def test_every_answer_is_a_name_that_was_shown(make):
    for conversation in drawn(make):
        system, *turns = [message.content for message in conversation.messages]
        shown = system.partition("\n")[2]
        assert all(name in shown for reply in turns[1::2] for name in answered(system, reply))


def test_a_list_gets_many_questions_for_one_to_three_names():
    counts = []
    for conversation in drawn(choice_conversation):
        system, *turns = [message.content for message in conversation.messages]
        assert 6 <= len(turns) // 2 <= 10
        counts += [len(answered(system, reply)) for reply in turns[1::2]]
    assert set(counts) == {1, 2, 3}
    assert counts.count(1) > len(counts) / 2


def test_aims_differ_in_name_and_in_words():
    for index in range(200):
        aims = draw_aims(Words(Dice("aims", index), SEEN), 6)
        assert len({name for *_, name in aims}) == len({aim[:2] for aim in aims}) == 6


def test_most_names_are_made_of_the_purpose():
    told = 0
    for index in range(200):
        verb, thing, about, name = draw_aims(Words(Dice("names", index), SEEN), 1)[0]
        assert verb in about.lower() and thing in about
        told += name == f"{verb}_{thing.replace(' ', '_')}"
    assert 150 < told < 195
