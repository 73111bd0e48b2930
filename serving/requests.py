"""A request of OpenAI's chat completions, read strictly.

Unsupported parameters are accepted where they would not change a reply, and are an error that names
them where they would.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from chat.strict_json import read_json
from serving.errors import ApiError, refused

MOST_CHOICES = 8
MOST_STOPS = 4
# Parameters that never change a reply.
_WITHOUT_EFFECT = {"user", "metadata", "safety_identifier", "prompt_cache_key"}
# Values with which these parameters do not change a reply; other values are rejected.
_NEUTRAL: Mapping[str, Sequence[Any]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "parallel_tool_calls": (True,),
    "service_tier": ("auto", "default"),
    "store": (False,),
}
_CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Part):
    type: Literal["text"]
    text: str


def _joined(content: Any) -> Any:
    """Return a content that comes in parts as one text."""
    if not isinstance(content, list):
        return content
    return "".join(_Text.model_validate(part).text for part in content)


def _arguments(text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError("arguments must be the text of a JSON object")
    arguments = read_json(text)
    if not isinstance(arguments, dict):
        raise ValueError("arguments must be the text of a JSON object")
    return arguments


class CalledFunction(_Part):
    """The function and the arguments of a call in an earlier reply."""

    name: str
    arguments: Annotated[dict[str, Any], BeforeValidator(_arguments)]


class Call(_Part):
    """A call of an earlier reply."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class WireMessage(_Part):
    """A message; the fields from `refusal` on are those of replies that clients send back."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Annotated[str | None, BeforeValidator(_joined)] = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[Any] | None, Field(max_length=0)] = None
    tool_call_problem: str | None = None


class Function(_Part):
    """A function that is offered; with `strict`, its arguments must fit the schema.

    parameters: A schema in any dialect that chat/schemas/dialects.py reads; `true` for any object.
    """

    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class OfferedTool(_Part):
    """A tool that may be called."""

    type: Literal["function"]
    function: Function


class _Name(_Part):
    name: str


class NamedChoice(_Part):
    """The tool that is to be called."""

    type: Literal["function"]
    function: _Name


class StreamOptions(_Part):
    """What a stream contains beside the reply."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class ChatRequest(_Part):
    """The body of a request; each field is OpenAI's of the same name."""

    model: str
    messages: list[WireMessage] = Field(min_length=1)
    tools: list[OfferedTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=MOST_STOPS)] | None = None
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None


def read_request(text: bytes) -> ChatRequest:
    """Read the body of a request; ApiError names the parameter that cannot be taken."""
    try:
        body = read_json(text)
    except ValueError as error:
        raise refused(f"the body is no JSON: {error}", None, "invalid_json") from None
    if not isinstance(body, dict):
        raise refused("the body must be a JSON object", None, "invalid_type")
    try:
        request = ChatRequest.model_validate(_with_effect(body))
    except ValidationError as error:
        raise _first_problem(error, body) from None
    except RecursionError:
        raise refused("the body is nested too deeply", None) from None
    if request.stream_options is not None and not request.stream:
        raise refused("stream_options goes with stream only", "stream_options")
    return request


def _with_effect(body: dict[str, Any]) -> dict[str, Any]:
    """Drop the parameters that change nothing; ApiError for a value that is not supported."""
    left = {}
    for name, value in body.items():
        if name in _NEUTRAL:
            if value is not None and value not in _NEUTRAL[name]:
                told = f"{name} is {json.dumps(value)[:80]}, which this server does not support"
                raise refused(f"{told}; leave it out", name, "unsupported_value")
        elif name not in _WITHOUT_EFFECT:
            left[name] = value
    return left


def _first_problem(error: ValidationError, body: Any) -> ApiError:
    problem = error.errors(include_url=False)[0]
    place, missing = "", problem["type"] == "missing"
    for step in problem["loc"]:
        try:
            body = body[step]
        except (LookupError, TypeError):
            # `loc` also holds the names of the union members that pydantic tried.
            if not missing:
                break
        place += f"[{step}]" if isinstance(step, int) else f".{step}"
    param = place.removeprefix(".") or None
    if problem["type"] == "extra_forbidden":
        message = f"unknown parameter {param}: this server does not support it"
    else:
        message = f"{param}: {problem['msg'].removeprefix('Value error, ')}"
    return refused(message, param, _CODES.get(problem["type"], "invalid_value"))
