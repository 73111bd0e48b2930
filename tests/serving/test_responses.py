"""The responses endpoint beside chat completions: items, events, errors at their place."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from served_conversations import LYON, OSLO, TIME, WEATHER, learned_model
from served_model import Address, served_here

openai = pytest.importorskip("openai")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

HELLO = "Hello there, how are you today?"
TOOLS = [{"type": "function", **tool.to_record()["function"]} for tool in (WEATHER, TIME)]
NAMED = {"type": "function", "name": "time"}
WHOLE = {"model": "here", "temperature": 0, "max_output_tokens": 80}
CALL = {"type": "function_call", "call_id": "c", "name": "time", "arguments": ""}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "noon"}

SAID = {"type": "input_text", "text": "Hi"}
UNKEPT = {"type": "json_schema", "name": "n", "schema": {"type": "object", "not": {}}}


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    with served_here(learned_model()) as server:
        yield server


def asked(server: Address, given: Any, **settings: Any) -> Any:
    return server.client().responses.create(input=given, **{**WHOLE, **settings})


def test_text_is_one_message_item(server: Address) -> None:
    response = asked(server, "Hi", store=False, truncation="disabled", user="me")
    (item,) = response.output
    assert (item.type, item.status, response.output_text) == ("message", "completed", HELLO)
    assert (response.status, response.model, response.error) == ("completed", "here", None)
    cut = asked(server, "Hi", max_output_tokens=3)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_events_add_up_to_the_whole_response(server: Address) -> None:
    for given in ("Hi", "Rain in Lyon and Oslo?"):
        whole = asked(server, given, tools=TOOLS)
        events = list(asked(server, given, tools=TOOLS, stream=True))
        assert [event.sequence_number for event in events] == list(range(len(events)))
        deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
        assert "".join(deltas) == whole.output_text
        done = [e.item for e in events if e.type == "response.output_item.done"]
        last = events[-1].response
        assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
        assert done == last.output and last.usage == whole.usage
        ids = {"id", "call_id"}
        assert [item.model_dump(exclude=ids) for item in done] == [
            item.model_dump(exclude=ids) for item in whole.output
        ]


def test_items_become_the_prompt_of_the_same_messages(server: Address) -> None:
    """Reasoning is left out; a text and the calls around it are one reply."""
    given = [
        {"type": "message", "role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"},
        {**CALL, "id": "f", "status": "completed"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {**CALL, "call_id": "d", "arguments": "{}"},
        {**RESULT, "call_id": "d", "output": [{"type": "input_text", "text": "night"}]},
        RESULT,
    ]
    call = {"type": "function", "function": {"name": "time", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{**call, "id": "c"}, {**call, "id": "d"}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "noon"},
        {"role": "tool", "tool_call_id": "d", "content": "night"},
    ]
    settings = {"model": "here", "temperature": 0}
    chat = server.client().chat.completions.create(messages=messages, **settings)
    response = asked(server, given)
    assert response.usage.input_tokens == chat.usage.prompt_tokens
    assert response.output_text == chat.choices[0].message.content
    assert asked(server, given[1:], instructions="Be brief.").usage == response.usage


def test_tool_choices_decide_the_calls(server: Address) -> None:
    def names(**settings: Any) -> list[str]:
        output = asked(server, "Rain in Lyon and Oslo?", tools=TOOLS, **settings).output
        return [item.name for item in output if item.type == "function_call"]

    assert names() == [LYON.name, OSLO.name]
    assert names(parallel_tool_calls=False) == [LYON.name]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [NAMED]}
    assert set(names(tool_choice=allowed)) == set(names(tool_choice=NAMED)) == {"time"}
    assert names(tool_choice="none") == []


def test_forbidden_call_is_told_in_its_item(server: Address) -> None:
    (item,) = asked(server, "Ring it.", tools=TOOLS, tool_choice="none").output
    assert item.type == "message" and "no tool may be called" in item.tool_call_problem


def test_text_format_is_kept(server: Address) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
    wanted = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    response = asked(server, "Hi", text={"format": wanted})
    assert json.loads(response.output_text)["n"] in (1, 2)
    response = asked(server, "Hi", text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(response.output_text), dict)


def test_logprobs_are_included_where_asked_for(server: Address) -> None:
    include = ["message.output_text.logprobs"]
    records = asked(server, "Hi", include=include, top_logprobs=2).output[0].content[0].logprobs
    assert "".join(record.token for record in records) == HELLO
    assert all(len(record.top_logprobs) == 2 for record in records)
    assert asked(server, "Hi").output[0].content[0].logprobs == []


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": []}, "input"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{**SAID, "image_url": "x"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"input": [CALL]}, "input[0]"),
        ({"input": [{"role": "user", "content": "Hi"}, RESULT]}, "input[1]"),
        ({"input": [CALL, {**RESULT, "call_id": "d"}]}, "input[1].call_id"),
        ({"input": [{**CALL, "arguments": "{"}, RESULT]}, "input[0].arguments"),
        ({"input": "Hi " * 3000}, "input"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{**TOOLS[0], "parameters": {"type": "objekt"}}]}, "tools[0].parameters"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "name": "f"}}, "tool_choice.name"),
        (
            {
                "tools": TOOLS,
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}],
                },
            },
            "tool_choice.tools[0].name",
        ),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "array"}}}},
            "text.format.schema.type",
        ),
        ({"text": {"format": UNKEPT}}, "text.format.schema"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"temperature": 9}, "temperature"),
        ({"model": "gpt"}, "model"),
    ],
)
def test_errors_name_the_place_in_the_request(
    server: Address, change: dict[str, Any], param: str
) -> None:
    status, _, answer = server.post(
        json.dumps({**WHOLE, "input": "Hi", **change}).encode(), path="/responses"
    )
    assert (status, answer["error"]["param"]) == (404 if param == "model" else 400, param)
    words = answer["error"]["message"]
    assert not any(chat in words for chat in ("messages[", "response_format", "tool_calls"))


def test_null_parameters_are_as_if_absent(server: Address) -> None:
    idle = {"previous_response_id": None, "reasoning": None, "conversation": None, "prompt": None}
    assert asked(server, "Hi", extra_body=idle).output_text == HELLO
