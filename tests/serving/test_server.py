"""The server with OpenAI's client: tool conversations, errors, many clients, shutdown."""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command_lines import next_commands, problem_of
from commands import Outcome, run_command
from native_directories import write_params
from safetensors.torch import save_file
from served_model import Served, served
from speaking_model import TOKENIZER, write_speaking_model
from tiny_models import TINY, random_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.conversations import write_conversations
from inference.generate import Decoding
from inference.loading import Source, load_chat_model
from model.config import ModelConfig
from weights.directory import WEIGHTS_FILE
from weights.tokenizer_file import TOKENIZER_FILE

openai = pytest.importorskip("openai")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Lyon", "Oslo"]}}}
WEATHER = Tool("weather", "The weather", {**SCHEMA, "required": ["city"]})
TIME = Tool("time", "The time", {"type": "object", "properties": {}})
TOOLS = [WEATHER.to_record(), TIME.to_record()]
LYON, OSLO = ToolCall("weather", {"city": "Lyon"}), ToolCall("weather", {"city": "Oslo"})
RESULTS = ("dry", "wet")
LEARNED = [
    Conversation(
        (
            Message("user", "Rain in Lyon and Oslo?"),
            Message("assistant", "I look.", (LYON, OSLO)),
            *(Message("tool", text) for text in RESULTS),
            Message("assistant", "Dry in Lyon, wet in Oslo."),
        ),
        (WEATHER, TIME),
        id="rain",
    ),
    Conversation(
        (Message("user", "Hi"), Message("assistant", "Hello there, how are you today?")), id="hi"
    ),
    Conversation(
        (
            Message("user", "Break"),
            Message("assistant", '{"tool_uses": [{"recipient_name": "functions.time"}]}'),
        ),
        (WEATHER, TIME),
        id="break",
    ),
]
HI = [{"role": "user", "content": "Hi"}]
RAIN = [{"role": "user", "content": "Rain in Lyon and Oslo?"}]
GREEDY: dict[str, Any] = {"model": "speaking", "temperature": 0}
KEY = "sk-none-of-theirs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned three conversations, and one whose text never ends."""
    folder = tmp_path_factory.mktemp("served")
    write_speaking_model(folder / "speaking", LEARNED)
    config = ModelConfig.read(folder / "speaking")
    model = random_model(ModelConfig(**{**TINY.__dict__, "vocab_size": config.vocab_size}), seed=3)
    with torch.no_grad():
        # Sharper than at random, so that its texts wander; and no special token is ever said.
        for layer in model.layers:
            layer.attention.wo.weight.mul_(6)
            layer.feed_forward.w2.weight.mul_(6)
        model.output.weight[-256:] = 0
    babbling = folder / "babbling"
    babbling.mkdir()
    save_file({n: p.detach() for n, p in model.named_parameters()}, babbling / WEIGHTS_FILE)
    write_params(babbling, model.config)
    (babbling / TOKENIZER_FILE).write_bytes(TOKENIZER.read_bytes())
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    with served(folder / "speaking", KEY) as server:
        yield server


@pytest.fixture(scope="module")
def babbler(folder: Path) -> Iterator[Served]:
    with served(folder / "babbling", **{"max-batch-size": 5, "max-waiting": 40}) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Served) -> Any:
    return server.client()


def results_of(message: Any, order: int = 1) -> list[dict[str, str]]:
    answered = [
        {"role": "tool", "tool_call_id": call.id, "content": text}
        for call, text in zip(message.tool_calls, RESULTS, strict=True)
    ]
    return answered[::order]


def called(message: Any) -> list[ToolCall]:
    return [
        ToolCall(call.function.name, json.loads(call.function.arguments))
        for call in message.tool_calls or ()
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_tool_results_may_arrive_in_any_order(client: Any, order: int) -> None:
    """The prompt has the results in the order of their calls."""
    first = client.chat.completions.create(messages=RAIN, tools=TOOLS, **GREEDY)
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "I look."
    assert called(choice.message) == [LYON, OSLO]
    assert len({call.id for call in choice.message.tool_calls}) == 2
    messages = [*RAIN, choice.message, *results_of(choice.message, order)]
    second = client.chat.completions.create(messages=messages, tools=TOOLS, **GREEDY)
    assert second.choices[0].message.content == "Dry in Lyon, wet in Oslo."
    assert second.choices[0].message.tool_calls is None
    assert second.choices[0].finish_reason == "stop"
    usage = second.usage
    assert usage.prompt_tokens > first.usage.prompt_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert second.id != first.id and second.model == "speaking"


def test_streamed_tool_conversation_has_text_usage_and_forced_call(client: Any) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    forced = {"type": "function", "function": {"name": "weather"}}
    with client.chat.completions.stream(
        messages=RAIN, tools=TOOLS, tool_choice=forced, **GREEDY
    ) as events:
        message = events.get_final_completion().choices[0].message
    assert message.content is None
    calls = called(message)
    assert calls and all(call.name == "weather" for call in calls)
    # The model has learned no answer to the forced calls, so the learned calls are made again.
    first = client.chat.completions.create(messages=RAIN, tools=TOOLS, **GREEDY).choices[0].message
    messages = [*RAIN, first.model_dump(exclude_none=True), *results_of(first)]
    chunks = list(
        client.chat.completions.create(messages=messages, tools=TOOLS, **options, **GREEDY)
    )
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
    assert "".join(texts) == "Dry in Lyon, wet in Oslo."
    assert sum(map(bool, texts)) > 5
    assert chunks[0].choices[0].delta.role == "assistant"
    reasons = [chunk.choices[0].finish_reason for chunk in chunks[:-1]]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert chunks[-1].choices == []
    whole = client.chat.completions.create(messages=messages, tools=TOOLS, **GREEDY)
    assert chunks[-1].usage == whole.usage


def test_streamed_calls_equal_the_calls_of_a_completion(client: Any) -> None:
    with client.chat.completions.stream(messages=RAIN, tools=TOOLS, **GREEDY) as events:
        completion = events.get_final_completion()
    (choice,) = completion.choices
    assert (choice.message.content, called(choice.message)) == ("I look.", [LYON, OSLO])
    assert choice.finish_reason == "tool_calls"
    assert completion.usage is None


def test_tool_choice_decides_which_tools_are_called(client: Any) -> None:
    def reply(messages: Any, choice: Any) -> Any:
        asked = {"messages": messages, "tools": TOOLS, "tool_choice": choice, "max_tokens": 120}
        return client.chat.completions.create(**asked, **GREEDY).choices[0].message

    named = {"type": "function", "function": {"name": "time"}}
    assert {call.name for call in called(reply(RAIN, named))} == {"time"}
    assert called(reply(HI, "required"))
    assert called(reply(RAIN, "auto")) == [LYON, OSLO]
    unwilling = reply(RAIN, "none")
    assert unwilling.tool_calls is None
    assert unwilling.content


def test_unreadable_call_is_text_unless_the_tool_is_strict(
    client: Any,
) -> None:
    asked = {"messages": [{"role": "user", "content": "Break"}], **GREEDY, "max_tokens": 120}
    message = client.chat.completions.create(tools=TOOLS, **asked).choices[0].message
    assert message.content == LEARNED[2].messages[1].content
    assert "parameters" in message.tool_call_problem
    assert message.tool_calls is None
    strict = [{**TOOLS[1], "function": {**TOOLS[1]["function"], "strict": True}}]
    message = client.chat.completions.create(tools=strict, **asked).choices[0].message
    assert {call.name for call in called(message)} == {"time"}
    chunks = client.chat.completions.create(tools=TOOLS, stream=True, **asked)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == LEARNED[2].messages[1].content
    assert any("parameters" in getattr(delta, "tool_call_problem", "") for delta in deltas)


def test_token_limits_and_stop_texts_end_a_reply(client: Any) -> None:
    def reply(**settings: Any) -> Any:
        completion = client.chat.completions.create(messages=HI, **GREEDY, **settings)
        return completion.choices[0], completion.usage.completion_tokens

    choice, tokens = reply(max_completion_tokens=3, max_tokens=50)
    assert (choice.finish_reason, tokens) == ("length", 3)
    assert "Hello there".startswith(choice.message.content)
    choice, _ = reply(stop=["how", "are"])
    assert (choice.finish_reason, choice.message.content) == ("stop", "Hello there,")
    parts = [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]
    asked = {"messages": [{"role": "user", "content": parts}], "n": 2, **GREEDY}
    both = client.chat.completions.create(**asked)
    assert [choice.message.content for choice in both.choices] == [
        "Hello there, how are you today?"
    ] * 2
    assert both.usage.completion_tokens == 2 * reply()[1]


def test_seed_fixes_sampling_and_choices_differ(babbler: Served) -> None:
    def texts(**settings: Any) -> list[str]:
        asked = {"model": "babbling", "messages": HI, "max_tokens": 12, "temperature": 2}
        completion = babbler.client().chat.completions.create(**asked, **settings)
        return [choice.message.content for choice in completion.choices]

    assert texts(seed=1, n=2) == texts(seed=1, n=2)
    assert len({*texts(seed=1, n=2), *texts(seed=2), *texts(), *texts()}) == 5
    assert texts(top_p=0) == texts(top_p=0)


def test_models_are_listed_and_an_unknown_one_is_404(client: Any, server: Served) -> None:
    assert [model.id for model in client.models.list()] == ["speaking"]
    assert client.models.retrieve("speaking").owned_by == "local"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt")
    assert caught.value.code == "model_not_found"


def with_tool(**changes: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {**TOOLS[0]["function"], **changes}}]}


CALL = {"id": "c", "type": "function", "function": {"name": "time", "arguments": "{}"}}
ASKED = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "noon"}
UNSUPPORTED = {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}}


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"messages": None}, "messages", "invalid_value"),
        ({"messages": ...}, "messages", "missing_required_parameter"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ({"messages": [*HI, RESULT]}, "messages[1].role", "invalid_value"),
        ({"messages": [*HI, ASKED]}, "messages[1].tool_calls", "invalid_value"),
        ({"messages": [*HI, ASKED, *HI]}, "messages[1].tool_calls", "invalid_value"),
        (
            {"messages": [*HI, ASKED, {**RESULT, "tool_call_id": "d"}]},
            "messages[2].tool_call_id",
            "invalid_value",
        ),
        ({"messages": [*HI, ASKED, RESULT, RESULT]}, "messages[3].tool_call_id", "invalid_value"),
        (
            {"messages": [{**HI[0], "tool_calls": [CALL]}]},
            "messages[0].tool_calls",
            "invalid_value",
        ),
        (
            {"messages": [{**ASKED, "tool_calls": [{**CALL, "function": {"name": "f"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": "word " * 5000}]},
            "messages",
            "context_length_exceeded",
        ),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages", "invalid_value"),
        ({"model": "gpt"}, "model", "model_not_found"),
        ({"model": ...}, "model", "missing_required_parameter"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"temperature": "hot"}, "temperature", "invalid_value"),
        ({"top_p": -1}, "top_p", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"n": 9}, "n", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"functions": []}, "functions", "unknown_parameter"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "always"}, "tool_choice", "invalid_value"),
        (
            {**with_tool(), "tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice.function.name",
            "invalid_value",
        ),
        ({"tools": [{"type": "search"}]}, "tools[0].type", "invalid_value"),
        ({"tools": TOOLS[:1] * 2}, "tools[1].function.name", "invalid_value"),
        (
            with_tool(parameters={"type": "objekt"}),
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        (
            with_tool(parameters=UNSUPPORTED, strict=True),
            "tools[0].function.parameters",
            "unsupported_value",
        ),
        ({"user": "me", "store": False, "logit_bias": None}, None, None),
    ],
)
def test_malformed_requests_get_openai_error_records(
    server: Served, change: dict[str, Any], param: str | None, code: str | None
) -> None:
    body = {**GREEDY, "messages": HI, "max_tokens": 4, **change}
    given = {name: value for name, value in body.items() if value is not ...}
    status, _, answer = server.post(json.dumps(given).encode())
    if code is None:
        assert status == 200
        return
    assert status == (404 if code == "model_not_found" else 400)
    error = answer["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert error["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b'{"seed": NaN}', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"[1]", "invalid_type"),
    ],
)
def test_body_that_is_no_json_object_is_rejected(server: Served, body: bytes, code: str) -> None:
    status, _, answer = server.post(body)
    assert (status, answer["error"]["code"]) == (400, code)


def test_openai_client_raises_bad_request_error(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(messages=HI, **{**GREEDY, "temperature": 9})
    error = caught.value
    assert (error.type, error.param, error.code) == (
        "invalid_request_error",
        "temperature",
        "invalid_value",
    )


@pytest.mark.parametrize("key", ["", "wrong", KEY + "x", "ä"])
def test_requests_without_the_right_key_get_401(server: Served, key: str) -> None:
    for path in ("/chat/completions", "/models", "/models/speaking"):
        body = (
            json.dumps({**GREEDY, "messages": HI}).encode() if path == "/chat/completions" else None
        )
        headers = {"Authorization": f"Bearer {key}"}
        status, _, answer = server.post(body, headers, path)  # type: ignore[arg-type]
        assert status == 401
        assert answer["error"]["type"] == "authentication_error"
        assert answer["error"]["code"] == "invalid_api_key"


def test_oversized_body_gets_413_and_unknown_paths_an_error(server: Served) -> None:
    status, _, answer = server.post(b"x" * (4 * 2**20 + 1))
    assert (status, answer["error"]["code"]) == (413, "request_too_large")
    for path, status in (("/embeddings", 404), ("/models", 405)):
        assert server.post(b"{}", path=path)[0] == status


Evaluate = Callable[..., Outcome]


def test_endpoint_and_local_model_get_the_same_scores(
    server: Served,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from scripts.evaluate import main

    wrong = replace(
        LEARNED[0], id="wrong", messages=(LEARNED[1].messages[0], LEARNED[0].messages[1])
    )
    write_conversations(tmp_path / "data.jsonl", [*LEARNED, wrong])
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = []
    sources: list[list[object]] = [
        ["--ckpt-dir", folder / "speaking"],
        ["--endpoint", server.url, "--model", "speaking"],
    ]
    for number, source in enumerate(sources):
        file = tmp_path / f"{number}.json"
        flags: list[object] = ["--dataset-file", tmp_path / "data.jsonl", "--output-file", file]
        outcome = run_command(main, [*source, *flags], monkeypatch, capsys)
        assert (outcome.code, outcome.error) == (0, "")
        results = json.loads(file.read_text())
        about = results["summary"].pop("about")
        assert about["dataset_file"]
        verdicts = [{**result, "text": ""} for result in results["verdicts"]]
        found.append((results["summary"], verdicts))
    assert found[0] == found[1]
    assert {verdict["id"]: verdict["verdict"] for verdict in found[0][1]} == {
        "rain/1": True,
        "rain/4": True,
        "hi/1": True,
        "break/1": False,
        "wrong/1": False,
    }


def test_32_concurrent_clients_get_their_own_replies(babbler: Served, folder: Path) -> None:
    asked = [f"{word} {number}" for number in range(8) for word in ("Hi", "Rain", "No", "where")]
    chat_model = load_chat_model(Source(str(folder / "babbling")))
    decoding = Decoding(stop_ids=(), max_new_tokens=40)
    alone = [
        next(chat_model.answers([Conversation((Message("user", text),))], decoding))[
            1
        ].reply.content
        for text in asked
    ]
    assert len(set(alone)) == 32

    def ask(number: int) -> str:
        body = {"model": "babbling", "temperature": 0, "max_tokens": 40}
        client = babbler.client()
        messages = [{"role": "user", "content": asked[number]}]
        if number % 2:
            return (
                client.chat.completions.create(messages=messages, **body).choices[0].message.content
            )
        chunks = client.chat.completions.create(messages=messages, stream=True, **body)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(ask, range(32))) == alone


def test_full_queue_disconnects_and_shutdown_are_handled(folder: Path) -> None:
    """One row, one waiting place, and replies that would take minutes."""
    endless: dict[str, Any] = {"model": "b", "messages": HI, "temperature": 0}
    flags = {"max-batch-size": 1, "max-waiting": 1, "max-seq-len": 100_000, "model-name": "b"}
    with served(folder / "babbling", **flags) as server:
        create = server.client().chat.completions.create
        streams = [create(stream=True, **endless) for _ in range(2)]
        assert next(iter(streams[0])).choices
        with pytest.raises(openai.RateLimitError) as caught:
            create(**endless)
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.response.headers["Retry-After"] == "1"
        for stream in streams:
            stream.close()
        # This is answered only after both streams have been cancelled.
        patient = server.client(max_retries=10).chat.completions.create
        assert patient(max_tokens=5, **endless).usage.completion_tokens == 5
        with pytest.raises(openai.APITimeoutError):
            server.client(timeout=0.5).chat.completions.create(**endless)
        assert patient(max_tokens=5, **endless).usage.completion_tokens == 5
        # A reply in progress at SIGTERM is completed.
        stream = iter(create(stream=True, max_tokens=300, **endless))
        next(stream)
        assert server.end(signal.SIGTERM) == 0
        assert list(stream)[-1].choices[0].finish_reason == "length"
        with pytest.raises(openai.APIConnectionError):
            create(**endless)
    reports = [line for line in server.lines if " tokens, " in line]
    assert [line.partition(":")[0] for line in reports].count("broken off") >= 2
    assert server.lines[-1] == "stopped\n"
    assert not any("Traceback" in line for line in server.lines)


def test_replies_end_with_an_error_after_the_grace_period(folder: Path) -> None:
    endless: dict[str, Any] = {"model": "babbling", "messages": HI, "temperature": 0}
    with served(folder / "babbling", **{"max-seq-len": 100_000, "grace": 0}) as server:
        stream = iter(server.client().chat.completions.create(stream=True, **endless))
        next(stream)
        assert server.process.send_signal(signal.SIGTERM) is None
        with pytest.raises(openai.APIError, match="the server is ending"):
            list(stream)
        assert server.process.wait(30) == 0
    assert not any("Traceback" in line or "ERROR" in line for line in server.lines)


def test_second_signal_ends_replies_without_waiting(folder: Path) -> None:
    endless: dict[str, Any] = {"model": "babbling", "messages": HI, "temperature": 0}
    with served(folder / "babbling", **{"max-seq-len": 100_000, "grace": 600}) as server:
        stream = iter(server.client().chat.completions.create(stream=True, **endless))
        next(stream)
        server.process.send_signal(signal.SIGINT)
        # Two signals at once would be one.
        with pytest.raises(openai.APIConnectionError):
            while next(stream):
                server.client().models.list()
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(openai.APIError, match="the server is ending"):
            list(stream)
        assert server.process.wait(30) == 0
    assert not any("Traceback" in line or "ERROR" in line for line in server.lines)


def test_ctrl_c_ends_an_idle_server(folder: Path) -> None:
    with served(folder / "speaking", constrain=True) as server:
        message = {"role": "user", "content": "Break"}
        asked = {"messages": [message], "tools": TOOLS, "max_tokens": 120, **GREEDY}
        (choice,) = server.client().chat.completions.create(**asked).choices
        assert not hasattr(choice.message, "tool_call_problem")
        assert server.end(signal.SIGINT) == 0
    assert [problem_of(line) for line in next_commands("".join(server.lines[:5]))] == [""]
