"""A request becomes the same prompt as its conversation, and decoding settings."""

import json
from typing import Any

import pytest
import torch
from speaking_model import TOKENIZER
from tiny_models import TINY, random_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.call_syntax import write_reply
from chat.formats.known import FORMATS
from chat.tokenizers.tokenizer import load_tokenizer
from evaluation.answers.endpoint import wire_messages, wire_names
from inference.chat_model import ChatModel
from inference.generate import RowConstraint
from serving.errors import ApiError
from serving.generation_requests import GenerationRequest, ReplyRules, read_generation_request
from serving.requests import read_request

CHAT_MODEL = ChatModel(random_model(TINY), load_tokenizer(TOKENIZER), FORMATS["llama3"])
TOOLS = (
    Tool("add", "Add numbers.", {"type": "object", "properties": {"a": {"type": "integer"}}}),
    Tool("now", "", {"type": "object", "properties": {}}),
)
HELLO = [{"role": "user", "content": "Hi"}]


def declared(name: str, parameters: Any, strict: bool | None = None) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "parameters": parameters, "strict": strict},
    }


def order(messages: list[dict[str, Any]], **settings: Any) -> GenerationRequest:
    body = {"model": "m", "messages": messages, "tools": [t.to_record() for t in TOOLS]}
    return read_generation_request(
        read_request(json.dumps({**body, **settings}).encode()), CHAT_MODEL, ReplyRules(2048)
    )


@pytest.mark.parametrize("ids", [("x", "y"), ("same", "same"), (None, None)])
def test_wire_messages_give_the_same_prompt_as_the_conversation(ids: Any) -> None:
    calls = (ToolCall("add", {"a": 1.5, "b": ["é", None]}, ids[0]), ToolCall("now", {}, ids[1]))
    conversation = Conversation(
        (
            Message("system", "Be brief."),
            Message("user", " What time? "),
            Message("assistant", "I look.", calls),
            Message("tool", "3", tool_call_id=ids[0]),
            Message("tool", "noon", tool_call_id=ids[1]),
            Message("assistant", "Noon."),
            Message("user", "Thanks"),
        ),
        TOOLS,
    )
    wire = wire_messages(conversation.messages, wire_names(TOOLS))
    assert order(wire).prompt == CHAT_MODEL.prompt(conversation)
    developer = [{**wire[0], "role": "developer"}, *wire[1:]]
    assert order(developer).prompt == CHAT_MODEL.prompt(conversation)
    if ids == ("x", "y"):
        swapped = [*wire[:3], wire[4], wire[3], *wire[5:]]
        assert order(swapped).prompt == CHAT_MODEL.prompt(conversation)


def test_request_settings_become_decoding_settings() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    plain = order(messages).decoding
    assert (plain.temperature, plain.top_p, plain.max_new_tokens) == (1.0, 1.0, 2048)
    assert plain.max_length == 2048
    assert order(messages).decoding.seed != plain.seed
    given = order(messages, temperature=0.5, top_p=0.25, max_tokens=7, seed=9, n=3, stop="x")
    decoding = given.decoding
    assert (decoding.temperature, decoding.top_p, decoding.max_new_tokens) == (0.5, 0.25, 7)
    assert (decoding.seed, given.constraints, given.stop_texts) == (9, (None,) * 3, ("x",))
    assert order(messages, top_p=0).decoding.temperature == 0


def test_schema_nested_too_deeply_is_rejected() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(300):
        schema = {"type": "object", "properties": {"a": schema}}
    tool = Tool("deep", "", schema).to_record()
    with pytest.raises(ApiError, match="nested too deeply") as told:
        order([{"role": "user", "content": "Hi"}], tools=[tool], tool_choice="required")
    assert told.value.status == 400


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": {"a": {"type": "integer"}}},
        {"type": ["object", "null"], "properties": {"a": {"type": "integer"}}},
        {"a": {"type": "integer", "required": False}},
        '{"type": "object", "properties": {"a": {"type": "integer"}}}',
    ],
)
def test_tools_come_into_the_prompt_as_cleaning_reads_them(parameters: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = Conversation((Message("user", "Hi"),), (Tool("f", "", schema),))
    asked = order(HELLO, tools=[declared("f", parameters)], tool_choice="required")
    assert asked.prompt == CHAT_MODEL.prompt(wanted)
    assert asked.constraints != (None,)


def test_parameters_that_are_true_take_any_object() -> None:
    assert order(HELLO, tools=[declared("f", True)], tool_choice="required").constraints != (None,)


def test_parameters_in_no_dialect_are_refused_by_path() -> None:
    with pytest.raises(ApiError, match="parameters must be an object, found False") as told:
        order(HELLO, tools=[declared("g", {}), declared("f", False)])
    assert told.value.param == "tools[1].function.parameters"


def test_a_strict_tool_binds_itself_alone() -> None:
    loose = {"type": "object", "properties": {"a": {"not": {}}}}
    strict = declared("add", {"type": "object", "properties": {"a": {"type": "null"}}}, True)
    assert order(HELLO, tools=[strict, declared("tag", loose)]).constraints != (None,)
    for tools in ([declared("tag", loose, True)], [strict, declared("tag", loose, True)]):
        with pytest.raises(ApiError, match="tag cannot be constrained: /properties/a/not"):
            order(HELLO, tools=tools)
    with pytest.raises(ApiError, match="tag cannot be constrained"):
        order(HELLO, tools=[declared("tag", loose)], tool_choice="required")


@pytest.mark.parametrize("name", ["tag cannot", "response_format", "response_format cannot be"])
def test_refused_tool_is_found_by_its_name(name: str) -> None:
    loose = {"type": "object", "properties": {"a": {"not": {}}}}
    fine = declared("tag", {"type": "object", "properties": {}}, True)
    with pytest.raises(ApiError) as told:
        order(HELLO, tools=[fine, declared(name, loose, True)])
    assert told.value.param == "tools[1].function.parameters"
    assert "--constrain" not in str(told.value)


def said(constraint: RowConstraint, text: str) -> bool:
    """Whether a reply may begin with a text."""
    for token in CHAT_MODEL.tokenizer.encode(text):
        logits = torch.zeros(CHAT_MODEL.tokenizer.vocab_size)
        constraint.restrict(logits, 1000)
        if logits[token] != 0:
            return False
        constraint.accept(token, 999)
    return True


def test_a_default_of_null_lets_no_null_in_that_the_schema_refuses() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "default": None}}}
    (constraint,) = order(HELLO, tools=[declared("f", schema)], tool_choice="required").constraints
    assert constraint is not None
    text = write_reply("", [ToolCall("f", {"a": None})], CHAT_MODEL.format.calls)
    assert not said(constraint, text)
