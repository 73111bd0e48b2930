"""A request of OpenAI's chat completions.

Unsupported parameters are accepted where they would not change a reply, and are an error that names
them where they would.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from chat.strict_json import read_json
from serving.bodies import Part, SentBack, read_body
from serving.errors import refused

MOST_CHOICES = 8
MOST_STOPS = 4
MOST_LOGPROBS = 20
# Parameters that never change a reply.
IDLE = {
    *("user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    *("prompt_cache_options", "service_tier", "prediction"),
}
# Values with which these parameters do not change a reply; other values are rejected.
_NEUTRAL: Mapping[str, Sequence[Any]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
}


class TextPart(Part):
    """A part of a content; nothing but text can be read."""

    type: Literal["text"]
    text: str


Content = str | list[TextPart]


def joined(content: Any) -> str:
    """Return a content, or what is left of none, as one text."""
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def _arguments(text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError("arguments must be the text of a JSON object")
    # Some servers write nothing where a call has no arguments.
    arguments = read_json(text) if text.strip() else {}
    if not isinstance(arguments, dict):
        raise ValueError("arguments must be the text of a JSON object")
    return arguments


Arguments = Annotated[dict[str, Any], BeforeValidator(_arguments)]


class CalledFunction(SentBack):
    """The function and the arguments of a call in an earlier reply."""

    name: str
    arguments: Arguments


class Call(SentBack):
    """A call of an earlier reply."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


def _known_keys(part: Any) -> Any:
    """Return a part of a reply's content without the keys of other servers, such as annotations."""
    if isinstance(part, dict) and part.get("type") == "text":
        return {key: value for key, value in part.items() if key in TextPart.model_fields}
    return part


class WireMessage(Part):
    """A message; of replies and results that clients send back, unknown keys are ignored."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Content | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    audio: None = None
    function_call: None = None

    @model_validator(mode="before")
    @classmethod
    def drop_siblings(cls, given: Any) -> Any:
        """Drop the keys that other servers put into replies, such as `reasoning_content`."""
        if isinstance(given, dict) and given.get("role") in ("assistant", "tool"):
            kept = {key: value for key, value in given.items() if key in cls.model_fields}
            if isinstance(kept.get("content"), list):
                kept["content"] = [_known_keys(part) for part in kept["content"]]
            return kept
        return given


class Function(Part):
    """A function that is offered; with `strict`, its arguments must fit the schema.

    parameters: A schema in any dialect that chat/schemas/dialects.py reads; `true` for any object.
    """

    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class OfferedTool(Part):
    """A tool that may be called."""

    type: Literal["function"]
    function: Function


class _Name(Part):
    name: str


class NamedChoice(Part):
    """The tool that is to be called."""

    type: Literal["function"]
    function: _Name


class _Allowed(Part):
    mode: Literal["auto", "required"]
    tools: list[NamedChoice]


class AllowedChoice(Part):
    """The tools that may be called, of all that stand in the prompt."""

    type: Literal["allowed_tools"]
    allowed_tools: _Allowed


class _TextFormat(Part):
    type: Literal["text"]


class _ObjectFormat(Part):
    type: Literal["json_object"]


class NamedSchema(Part):
    """The JSON Schema that a content must fit, whether it is called strict or not."""

    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    wanted: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class SchemaFormat(Part):
    """A content that is JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[_TextFormat | _ObjectFormat | SchemaFormat, Field(discriminator="type")]


class StreamOptions(Part):
    """What a stream contains beside the reply; nothing is ever padded."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Part):
    """The body of a request; each field is OpenAI's of the same name."""

    model: str
    messages: list[WireMessage] = Field(min_length=1)
    tools: list[OfferedTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | AllowedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=MOST_STOPS)] | None = None
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    store: bool | None = None

    @property
    def without_effect(self) -> list[str]:
        """The parameters that would change a reply elsewhere, and change nothing here."""
        given = {
            "reasoning_effort": self.reasoning_effort,
            "verbosity": self.verbosity,
            "store": self.store,
        }
        return [name for name, value in given.items() if value]


def read_request(text: bytes) -> ChatRequest:
    """Read the body of a request; ApiError names the parameter that cannot be taken."""
    request = read_body(text, ChatRequest, IDLE, _NEUTRAL)
    if request.stream_options is not None and not request.stream:
        raise refused("stream_options goes with stream only", "stream_options")
    if request.top_logprobs and not request.logprobs:
        raise refused("top_logprobs goes with logprobs only", "top_logprobs")
    return request
