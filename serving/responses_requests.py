"""A request of OpenAI's responses, turned into one of chat completions.

Nothing is stored here: a conversation is told whole with each request, as `input`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from serving.bodies import Part, read_body
from serving.errors import ApiError, refused
from serving.requests import (
    IDLE,
    MOST_LOGPROBS,
    AllowedChoice,
    ChatRequest,
    NamedChoice,
    NamedSchema,
    OfferedTool,
    WireMessage,
)
from serving.responses_items import Item, Told, tell

_IDLE = {*IDLE, "prompt_cache_diagnostics", "context_management"}
# Values with which these parameters do not change a reply; other values are rejected.
_NEUTRAL: Mapping[str, Sequence[Any]] = {"truncation": ("disabled",), "background": (False,)}
_WITH_LOGPROBS = "message.output_text.logprobs"
# What may be asked to be included and is never there.
_NEVER_THERE = {"reasoning.encrypted_content"}


class _FunctionTool(Part):
    type: Literal["function"]
    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class _NamedChoice(Part):
    type: Literal["function"]
    name: str


class _AllowedChoice(Part):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[_NamedChoice]


class _TextFormat(Part):
    type: Literal["text", "json_object"]


class _SchemaFormat(NamedSchema):
    type: Literal["json_schema"]


class _TextSettings(Part):
    format: Annotated[_TextFormat | _SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: str | None = None


class _Reasoning(Part):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _StreamOptions(Part):
    include_obfuscation: bool | None = None


class ResponsesRequest(Part):
    """The body of a request; each field is OpenAI's of the same name."""

    model: str
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    tools: list[_FunctionTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _NamedChoice | _AllowedChoice | None = None
    parallel_tool_calls: bool | None = None
    text: _TextSettings | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS)
    seed: int | None = None
    include: list[str] | None = None
    reasoning: _Reasoning | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


@dataclass(frozen=True)
class ReadResponsesRequest:
    """A request as it came, and as the chat request that asks the same."""

    asked: ResponsesRequest
    chat: ChatRequest
    places: Sequence[str]

    def set_place(self, error: ApiError) -> None:
        """Give an error of the chat request the place that it has in this request."""
        if error.param is None:
            return
        param = error.param
        for pattern, found in _PLACES:
            param = pattern.sub(found, param)
        param = _MESSAGE.sub(lambda match: self.places[int(match[1])], param)
        error.args = (str(error).replace(error.param, param),)
        error.param = param


_MESSAGE = re.compile(r"^messages\[(\d+)\](?:\.(?:role|tool_calls))?")
_PLACES = [
    (re.compile(r"^messages$"), "input"),
    (re.compile(r"(?<=\])\.tool_call_id$"), ".call_id"),
    (re.compile(r"^(tools\[\d+\]|tool_choice)\.function"), r"\1"),
    (re.compile(r"^tool_choice\.allowed_tools\.(tools\[\d+\])\.function"), r"tool_choice.\1"),
    (re.compile(r"^response_format\.json_schema"), "text.format"),
]


def read_responses_request(text: bytes) -> ReadResponsesRequest:
    """Read the body of a request; ApiError names the parameter that cannot be taken."""
    asked = read_body(text, ResponsesRequest, _IDLE, _NEUTRAL)
    for place, name in enumerate(asked.include or ()):
        if name != _WITH_LOGPROBS and name not in _NEVER_THERE:
            problem = f"{name} cannot be included; there are {_WITH_LOGPROBS} alone"
            raise refused(problem, f"include[{place}]", "unsupported_value")
    if asked.top_logprobs and _WITH_LOGPROBS not in (asked.include or ()):
        raise refused(f"top_logprobs goes with include {_WITH_LOGPROBS} only", "top_logprobs")
    told = Told()
    if asked.instructions is not None:
        told.add("instructions", role="system", content=asked.instructions)
    if isinstance(asked.input, str):
        told.add("input", role="user", content=asked.input)
    else:
        tell(asked.input, told)
    return ReadResponsesRequest(asked, _chat_request(asked, told.messages), told.places)


def _chat_request(asked: ResponsesRequest, messages: list[WireMessage]) -> ChatRequest:
    """Return the chat request, whose parts have been checked already."""
    text, reasoning = asked.text or _TextSettings(), asked.reasoning or _Reasoning()
    return ChatRequest(
        model=asked.model,
        messages=messages,
        tools=[OfferedTool.model_validate(_nested(tool)) for tool in asked.tools or ()],
        tool_choice=_choice(asked.tool_choice),
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=_format(text.format),
        max_completion_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        seed=asked.seed,
        logprobs=_WITH_LOGPROBS in (asked.include or ()),
        top_logprobs=asked.top_logprobs,
        stream=asked.stream,
        reasoning_effort=reasoning.effort,
        verbosity=text.verbosity,
        store=asked.store,
    )


def _nested(named: Part) -> dict[str, Any]:
    """Return what chat completions keep under `function`."""
    given = {key: value for key, value in named if value is not None}
    return {"type": given.pop("type"), "function": given}


def _choice(choice: Any) -> Any:
    if isinstance(choice, _NamedChoice):
        return NamedChoice.model_validate(_nested(choice))
    if isinstance(choice, _AllowedChoice):
        allowed = {"mode": choice.mode, "tools": [_nested(tool) for tool in choice.tools]}
        return AllowedChoice.model_validate({"type": choice.type, "allowed_tools": allowed})
    return choice


def _format(wanted: _TextFormat | _SchemaFormat | None) -> Any:
    if not isinstance(wanted, _SchemaFormat):
        return wanted and {"type": wanted.type}
    schema = {"name": wanted.name, "schema": wanted.wanted, "strict": wanted.strict}
    return {"type": wanted.type, "json_schema": schema}
