import json

import pytest

from demo.making.text.lexicon import HELD_OUT, SEEN
from demo.making.text.names import Words
from demo.making.text.requests import plain_call, request_conversation
from synthesis.dice import Dice


def conversations(make=request_conversation, count=400, lexicon=SEEN):
    return [make(Words(Dice("requests", index), lexicon)) for index in range(count)]


@pytest.fixture(scope="module")
def drawn():
    return conversations()


def filled_in(conversation):
    """Each filled in form, with all that was said before it."""
    before = ""
    for message in conversation.messages:
        if message.role == "assistant" and message.content.startswith('{"form"'):
            for line in message.content.splitlines():
                yield json.loads(line), before
        before += message.content


def test_forms_and_fields_are_declared_and_values_were_said_before(drawn):
    seen = 0
    for conversation in drawn:
        declared = conversation.messages[0].content
        for entry, before in filled_in(conversation):
            assert entry["form"] in declared
            for name, value in entry["fields"].items():
                assert name in declared
                # The first word of a sentence is written with a capital.
                assert str(value).removesuffix(".0").lower() in before.lower()
                seen += 1
    assert seen > 500


def test_every_kind_of_request_occurs(drawn):
    messages = [message for conversation in drawn for message in conversation.messages]
    replies = [message.content for message in messages if message.role == "assistant"]
    said = [message.content for message in messages if message.role == "user"]
    assert sum("\n" in reply for reply in replies) > len(replies) / 20
    assert sum(reply.endswith("?") for reply in replies) > len(replies) / 20
    assert sum("tool" in reply for reply in replies) > len(replies) / 50
    assert sum(text.startswith("Result: ") for text in said) > len(said) / 20
    assert sum('{"error": ' in text for text in said) > 0


def test_a_later_form_uses_an_earlier_result(drawn):
    taken = 0
    for conversation in drawn:
        for entry, before in filled_in(conversation):
            result = before.rpartition("Result: ")[2] if "Result: " in before else ""
            taken += any(f'"{value}"' in result for value in entry["fields"].values())
    assert taken > 10


def test_a_plain_call_is_one_request_and_one_filled_form():
    for conversation in conversations(plain_call, 100, HELD_OUT):
        roles = [message.role for message in conversation.messages]
        assert roles == ["system", "user", "assistant"]
        assert len(list(filled_in(conversation))) == 1
