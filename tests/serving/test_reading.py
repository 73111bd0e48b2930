"""A reply read token by token equals the whole text parsed, up to a stop text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries
from speaking_model import TOKENIZER
from tiny_models import TINY, random_model

from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply, stop_ids
from chat.tokenizers.tokenizer import load_tokenizer
from inference.chat_model import ChatModel
from inference.streaming import Event, TextDelta, assemble
from serving.reading import ReplyReader

DEMO = load_tokenizer(TOKENIZER)
FORMAT = FORMATS["llama3"]
CHAT_MODEL = ChatModel(random_model(TINY), DEMO, FORMAT)
STOP = stop_ids(FORMAT, DEMO)[0]
CALL = '{"tool_uses": [{"recipient_name": "functions.f", "parameters": {"a": "stop"}}]}'
TEXTS = st.lists(st.sampled_from(["a", "b", " ", "\n", "é", "😀", "stop", "st", CALL]), max_size=9)


def read(text: str, *stops: str) -> tuple[ReplyReader, list[Event]]:
    reader = ReplyReader(CHAT_MODEL, stops)
    events: list[Event] = []
    for token in [*DEMO.encode(text), STOP]:
        events += reader.feed(token)
        if reader.ended:
            break
    return reader, [*events, *reader.finish()]


@tries(200)
@given(
    text=TEXTS.map("".join), stops=st.lists(st.sampled_from(["ab", "stop", "top", "a a", "😀é"]))
)
def test_reply_ends_before_the_first_stop_text(text: str, stops: list[str]) -> None:
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    reader, events = read(text, *stops)
    assert reader.ended
    assert assemble(events) == parse_reply(text[: min(places, default=len(text))], FORMAT)


def test_possible_stop_text_is_held_back_until_decided() -> None:
    reader = ReplyReader(CHAT_MODEL, ["xyz"])
    told = ""
    for token in DEMO.encode("abc xy"):
        told += "".join(event.text for event in reader.feed(token) if isinstance(event, TextDelta))
    assert told == "abc"
    assert [event.text for event in reader.finish() if isinstance(event, TextDelta)] == [" xy"]
    assert not reader.ended


def test_long_partial_stop_text_is_released_when_it_fails() -> None:
    reader = ReplyReader(CHAT_MODEL, ["x" * 1000])
    told = []
    for text in ("one two ", "x" * 999, "y"):
        events = [event for token in DEMO.encode(text) for event in reader.feed(token)]
        told.append("".join(event.text for event in events if isinstance(event, TextDelta)))
    assert told == ["one two", "", " " + "x" * 999 + "y"]


def test_reader_counts_tokens_and_shows_the_forming_call() -> None:
    reader = ReplyReader(CHAT_MODEL)
    tokens = DEMO.encode("I look.\n" + CALL)
    for token in tokens:
        reader.feed(token)
    assert reader.forming == CALL
    assert reader.tokens == len(tokens)
    reader.feed(STOP)
    assert (reader.ended, reader.tokens) == (True, len(tokens) + 1)
    with pytest.raises(AssertionError):
        reader.feed(STOP)
