"""Tool conversations of the openai client and the openai-agents library, on both endpoints."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from served_conversations import (
    ANSWERS,
    IN_JSON,
    QUESTION,
    RESULTS,
    TIME,
    WEATHER,
    learned_model,
)
from served_model import Address, served_here

pytest.importorskip("openai")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

WAYS = pytest.mark.parametrize("parallel", [True, False])


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    with served_here(learned_model()) as server:
        yield server


def flat(tool: Any) -> dict[str, Any]:
    return {"type": "function", **tool.to_record()["function"]}


@WAYS
@pytest.mark.parametrize("stream", [False, True])
def test_openai_client_completes_a_chat_with_tools(
    server: Address, parallel: bool, stream: bool
) -> None:
    completions = server.client().chat.completions
    body: dict[str, Any] = {
        "model": "here",
        "temperature": 0,
        "tools": [WEATHER.to_record(), TIME.to_record()],
        "parallel_tool_calls": parallel,
    }
    messages: list[Any] = [{"role": "user", "content": QUESTION}]

    def reply() -> Any:
        if not stream:
            return completions.create(messages=messages, **body).choices[0].message
        with completions.stream(messages=messages, **body) as events:
            return events.get_final_completion().choices[0].message

    first = reply()
    assert len(first.tool_calls) == (2 if parallel else 1)
    messages.append(first.model_dump(exclude_none=True))
    for call in first.tool_calls:
        text = RESULTS[json.loads(call.function.arguments)["city"]]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
    assert reply().content == ANSWERS[QUESTION, 2 if parallel else 1]


@WAYS
@pytest.mark.parametrize("stream", [False, True])
def test_openai_client_completes_responses_with_tools(
    server: Address, parallel: bool, stream: bool
) -> None:
    responses = server.client().responses
    body: dict[str, Any] = {
        "model": "here",
        "temperature": 0,
        "tools": [flat(WEATHER), flat(TIME)],
        "parallel_tool_calls": parallel,
        "store": False,
    }
    items: list[Any] = [{"role": "user", "content": QUESTION}]

    def reply() -> Any:
        if not stream:
            return responses.create(input=items, **body)
        with responses.stream(input=items, **body) as events:
            return events.get_final_response()

    first = reply()
    calls = [item for item in first.output if item.type == "function_call"]
    assert (first.status, len(calls)) == ("completed", 2 if parallel else 1)
    items += first.output
    for call in calls:
        text = RESULTS[json.loads(call.arguments)["city"]]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": text})
    last = reply()
    assert last.output_text == ANSWERS[QUESTION, 2 if parallel else 1]
    assert last.usage.total_tokens == last.usage.input_tokens + last.usage.output_tokens


@WAYS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("endpoint", ["chat", "responses"])
@pytest.mark.parametrize("formatted", [False, True])
def test_agents_library_completes_a_run(
    server: Address, endpoint: str, parallel: bool, stream: bool, formatted: bool
) -> None:
    agents = pytest.importorskip("agents")
    from openai import AsyncOpenAI
    from pydantic import BaseModel, Field

    class Rain(BaseModel):
        wet: int = Field(ge=0, le=2)

    async def invoke(context: Any, arguments: str) -> str:
        return RESULTS[json.loads(arguments)["city"]]

    async def run() -> Any:
        kinds = {
            "chat": agents.OpenAIChatCompletionsModel,
            "responses": agents.OpenAIResponsesModel,
        }
        async with AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
            agent = agents.Agent(
                name="rain",
                model=kinds[endpoint](model="here", openai_client=client),
                tools=[
                    agents.FunctionTool(
                        name=tool.name,
                        description=tool.description,
                        params_json_schema=dict(tool.parameters),
                        on_invoke_tool=invoke,
                        strict_json_schema=False,
                    )
                    for tool in (WEATHER, TIME)
                ],
                model_settings=agents.ModelSettings(
                    temperature=0, parallel_tool_calls=parallel, max_tokens=200
                ),
                output_type=Rain if formatted else None,
            )
            if not stream:
                return await agents.Runner.run(agent, question, max_turns=3)
            result = agents.Runner.run_streamed(agent, question, max_turns=3)
            async for _ in result.stream_events():
                pass
            return result

    question = IN_JSON if formatted else QUESTION
    agents.set_tracing_disabled(True)
    result = asyncio.run(run())
    kinds = [item.type for item in result.new_items]
    count = 2 if parallel else 1
    assert kinds.count("tool_call_item") == kinds.count("tool_call_output_item") == count
    answer = ANSWERS[question, count]
    assert result.final_output == (Rain.model_validate_json(answer) if formatted else answer)
