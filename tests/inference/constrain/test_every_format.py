"""Constrained decoding in every chat format: what it writes is taken, what it makes is valid."""

from pathlib import Path

import pytest
import torch
from tiny_models import TINY, random_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.format import ChatFormat
from chat.formats.known import FORMATS
from chat.formats.rendering import (
    encode_conversation,
    encode_prompt,
    parse_reply,
    reply_text,
    silent_ids,
)
from chat.schemas.validation import validate_arguments
from chat.tokenizers.ranks import LLAMA3_CUTTING, TiktokenTokenizer
from chat.tokenizers.tokenizer import Tokenizer
from inference.chat_model import token_limits
from inference.constrain.constraint import Constraints, constraint_for
from inference.constrain.content import content_constraint
from inference.constrain.either import EitherConstraint
from inference.generate import Decoding, RowConstraint, complete
from model.config import ModelConfig

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "", CITY)
CLOCK = Tool("clock", "", {"type": "object", "properties": {}})
TOOLS = (WEATHER, CLOCK)
ASKED = Message("user", "Rain in Lyon?")
CALLS = (ToolCall("weather", {"city": 'L"y<tool_call>\non 名前'}), ToolCall("clock", {}))
WITH_CALLS = [name for name, format in FORMATS.items() if format.calls.starts]
# Real vocabularies beside the bytes, for those formats that a SentencePiece model is trained in.
REAL = {
    "mistral_v3": "mistral_sentencepiece/mistral_instruct_tokenizer_240323.model.v3",
    "glaive_text": "mistral_sentencepiece/tokenizer.model.v1",
    "tool_call_tags": "mistral_sentencepiece/tokenizer.model.v1",
    "phi3_xlam": "phi3",
}
KINDS = [
    *((name, "bytes") for name in WITH_CALLS),
    ("phi3_xlam", "real"),
    *(pytest.param((n, "real"), marks=pytest.mark.long) for n in REAL if n != "phi3_xlam"),
]


def byte_tokenizer(format: ChatFormat) -> Tokenizer:
    """The bytes and the special tokens of the format."""
    ranks = {bytes([value]): value for value in range(256)}
    names = dict.fromkeys([*format.special_tokens, *format.end_tokens])
    specials = {name: len(ranks) + place for place, name in enumerate(names)}
    return TiktokenTokenizer.of(Path(format.name), format.name, ranks, specials, LLAMA3_CUTTING)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(kind))
def spoken(
    request: pytest.FixtureRequest,
) -> tuple[ChatFormat, Tokenizer]:
    name, kind = request.param
    format = FORMATS[name]
    if kind == "bytes":
        return format, byte_tokenizer(format)
    shared: Path = request.getfixturevalue("shared")
    return format, format.load_tokenizer(shared / "tokenizers" / REAL[name])


def written(reply: Message, format: ChatFormat, tokenizer: Tokenizer) -> list[int]:
    """The ids of a reply with its stop token."""
    conversation = Conversation((ASKED, reply), TOOLS)
    prompt = encode_prompt(Conversation((ASKED,), TOOLS), format, tokenizer)
    ids = encode_conversation(conversation, format, tokenizer).ids
    assert ids[: len(prompt)] == prompt
    stop = tokenizer.special_tokens[format.stop_tokens[0]]
    return ids[len(prompt) : ids.index(stop, len(prompt)) + 1]


def takes(ids: list[int], format: ChatFormat, tokenizer: Tokenizer, forced: bool) -> bool:
    """Whether the constraint lets a model say these tokens one after another."""
    return allows(constraint_for(TOOLS, format, tokenizer, forced), ids, tokenizer)


def allows(constraint: RowConstraint, ids: list[int], tokenizer: Tokenizer) -> bool:
    for token in ids:
        logits = torch.zeros(tokenizer.vocab_size)
        constraint.restrict(logits, 10_000)
        if logits[token] != 0 or not constraint.accept(token, 9_999):
            return False
    return True


@pytest.mark.parametrize("forced", [True, False], ids=["forced", "free"])
def test_calls_as_the_format_writes_them_are_taken(
    spoken: tuple[ChatFormat, Tokenizer], forced: bool
) -> None:
    format, tokenizer = spoken
    calls = CALLS if format.calls.between else CALLS[:1]
    assert takes(written(Message("assistant", "", calls), *spoken), format, tokenizer, forced)


def test_text_and_text_beside_calls_are_taken(spoken: tuple[ChatFormat, Tokenizer]) -> None:
    format, tokenizer = spoken
    text = Message("assistant", "It rains.\n\n{1} in [2].")
    assert takes(written(text, *spoken), format, tokenizer, False)
    assert not takes(written(text, *spoken), format, tokenizer, True)
    if format.calls.joint is not None:
        beside = Message("assistant", "I look.", CALLS[:1])
        assert takes(written(beside, *spoken), format, tokenizer, False)


def test_calls_of_other_tools_are_refused(spoken: tuple[ChatFormat, Tokenizer]) -> None:
    for call in (ToolCall("wether", {"city": "x"}), ToolCall("weather", {"city": 1})):
        ids = written(Message("assistant", "", (call,)), *spoken)
        assert not takes(ids, *spoken, False)


@pytest.mark.parametrize("forced", [True, False], ids=["forced", "free"])
def test_single_call_is_followed_by_no_other(
    spoken: tuple[ChatFormat, Tokenizer], forced: bool
) -> None:
    if not spoken[0].calls.between:
        return  # the format writes one call a turn
    one, two = (written(Message("assistant", "", CALLS[:n]), *spoken) for n in (1, 2))
    for ids, allowed in ((one, True), (two, False)):
        constraint = constraint_for(TOOLS, *spoken, forced, single=True)
        assert allows(constraint, ids, spoken[1]) == allowed


@pytest.mark.parametrize("text", ['{"tool": "Lyon", "n": [1]}', '{"name": "Lyon"}', "{}"])
def test_json_is_taken_beside_calls(spoken: tuple[ChatFormat, Tokenizer], text: str) -> None:
    anything = {"type": "object", "additionalProperties": True}
    for reply, allowed in (
        (Message("assistant", text), True),
        (Message("assistant", "", CALLS[:1]), True),
        (Message("assistant", "It rains."), False),
    ):
        either = EitherConstraint(
            [
                constraint_for(TOOLS, *spoken, forced=True),
                content_constraint(anything, "content", *spoken),
            ]
        )
        assert allows(either, written(reply, *spoken), spoken[1]) == allowed


@pytest.mark.parametrize("forced", [True, False], ids=["forced", "free"])
def test_a_random_model_only_makes_valid_replies(
    spoken: tuple[ChatFormat, Tokenizer], forced: bool
) -> None:
    format, tokenizer = spoken
    model = random_model(ModelConfig(**{**TINY.__dict__, "vocab_size": tokenizer.vocab_size}))
    decoding = Decoding(**token_limits(format, tokenizer), max_new_tokens=200, temperature=1.0)
    constraint = Constraints([Conversation((), TOOLS)] * 4, format, tokenizer, forced=forced)
    prompts = [[5, n] for n in range(4)]
    for _, reply in complete(model, prompts, decoding, constraint=constraint):
        text = reply_text(reply.tokens, tokenizer, silent_ids(format, tokenizer))
        read = parse_reply(text, format)
        assert reply.stop is not None or not forced
        assert read.problem is None or reply.stop is None, text
        assert read.tool_calls or not forced
        for call in read.tool_calls:
            (tool,) = (tool for tool in TOOLS if tool.name == call.name)
            assert validate_arguments(tool, call.arguments) == []
