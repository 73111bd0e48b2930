import json
import re
from itertools import pairwise

import pytest

from data.pretraining.forms import (
    NONE_FITS,
    filling_conversation,
    form_conversation,
    plain_filling,
    plain_request,
)
from data.pretraining.lexicon import SEEN
from data.pretraining.names import Words
from data.synthesis.dice import Dice


def conversations(count=300, make=form_conversation):
    return [make(Words(Dice("forms", index), SEEN)) for index in range(count)]


def answers(conversation):
    return [each.content for each in conversation.messages if each.role == "assistant"]


@pytest.fixture(scope="module")
def drawn():
    return conversations()


def test_every_named_form_is_declared(drawn):
    seen = 0
    for conversation in drawn:
        system = conversation.messages[0].content
        if "as an object" not in system:
            continue
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
        system, user, reply = (each.content for each in conversation.messages)
        if "as an object" not in system:
            continue
        for value in json.loads(reply)["fields"].values():
            if isinstance(value, str):
                seen += 1
                assert value in user
    assert seen > 50


def test_what_no_form_covers_is_declined_and_what_is_missing_is_asked_for(drawn):
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


def test_all_ways_to_declare_and_to_answer_come_up(drawn):
    systems = [each.messages[0].content for each in drawn]
    for mark in ('"properties"', "# ", "as lines", "a signature"):
        assert 0.03 < sum(mark in system for system in systems) / len(systems) < 0.2
    for mark in ("interface ", "as an object"):
        assert 0.7 < sum(mark in system for system in systems) / len(systems) < 0.9


@pytest.mark.parametrize("make", [filling_conversation, plain_filling])
def test_filling_is_about_one_form(make):
    for conversation in conversations(100, make):
        system, *turns = [each.content for each in conversation.messages]
        names = {
            re.match(r"\[(\S+)\]|{\"form\": \"([^\"]+)|([^(]+)", reply)[0] for reply in turns[1::2]
        }
        assert len(names) == 1
        assert len(re.findall(r"\"properties\"|interface |# ", system)) == 1
