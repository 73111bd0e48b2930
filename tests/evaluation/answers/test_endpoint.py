"""Requests to an OpenAI-compatible server, its answers, and the errors where it fails."""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from openai_server import completion, serving

from chat.conversation import Conversation, Message, Tool, ToolCall
from evaluation.answers.answer_log import AnswerLog
from evaluation.answers.endpoint import Endpoint, Request, wire_messages, wire_names
from evaluation.answers.refused_settings import refused_setting
from inference.chat_model import Answer, SkippedItem

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool("weather.now", "The weather", SCHEMA)
ASKED = Conversation((Message("user", "Rain in Lyon?"),), (WEATHER,))


def test_request_contains_messages_tools_and_sampling_settings() -> None:
    with serving(lambda _: completion("Hello")) as server:
        endpoint = Endpoint(server.url, Request("m", 64, 0.5, 0.9, 7))
        ((index, answer),) = endpoint.answers([ASKED])
    assert (index, answer.text, answer.reply.content, answer.whole) == (0, "Hello", "Hello", True)
    (request,) = server.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["messages"] == [{"role": "user", "content": "Rain in Lyon?"}]
    function = {"name": "weather_now", "description": "The weather", "parameters": SCHEMA}
    assert request["tools"] == [{"type": "function", "function": function}]
    settings = {name: request[name] for name in ("model", "max_tokens", "temperature", "top_p")}
    assert settings == {"model": "m", "max_tokens": 64, "temperature": 0.5, "top_p": 0.9}
    assert request["seed"] == 7


def test_wire_names_in_calls_become_tool_names_again() -> None:
    called = completion(None, ("weather_now", '{"city": "Lyon"}'), ("other", "{}"))
    with serving(lambda _: called) as server:
        ((_, answer),) = Endpoint(server.url + "/v1/", Request("m")).answers([ASKED])
    calls = (ToolCall("weather.now", {"city": "Lyon"}), ToolCall("other", {}))
    assert answer.reply.tool_calls == calls


def test_invalid_argument_json_becomes_the_reply_problem() -> None:
    with serving(lambda _: completion(None, ("weather_now", '{"city": '), finish="length")) as it:
        ((_, answer),) = Endpoint(it.url, Request("m")).answers([ASKED])
    assert answer.reply.tool_calls == ()
    assert "arguments of weather.now are no JSON" in str(answer.reply.problem)
    assert not answer.whole


def test_concurrent_answers_keep_their_conversation_index() -> None:
    asked = [Conversation((Message("user", f"number {i}"),)) for i in range(40)]
    with serving(lambda request: completion(request["messages"][0]["content"])) as server:
        answers = list(Endpoint(server.url, Request("m", at_once=8)).answers(asked))
    assert [(i, answer.text) for i, answer in answers] == [(i, f"number {i}") for i in range(40)]
    assert all("tools" not in request for request in server.requests)


GARBAGE = "<html>proxy error</html>"


@pytest.mark.parametrize(
    ("reaction", "told"),
    [
        ((200, GARBAGE, "text/html"), "answered what is no chat completion: '<html>"),
        ((200, GARBAGE, "application/json"), "answered what is no"),
        ((200, "{}", "application/json"), "answered what is no chat completion"),
        ((200, "[]", "application/json"), "answered what is no chat completion"),
        ((200, "null", "application/json"), "answered what is no chat completion"),
        ((200, '{"choices": []}', "application/json"), "answered what is no chat completion"),
        ((200, '{"choices": {"0": 1}}', "application/json"), "answered what is no chat completion"),
        ((200, "[" * 100_000, "application/json"), "answered what is no JSON"),
        ((200, "", "application/json"), "answered what is no JSON"),
        ((302, "", "text/html"), "answered 302"),
        ((200, '{"choices": [{}]}', "application/json"), "answered what is no chat completion"),
        (completion(5), "answered what is no chat completion"),  # type: ignore[arg-type]
        (completion(None, (7, "{}")), "answered what is no chat"),  # type: ignore[arg-type]
        ((404, '{"error": {"message": "no model m"}}', "application/json"), "answered 404:"),
        ((401, "who are you", "text/plain"), "answered 401:"),
    ],
)
def test_response_that_is_no_completion_raises_with_the_url(
    reaction: tuple[int, str, str], told: str
) -> None:
    with serving(lambda _: reaction) as server:
        endpoint = Endpoint(server.url, Request("m"))
        with pytest.raises(ValueError) as caught:
            list(endpoint.answers([ASKED]))
    assert told in str(caught.value)
    assert str(caught.value).startswith(server.url)


def test_finished_answers_are_yielded_before_an_error() -> None:
    """One of two threads waits for the first answer until the other has come to the last."""
    last = threading.Event()

    def react(request: dict[str, Any]) -> tuple[int, str, str]:
        text = request["messages"][0]["content"]
        if text == "first":
            last.wait(timeout=20)
            return 200, GARBAGE, "text/html"
        if text == "last":
            last.set()
        return completion(text)

    asked = [Conversation((Message("user", text),)) for text in ("first", "2", "3", "4", "last")]
    found = []
    with serving(react) as server, pytest.raises(ValueError, match="no chat completion"):
        for index, answer in Endpoint(server.url, Request("m", at_once=2)).answers(asked):
            found.append((index, answer.text))
    assert found[:3] == [(1, "2"), (2, "3"), (3, "4")]


def test_unreachable_server_raises_with_its_url() -> None:
    with serving(lambda _: completion("")) as server:
        url = server.url
    endpoint = Endpoint(url, Request("m"))
    endpoint.client = endpoint.client.with_options(max_retries=0)
    with pytest.raises(ValueError, match=r"/v1 cannot be reached \(.+\); is the server running\?"):
        list(endpoint.answers([ASKED]))


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "model"])
def test_invalid_endpoint_url_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="wanted such as http://localhost:8000/v1"):
        Endpoint(url, Request("m"))


def test_tool_results_carry_the_id_of_their_call() -> None:
    messages = (
        Message("user", "Both?"),
        Message("assistant", "", (ToolCall("a.b", {"x": 1}), ToolCall("c", {}, id="mine"))),
        Message("tool", "1", name="a.b"),
        Message("tool", "2", name="c", tool_call_id="mine"),
        Message("assistant", "Done"),
    )
    wire = wire_messages(messages, {"a.b": "a_b"})
    first, second = wire[1]["tool_calls"]
    assert (first["id"], second["id"]) == ("call_1_0", "mine")
    assert first["function"]["name"] == "a_b"
    assert json.loads(first["function"]["arguments"]) == {"x": 1}
    assert [message["tool_call_id"] for message in wire[2:4]] == ["call_1_0", "mine"]
    assert wire[4] == {"role": "assistant", "content": "Done"}


def test_tool_names_that_collide_on_the_wire_stay_distinct() -> None:
    names = wire_names([Tool("a.b"), Tool("a_b"), Tool("a b"), Tool("x" * 70)])
    assert len(set(names.values())) == 4
    assert all(len(name) <= 64 for name in names.values())
    assert names["a.b"] == "a_b"


def test_200_tools_get_distinct_valid_wire_names() -> None:
    tools = [Tool(chr(0x4E00 + i)) for i in range(200)]
    names = wire_names(tools)
    assert len(set(names.values())) == len(tools)
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", name) for name in names.values())


def refusal(told: str, param: str | None = None, status: int = 400) -> tuple[int, str, str]:
    return status, json.dumps({"error": {"message": told, "param": param}}), "application/json"


def test_a_reasoning_model_is_asked_without_what_it_refuses() -> None:
    told: list[str] = []

    def react(request: dict[str, object]) -> tuple[int, str, str]:
        if "max_tokens" in request:
            instead = "Use 'max_completion_tokens' instead."
            return refusal(f"Unsupported parameter: 'max_tokens'. {instead}", "max_tokens")
        if "temperature" in request:
            return refusal("Unsupported value: 'temperature' does not support 0.", "temperature")
        if "seed" in request:
            return refusal("seed: Extra inputs are not permitted", status=422)
        return completion("fine")

    asked = [Conversation((Message("user", str(number)),)) for number in range(6)]
    with serving(react) as server:
        endpoint = Endpoint(server.url, Request("m", max_new_tokens=7, at_once=2), tell=told.append)
        answers = dict(endpoint.answers(asked))
    assert [answers[index].text for index in range(6)] == ["fine"] * 6
    last = server.requests[-1]
    assert last["max_completion_tokens"] == 7 and "top_p" in last
    assert not {"max_tokens", "temperature", "seed"} & last.keys()
    assert len(told) == 3 and told[0].endswith("max_completion_tokens is sent in its place")
    assert len(server.requests) <= 6 + 2 * 3, "what was learnt is not asked again"


@pytest.mark.parametrize(
    ("told", "param", "found"),
    [
        ("Unrecognized request argument supplied: seed", None, "seed"),
        ("does not support parameters: ['top_p', 'seed']", None, "top_p"),
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'", None, "max_tokens"),
        ("Unsupported value", "temperature", "temperature"),
        ("max_tokens is too large: 9000 for a context of 4096", None, None),
        ("Unknown model m", "model", None),
        ("tools: Extra inputs are not permitted", None, None),
    ],
)
def test_the_setting_is_read_from_what_the_server_says(
    told: str, param: str | None, found: str | None
) -> None:
    body = {"model": "m", "max_tokens": 1, "temperature": 0, "top_p": 1, "seed": 1}
    assert refused_setting(body, param, told) == found


def test_a_conversation_that_the_server_refuses_is_skipped_alone() -> None:
    def react(request: dict[str, object]) -> tuple[int, str, str]:
        long = "long" in json.dumps(request["messages"])
        return refusal("the context is full") if long else completion("fine")

    asked = [Conversation((Message("user", text),)) for text in ("long", "a", "b")]
    with serving(react) as server:
        answers = dict(Endpoint(server.url, Request("m")).answers(asked))
        with pytest.raises(ValueError, match=r"answered 400: .*the context is full"):
            dict(Endpoint(server.url, Request("m")).answers(asked[:1] * 3))
    assert isinstance(answers[0], SkippedItem) and "the context is full" in answers[0].reason
    assert isinstance(answers[1], Answer) and isinstance(answers[2], Answer)


def test_a_server_that_answered_before_may_refuse_all_of_a_later_call() -> None:
    """Tasks of several turns are asked call by call, and the last ones may be the longest."""

    def react(request: dict[str, object]) -> tuple[int, str, str]:
        long = "long" in json.dumps(request["messages"])
        return refusal("the context is full") if long else completion("fine")

    with serving(react) as server:
        endpoint = Endpoint(server.url, Request("m"))
        ((_, first),) = endpoint.answers([ASKED])
        ((_, later),) = endpoint.answers([Conversation((Message("user", "long"),))])
    assert isinstance(first, Answer) and isinstance(later, SkippedItem)


def test_a_failure_that_passes_is_tried_again() -> None:
    seen: list[int] = []

    def react(request: dict[str, object]) -> tuple[int, str, str]:
        seen.append(1)
        return (429, "slow down", "text/plain") if len(seen) < 3 else completion("fine")

    with serving(react, retry=True) as server:
        ((_, answer),) = Endpoint(server.url, Request("m")).answers([ASKED])
    assert isinstance(answer, Answer) and answer.text == "fine"


def test_answers_of_a_run_that_was_cut_off_are_not_asked_again(tmp_path: Path) -> None:
    asked = [Conversation((Message("user", text),)) for text in ("a", "b", "c")]
    call = ("t", '{"x": "\\ud800"}')
    log = tmp_path / "out.json.answers.jsonl"
    with serving(lambda _: completion("fine", call)) as server:
        request = Request("m")
        first = dict(Endpoint(server.url, request, AnswerLog(log)).answers(asked[:2]))
        log.write_bytes(log.read_bytes() + b'{"key": "cut o')
        again = dict(Endpoint(server.url, request, AnswerLog(log)).answers(asked))
        assert len(server.requests) == 3
        assert [again[0], again[1]] == [first[0], first[1]]
        # How many are asked at once changes no answer.
        list(Endpoint(server.url, Request("m", at_once=2), AnswerLog(log)).answers(asked))
        assert len(server.requests) == 3
        # Another question is no answer to this one.
        list(Endpoint(server.url, Request("m", seed=5), AnswerLog(log)).answers(asked))
        assert len(server.requests) == 6
    assert len(AnswerLog(log).kept) == 6, "the line that was cut off spoils no other"


def test_open_requests_are_awaited_before_a_server_is_given_up() -> None:
    """Refusing takes no time, and the first conversations may be the longest."""

    def react(request: dict[str, object]) -> tuple[int, str, str]:
        if "long" in json.dumps(request["messages"]):
            return refusal("the context is full")
        time.sleep(0.3)
        return completion("fine")

    asked = [Conversation((Message("user", text),)) for text in ["long"] * 9 + ["short"]]
    with serving(react) as server:
        answers = dict(Endpoint(server.url, Request("m")).answers(asked))
    assert [isinstance(answers[index], SkippedItem) for index in range(10)] == [True] * 9 + [False]
