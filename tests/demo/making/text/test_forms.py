import json
import re
from itertools import pairwise

import pytest

from demo.making.text.choices import draw_aims
from demo.making.text.forms import (
    NONE_FITS,
    draw_form,
    filling_conversation,
    form_conversation,
    plain_filling,
    plain_request,
)
from demo.making.text.lexicon import SEEN
from demo.making.text.names import Words
from synthesis.dice import Dice


def conversations(count=300, make=form_conversation):
    return [make(Words(Dice("forms", index), SEEN)) for index in range(count)]


def answers(conversation):
    return [message.content for message in conversation.messages if message.role == "assistant"]


@pytest.fixture(scope="module")
def drawn():
    return conversations()


def test_every_named_form_is_declared(drawn):
    seen = 0
    for conversation in drawn:
        system = conversation.messages[0].content
        for answer in answers(conversation):
            if answer == NONE_FITS or answer.startswith("What is"):
                continue
            for line in answer.splitlines():
                filled = json.loads(line)
                seen += 1
                assert filled["form"] in system
                assert all(name in system for name in filled["fields"])
    assert seen > 50


def test_text_values_stand_in_the_request():
    seen = 0
    for conversation in conversations(make=plain_request):
        _, user, reply = (message.content for message in conversation.messages)
        for value in json.loads(reply)["fields"].values():
            if isinstance(value, str):
                seen += 1
                assert value in user
    assert seen > 50


def test_unfit_requests_are_declined_and_missing_values_asked_for(drawn):
    replies = [answer for conversation in drawn for answer in answers(conversation)]
    assert 0.02 < replies.count(NONE_FITS) / len(replies) < 0.2
    assert any(reply.startswith("What is the ") for reply in replies)


def test_an_asked_for_value_is_filled_in_afterwards(drawn):
    seen = 0
    for conversation in drawn:
        replies = answers(conversation)
        for question, reply in pairwise(replies):
            if question.startswith("What is the "):
                name = re.split("[ _-]", question.removesuffix("?"))[-1]
                seen += 1
                assert name in reply
    assert seen > 20


@pytest.mark.parametrize("make", [filling_conversation, plain_filling])
def test_filling_is_about_one_form(make):
    for conversation in conversations(100, make):
        system, *turns = [message.content for message in conversation.messages]
        assert len({json.loads(reply)["form"] for reply in turns[1::2]}) == 1
        assert system.count("interface ") == 1


def test_at_most_one_field_of_a_form_is_bare():
    for index in range(300):
        words = Words(Dice("bare", index), SEEN)
        form = draw_form(words, *draw_aims(words, 1), 4)
        assert sum(draft.bare for draft in form.drafts) <= 1
