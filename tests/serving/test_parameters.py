"""The parameters that OpenAI's clients send to chat completions, each with what it decides."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from served_conversations import CALL_TEXT, LYON, OSLO, TIME, WEATHER, learned_model
from served_model import Address, served_here

openai = pytest.importorskip("openai")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

HI = [{"role": "user", "content": "Hi"}]
RAIN = [{"role": "user", "content": "Rain in Lyon and Oslo?"}]
RING = [{"role": "user", "content": "Ring it."}]
TOOLS = [WEATHER.to_record(), TIME.to_record()]
MONTH = {
    "type": "object",
    "properties": {"number": {"type": "integer", "minimum": 1, "maximum": 12}},
    "required": ["number"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "m", "strict": True, "schema": MONTH}}


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    with served_here(learned_model()) as server:
        yield server


def asked(server: Address, messages: Any, **settings: Any) -> Any:
    """Return what the openai client makes of the answer."""
    body = {"model": "here", "temperature": 0, "max_tokens": 80, "messages": messages}
    return server.client().chat.completions.create(**{**body, **settings})


def refusal(server: Address, messages: Any, **settings: Any) -> Any:
    with pytest.raises(openai.BadRequestError) as caught:
        asked(server, messages, **settings)
    return caught.value


def calls(message: Any) -> list[tuple[str, Any]]:
    return [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or ()]


def streamed(chunks: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """Return the text, calls and reason of a stream."""
    text, found, reason = "", [], ""
    for chunk in chunks:
        (choice,) = chunk.choices
        text += choice.delta.content or ""
        found += calls(choice.delta)
        reason = choice.finish_reason or reason
    return text, found, reason


def test_model_that_wants_two_calls_makes_both(server: Address) -> None:
    message = asked(server, RAIN, tools=TOOLS).choices[0].message
    assert calls(message) == [(call.name, call.arguments) for call in (LYON, OSLO)]


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_parallel_tool_calls_false_allows_one_call(server: Address, choice: str) -> None:
    settings = {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False}
    (found,) = asked(server, RAIN, **settings).choices
    assert (calls(found.message), found.finish_reason) == (
        [(LYON.name, LYON.arguments)],
        "tool_calls",
    )
    chunks = asked(server, RAIN, stream=True, **settings)
    assert streamed(chunks) == ("", [(LYON.name, LYON.arguments)], "tool_calls")


def test_parallel_tool_calls_false_takes_tools_that_cannot_be_enforced(server: Address) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}}
    tool = {"type": "function", "function": {"name": "odd", "parameters": schema}}
    asked(server, RAIN, tools=[*TOOLS, tool], parallel_tool_calls=False)
    strict = {**tool, "function": {**tool["function"], "strict": True}}
    error = refusal(server, RAIN, tools=[*TOOLS, strict])
    assert error.param == "tools[2].function.parameters"


def test_strict_tool_binds_itself_alone(server: Address) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}}
    odd = {"type": "function", "function": {"name": "odd", "parameters": schema}}
    strict = {**TOOLS[1], "function": {**TOOLS[1]["function"], "strict": True}}
    assert asked(server, HI, tools=[strict, odd], max_tokens=4).choices


@pytest.mark.parametrize("tools", [None, TOOLS])
@pytest.mark.parametrize("stream", [False, True])
def test_json_schema_is_kept_with_and_without_tools(
    server: Address, tools: Any, stream: bool
) -> None:
    given = {"tools": tools} if tools else {}
    answer = asked(server, HI, response_format=FORMAT, stream=stream, **given)
    if stream:
        text, found, reason = streamed(answer)
    else:
        choice = answer.choices[0]
        text, found, reason = choice.message.content, calls(choice.message), choice.finish_reason
    assert found or 1 <= json.loads(text)["number"] <= 12
    assert reason == ("tool_calls" if found else "stop")


def test_json_object_is_an_object_within_its_room(server: Address) -> None:
    for messages in (HI, RING):
        (choice,) = asked(
            server, messages, response_format={"type": "json_object"}, max_tokens=30
        ).choices
        assert isinstance(json.loads(choice.message.content), dict)
        assert choice.message.tool_calls is None
        assert not hasattr(choice.message, "tool_call_problem")


def test_tools_are_called_beside_a_response_format(server: Address) -> None:
    """The first turn is the learned calls, the turn after the results is JSON."""
    settings = {"tools": TOOLS, "response_format": FORMAT}
    first = asked(server, RAIN, **settings).choices[0].message
    assert calls(first) == [(call.name, call.arguments) for call in (LYON, OSLO)]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": text}
        for call, text in zip(first.tool_calls, ("dry", "wet"), strict=True)
    ]
    last = asked(server, [*RAIN, first, *results], **settings).choices[0].message
    assert calls(last) or 1 <= json.loads(last.content)["number"] <= 12


@pytest.mark.parametrize(
    ("schema", "param"),
    [
        ({"type": "array"}, "response_format.json_schema.schema.type"),
        ({"type": "objekt"}, "response_format.json_schema.schema"),
        (
            {"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=a)"}}},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_schema_that_cannot_be_kept_is_refused(server: Address, schema: Any, param: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "m", "schema": schema}}
    assert refusal(server, HI, response_format=wanted).param == param


def test_parsed_model_comes_from_the_client(server: Address) -> None:
    from pydantic import BaseModel, Field

    class Month(BaseModel):
        number: int = Field(ge=1, le=12)
        short: bool

    body = {"model": "here", "messages": HI, "temperature": 0, "max_tokens": 80}
    completion = server.client().chat.completions.parse(response_format=Month, **body)
    assert isinstance(completion.choices[0].message.parsed, Month)


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_allowed_tools_narrow_what_is_called(server: Address, mode: str) -> None:
    named = [{"type": "function", "function": {"name": "time"}}]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}
    answer = asked(server, RAIN, tools=TOOLS, tool_choice=allowed)
    whole = asked(server, RAIN, tools=TOOLS)
    assert answer.usage.prompt_tokens == whole.usage.prompt_tokens
    names = {name for name, _ in calls(answer.choices[0].message)}
    assert names == {"time"} or (mode == "auto" and not names)


def test_allowed_tool_that_is_not_offered_is_refused(server: Address) -> None:
    named = [{"type": "function", "function": {"name": name}} for name in ("time", "tide")]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": named}}
    error = refusal(server, RAIN, tools=TOOLS, tool_choice=allowed)
    assert error.param == "tool_choice.allowed_tools.tools[1].function.name"


def test_logprobs_are_those_of_the_text(server: Address) -> None:
    settings = {"logprobs": True, "top_logprobs": 2}
    (choice,) = asked(server, HI, **settings).choices
    records = choice.logprobs.content
    assert b"".join(bytes(r.bytes) for r in records).decode() == choice.message.content
    for record in records:
        assert record.logprob == record.top_logprobs[0].logprob <= 0
        assert record.token == record.top_logprobs[0].token
        assert record.top_logprobs[1].logprob < record.logprob and len(record.top_logprobs) == 2
    found = []
    for chunk in asked(server, HI, stream=True, **settings):
        found += (
            chunk.choices[0].logprobs or choice.logprobs.model_copy(update={"content": []})
        ).content
    assert found == records
    cut = asked(server, HI, stop=" how", **settings).choices[0]
    assert "".join(r.token for r in cut.logprobs.content) == cut.message.content == "Hello there,"
    assert asked(server, HI).choices[0].logprobs is None


def test_logprobs_are_the_models_own_under_a_constraint(server: Address) -> None:
    (choice,) = asked(server, HI, response_format=FORMAT, logprobs=True, top_logprobs=1).choices
    first = choice.logprobs.content[0]
    assert first.token.startswith("{") and first.top_logprobs[0].token == "H"
    assert first.logprob < first.top_logprobs[0].logprob


def test_fields_without_effect_change_no_reply(server: Address) -> None:
    plain = asked(server, HI).choices[0].message.content
    idle = {
        "prediction": None,
        "prompt_cache_retention": "24h",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "audio": None,
        "unheard_of": None,
        "stop": None,
    }
    assert asked(server, HI, extra_body=idle).choices[0].message.content == plain
    chunks = asked(server, HI, stream=True, stream_options={"include_obfuscation": True})
    assert streamed(chunks)[0] == plain


def test_reasoning_effort_is_noted(server: Address) -> None:
    create = server.client().chat.completions.with_raw_response.create
    raw = create(model="here", messages=HI, reasoning_effort="low", temperature=0)
    assert raw.headers["x-without-effect"] == "reasoning_effort"
    assert server.lines[-1].endswith("; without effect here: reasoning_effort")


def history(**changes: Any) -> list[dict[str, Any]]:
    call = {"id": "c", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    reply = {"role": "assistant", "content": None, "tool_calls": [call], **changes}
    return [*HI, reply, {"role": "tool", "tool_call_id": "c", "content": "noon"}]


def test_replies_are_taken_back_with_all_their_keys(server: Address) -> None:
    def tokens(messages: Any) -> int:
        return asked(server, messages, tools=TOOLS, max_tokens=1).usage.prompt_tokens

    plain = tokens(history())
    noted = history(reasoning_content="A bell.", provider_note={"x": 1}, annotations=[{"a": 1}])
    noted[1]["tool_calls"][0] |= {"index": 0, "extra_content": {"google": {}}}
    noted[2] |= {"is_error": False, "status": "done"}
    assert tokens(noted) == plain
    parts = [{"type": "text", "text": "noon", "annotations": []}]
    noted[2]["content"] = parts
    assert tokens(noted) == plain
    empty = history()
    empty[1]["tool_calls"][0]["function"]["arguments"] = ""
    assert tokens(empty) == plain


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"content": [{"type": "text", "text": "a", "lang": "en"}]}, "messages[0].content[0].lang"),
        ({"content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"content": [{"type": "text", "text": "a"}, 5]}, "messages[0].content[1]"),
        ({"content": "a", "images": ["x"]}, "messages[0].images"),
    ],
)
def test_errors_name_the_exact_path(server: Address, message: Any, param: str) -> None:
    assert refusal(server, [{"role": "user", **message}]).param == param


def test_cache_control_changes_nothing(server: Address) -> None:
    part = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    (choice,) = asked(server, [{"role": "user", "content": [part]}]).choices
    assert choice.message.content == "Hello there, how are you today?"


def test_parameters_that_are_no_object_are_refused_by_path(server: Address) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": 5}}
    assert refusal(server, HI, tools=[tool]).param == "tools[0].function.parameters"


@pytest.mark.parametrize("most", [80, 12, 5, 4])
@pytest.mark.parametrize("stream", [False, True])
def test_call_where_none_is_allowed_is_told(server: Address, most: int, stream: bool) -> None:
    settings = {"tools": TOOLS, "tool_choice": "none", "max_tokens": most}
    answer = asked(server, RING, stream=stream, **settings)
    said = [part.choices[0].delta for part in answer] if stream else [answer.choices[0].message]
    content = "".join(part.content or "" for part in said)
    assert content and CALL_TEXT.startswith(content)
    assert all(part.tool_calls is None for part in said)
    problems = [part.tool_call_problem for part in said if hasattr(part, "tool_call_problem")]
    assert len(problems) == 1 and "no tool may be called" in problems[0]


def test_tool_choice_none_leaves_the_tools_out_of_the_prompt(server: Address) -> None:
    plain = asked(server, HI)
    none = asked(server, HI, tools=TOOLS, tool_choice="none")
    assert none.usage.prompt_tokens == plain.usage.prompt_tokens
    assert none.choices[0].message == plain.choices[0].message
    with served_here(learned_model(), none_keeps_tools=True) as keeping:
        kept = asked(keeping, HI, tools=TOOLS, tool_choice="none")
        auto = asked(keeping, HI, tools=TOOLS)
        assert kept.usage.prompt_tokens == auto.usage.prompt_tokens > plain.usage.prompt_tokens
        assert kept.choices[0].message.tool_calls is None


def test_metrics_count_replies_and_tokens(server: Address) -> None:
    def figures() -> dict[str, int]:
        with urllib.request.urlopen(server.url.removesuffix("/v1") + "/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            lines = answer.read().decode().splitlines()
        told = (line.split(" ") for line in lines if not line.startswith("#"))
        return {name: int(value) for name, value in told}

    before = figures()
    usage = asked(server, HI).usage
    after = figures()
    assert after["replies_total"] == before["replies_total"] + 1
    # The token that ends a reply is generated too.
    assert after["tokens_total"] - before["tokens_total"] in (
        usage.completion_tokens,
        usage.completion_tokens + 1,
    )
    assert (after["replies_running"], after["replies_waiting"]) == (0, 0)


def test_health_is_told_without_a_key(server: Address) -> None:
    with urllib.request.urlopen(server.url.removesuffix("/v1") + "/health") as answer:
        assert json.load(answer) == {"status": "ok"}
