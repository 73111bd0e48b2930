"""A model answers conversations: calls are parsed, order is kept, limits are told."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from speaking_model import TOKENIZER, learn_by_heart

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply, stop_ids, written_reply
from chat.tokenizers.tokenizer import load_tokenizer
from inference.chat_model import ChatModel, read_answer
from inference.generate import Decoding
from inference.streaming import TextDelta, assemble
from serving.reading import ReplyReader

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
CALL = ToolCall("weather", {"city": "Lyon"})
ASKED = Conversation((Message("user", "Rain in Lyon?"),), (WEATHER,))
GREETED = Conversation((Message("user", "Hi"),))
BROKEN = Conversation((Message("user", "Break"),))
ANSWERS = {
    "asked": Message("assistant", "", (CALL,)),
    "greeted": Message("assistant", "Hello there, how are you today?"),
    "broken": Message("assistant", '{"tool_uses": [{"recipient_name": 7}]}'),
}
QUESTIONS = [ASKED, GREETED, BROKEN]
GREEDY = Decoding(stop_ids=(), max_new_tokens=60)


@pytest.fixture(scope="module")
def chat_model() -> ChatModel:
    learned = [
        replace(question, messages=(*question.messages, answer))
        for question, answer in zip(QUESTIONS, ANSWERS.values(), strict=True)
    ]
    return ChatModel(learn_by_heart(learned), load_tokenizer(TOKENIZER), FORMATS["llama3"])


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_answers_come_in_order_whole_and_parsed(
    chat_model: ChatModel, batch_size: int | None
) -> None:
    decoding = replace(GREEDY, batch_size=batch_size)
    found = list(chat_model.answers(QUESTIONS, decoding))
    assert [index for index, _ in found] == [0, 1, 2]
    asked, greeted, broken = (answer for _, answer in found)
    assert all(answer.whole for answer in (asked, greeted, broken))
    assert asked.reply.tool_calls == (CALL,)
    assert greeted.reply.content == greeted.text == ANSWERS["greeted"].content
    assert greeted.reply.problem is None
    assert broken.reply.tool_calls == ()
    assert "recipient_name" in str(broken.reply.problem)


def test_an_answer_cut_by_a_limit_is_told(chat_model: ChatModel) -> None:
    ((_, answer),) = chat_model.answers([ASKED], replace(GREEDY, max_new_tokens=9))
    assert not answer.whole
    assert answer.reply.problem is not None


def test_prompt_without_room_is_named_before_any_reply(
    chat_model: ChatModel,
) -> None:
    longest = max(len(chat_model.prompt(question)) for question in QUESTIONS)
    problem = f"dialog 1 is a prompt of {longest} tokens, and prompt and reply may have {longest}"
    with pytest.raises(ValueError, match=problem):
        next(chat_model.answers(QUESTIONS, replace(GREEDY, max_length=longest)))


def test_no_conversations_give_no_answers(chat_model: ChatModel) -> None:
    assert list(chat_model.answers([], GREEDY)) == []


def swapped(chat_model: ChatModel, one: int, other: int) -> ChatModel:
    """Return a chat model that says token `other` for `one`, and `one` for it."""
    model = deepcopy(chat_model.model)
    with torch.no_grad():
        model.output.weight[[one, other]] = model.output.weight[[other, one]]
    return replace(chat_model, model=model)


@pytest.mark.parametrize("end", ["<|end_of_text|>", "<|reserved_special_token_4|>"])
def test_a_reply_ends_with_any_end_token_of_its_family(chat_model: ChatModel, end: str) -> None:
    trained, *others = stop_ids(chat_model.format, chat_model.tokenizer)
    other = chat_model.tokenizer.special_tokens[end]
    assert other in others
    found = list(swapped(chat_model, trained, other).answers(QUESTIONS, GREEDY))
    assert found == list(chat_model.answers(QUESTIONS, GREEDY))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("llama3", "llama3"),
        ("llama3", "llama3_1"),
        ("llama3_for_tool", "llama3_1"),
        ("llama3_1", "llama3_1"),
    ],
)
def test_llama_formats_stop_at_the_end_of_a_message(name: str, table: str) -> None:
    """Models of 3.1 and later end messages with `<|eom_id|>`, the ninth special token."""
    tokenizer = load_tokenizer(TOKENIZER, table)
    begin = tokenizer.special_tokens["<|begin_of_text|>"]
    assert {begin + place for place in (1, 8, 9)} <= {*stop_ids(FORMATS[name], tokenizer)}


def test_a_call_that_streams_in_ends_right_at_any_end_token(chat_model: ChatModel) -> None:
    written = chat_model.tokenizer.encode(written_reply(ANSWERS["asked"], chat_model.format))
    for end in stop_ids(chat_model.format, chat_model.tokenizer):
        reader = ReplyReader(chat_model)
        events = [event for token in [*written, end] for event in reader.feed(token)]
        reply = assemble([*events, *reader.finish()])
        assert (reader.ended, reply.content, reply.problem) == (True, "", None)
        assert [(call.name, call.arguments) for call in reply.tool_calls] == [
            (CALL.name, CALL.arguments)
        ]


def test_special_tokens_are_no_text_of_a_reply(chat_model: ChatModel) -> None:
    tokenizer, format = chat_model.tokenizer, chat_model.format
    specials = [
        id for name, id in tokenizer.special_tokens.items() if id not in stop_ids(format, tokenizer)
    ]
    text = "Grüße 😀 to you"
    tokens = [part for pair in zip(tokenizer.encode(text), specials) for part in pair]  # noqa: B905
    answer = read_answer(tokens, True, tokenizer, format)
    assert answer.text == answer.reply.content == text
    reader = ReplyReader(chat_model)
    events = [event for token in tokens for event in reader.feed(token)] + reader.finish()
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == text
    # What only looks like a special token stays.
    shown = "Llama 3 ends with <|eot_id|>."
    assert read_answer(tokenizer.encode(shown), True, tokenizer, format).text == shown
    assert parse_reply(shown, format).content == shown


def test_a_dialog_that_a_format_cannot_write_is_numbered(chat_model: ChatModel) -> None:
    speaking = replace(chat_model, format=FORMATS["llama3_for_tool"])
    beside = (*ASKED.messages, Message("assistant", "Let me see.", (CALL,)), Message("tool", "No"))
    asked = replace(ASKED, messages=beside)
    with pytest.raises(ValueError, match=r"dialog 2 cannot be written in the chat format llama3_f"):
        list(speaking.answers([GREETED, asked], GREEDY))
