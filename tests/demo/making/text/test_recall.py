import json
import re

import pytest

from demo.making.text import recall
from demo.making.text.lexicon import SEEN
from demo.making.text.names import Words
from synthesis.dice import Dice


def drawn(make, count=100):
    return [make(Words(Dice("recall", index), SEEN)) for index in range(count)]


@pytest.mark.parametrize("make", [recall.copy_conversation, recall.plain_copy])
def test_a_copy_is_what_was_said(make):
    for conversation in drawn(make):
        turns = [message.content for message in conversation.messages]
        for said, answer in zip(turns[::2], turns[1::2], strict=True):
            assert answer in said


@pytest.mark.parametrize("make", [recall.lookup_conversation, recall.plain_lookup])
def test_what_is_looked_up_stands_in_the_record(make):
    for conversation in drawn(make):
        shown, *turns = [message.content for message in conversation.messages]
        for answer in turns[1::2]:
            sentence = re.fullmatch(r"The .+? is (.+)\.|\S+: (.+)", answer)
            value = (sentence[1] or sentence[2]) if sentence else answer
            assert value in shown


def test_a_list_of_pairs_is_asked_about_many_times():
    for conversation in drawn(recall.recall_conversation):
        shown, *turns = [message.content for message in conversation.messages]
        assert len(turns) >= 2 * 8
        for key, value in zip(turns[::2], turns[1::2], strict=True):
            assert re.search(
                re.escape(key.rstrip("?:")) + r"(: | = | -> |, |\n)" + re.escape(value), shown
            )


def test_a_named_thing_is_recalled_by_its_name():
    for conversation in drawn(recall.memory_conversation):
        *told, _, last = [message.content for message in conversation.messages]
        thing, name = last.removeprefix("Your ").removesuffix(".").split(" is called ")
        assert any(thing in text and name in text for text in told)


def test_sentences_become_json():
    seen = 0
    for conversation in drawn(recall.json_conversation):
        question, answer = (message.content for message in conversation.messages)
        if question.startswith("As JSON"):
            seen += 1
            for key, value in json.loads(answer).items():
                assert key.replace("_", " ") in question
                assert (value if isinstance(value, str) else json.dumps(value)) in question
    assert seen > 40
