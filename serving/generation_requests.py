"""Turn a request into a prompt, decoding settings and the constraints of its replies."""

import re
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chat.conversation import Conversation, Message, Role, Tool, ToolCall
from chat.schemas.dialects import normalise_parameters
from chat.schemas.flat_parameters import is_flat
from chat.schemas.validation import schema_problem
from inference.chat_model import ChatModel, token_limits
from inference.generate import Decoding, RowConstraint
from serving.constraints import read_choice, read_constraint
from serving.errors import refused
from serving.requests import ChatRequest, WireMessage, joined

# How a reply is read: with calls; with calls or as JSON; as text; as text that should hold no call.
Reading = Literal["calls", "calls or JSON", "text", "no calls"]
_MESSAGE = re.compile(r"messages\[\d+\]")


@dataclass(frozen=True)
class ReplyRules:
    """What a server sets for all requests.

    max_length: The most tokens of a prompt and its reply together.
    constrain: Whether calls must fit the schemas even where a request does not ask for it.
    none_keeps_tools: Whether tools stand in the prompt of a request that may not call them.
    """

    max_length: int
    constrain: bool = False
    none_keeps_tools: bool = False


@dataclass(frozen=True)
class GenerationRequest:
    """The replies to generate: one for each of `constraints`, None for an unconstrained one."""

    prompt: list[int]
    decoding: Decoding
    stop_texts: tuple[str, ...]
    constraints: tuple[RowConstraint | None, ...]
    reading: Reading = "calls"


def read_generation_request(
    request: ChatRequest, chat_model: ChatModel, rules: ReplyRules
) -> GenerationRequest:
    """Return the generation request of a chat request; ApiError where it is not possible."""
    try:
        return _generation_request(request, chat_model, rules)
    except RecursionError:
        raise refused("the schema of a tool is nested too deeply", "tools") from None


def _generation_request(
    request: ChatRequest, chat_model: ChatModel, rules: ReplyRules
) -> GenerationRequest:
    offered = _tools(request)
    if request.tool_choice == "none" and not rules.none_keeps_tools:
        offered = {}
    shown = tuple(tool for tool, _ in offered.values())
    declared = [tool for _, tool in offered.values()]
    prompt = _prompt(Conversation(_messages(request.messages), shown), chat_model)
    if len(prompt) >= rules.max_length:
        told = f"the messages and tools have {len(prompt):,} tokens, and with a reply they may have"
        raise refused(f"{told} {rules.max_length:,}", "messages", "context_length_exceeded")
    count, stop = request.n or 1, request.stop or ()
    decoding = _decoding(request, chat_model, rules.max_length)
    room = decoding.room(0, prompt)
    constraint = read_constraint(request, declared, chat_model, rules.constrain, room)
    return GenerationRequest(
        prompt,
        decoding,
        tuple(text for text in ([stop] if isinstance(stop, str) else stop) if text),
        tuple(constraint() for _ in range(count)),
        _reading(request, bool(read_choice(request, declared).tools)),
    )


def _prompt(conversation: Conversation, chat_model: ChatModel) -> list[int]:
    try:
        return chat_model.prompt(conversation)
    except (ValueError, RecursionError) as error:
        found = _MESSAGE.match(str(error))
        where = found[0] if found else "messages"
        raise refused(f"this cannot be written: {error}", where) from None


def _reading(request: ChatRequest, callable: bool) -> Reading:
    if request.response_format is not None and request.response_format.type != "text":
        return "calls or JSON" if callable else "text"
    return "no calls" if request.tools and not callable else "calls"


def _decoding(request: ChatRequest, chat_model: ChatModel, max_length: int) -> Decoding:
    temperature = 1.0 if request.temperature is None else request.temperature
    top_p = 1.0 if request.top_p is None else request.top_p
    return Decoding(
        **token_limits(chat_model.format, chat_model.tokenizer),
        max_new_tokens=request.max_completion_tokens or request.max_tokens or max_length,
        max_length=max_length,
        # The smallest nucleus is the likeliest token.
        temperature=temperature if top_p else 0.0,
        top_p=top_p or 1.0,
        seed=secrets.randbits(32) if request.seed is None else request.seed,
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )


def _tools(request: ChatRequest) -> dict[str, tuple[Tool, Tool]]:
    """Return each tool by its name: as cleaning reads it, for the prompt, and as it is declared."""
    found: dict[str, tuple[Tool, Tool]] = {}
    for index, offered in enumerate(request.tools or ()):
        function, where = offered.function, f"tools[{index}].function"
        if function.name in found:
            message = f"two tools are called {function.name}"
            raise refused(message, f"{where}.name")
        try:
            tool = Tool(
                function.name,
                function.description or "",
                normalise_parameters(function.parameters),
            )
        except ValueError as error:
            raise refused(
                str(error), f"{where}.parameters", "invalid_function_parameters"
            ) from None
        if problem := schema_problem(tool):
            raise refused(problem.message, f"{where}.parameters", "invalid_function_parameters")
        found[tool.name] = tool, _declared(tool, function.parameters)
    return found


def _declared(tool: Tool, parameters: Any) -> Tool:
    """Return a tool with the client's own schema, where that is one by JSON Schema's draft.

    What cleaning reads into a dialect (`nullable`, a default of null) such a schema does not say.
    """
    if not isinstance(parameters, Mapping) or not parameters or is_flat(parameters):
        return tool
    own = Tool(tool.name, tool.description, dict(parameters))
    return tool if schema_problem(own) else own


def _messages(wire: Sequence[WireMessage]) -> tuple[Message, ...]:
    """Read messages; results come in the order of the calls that they answer."""
    messages: list[Message] = []
    place = 0
    while place < len(wire):
        message, where = wire[place], f"messages[{place}]"
        if message.role == "tool":
            told = "the call must come before its result"
            raise refused(told, f"{where}.role")
        messages.append(_message(message, where))
        end = place + 1
        while message.tool_calls and end < len(wire) and wire[end].role == "tool":
            end += 1
        messages += _results(wire[place:end], place)
        place = end
    return tuple(messages)


def _message(message: WireMessage, where: str) -> Message:
    if message.tool_calls and message.role != "assistant":
        told = f"a {message.role} calls no tools"
        raise refused(told, f"{where}.tool_calls")
    text = joined(message.content) or message.refusal or ""
    if message.content is None and message.refusal is None and not message.tool_calls:
        told = "content is missing"
        raise refused(told, f"{where}.content", "missing_required_parameter")
    role: Role = "system" if message.role == "developer" else message.role
    calls = (
        ToolCall(call.function.name, call.function.arguments, call.id)
        for call in message.tool_calls or ()
    )
    return Message(role, text, tuple(calls), message.name)


def _results(wire: Sequence[WireMessage], place: int) -> list[Message]:
    """Return the results that follow the calls of the first message, in the order of the calls."""
    calls = wire[0].tool_calls or ()
    waiting: dict[str, deque[int]] = {}
    for number, call in enumerate(calls):
        waiting.setdefault(call.id, deque()).append(number)
    found: dict[int, Message] = {}
    for offset, message in enumerate(wire[1:], start=1):
        where = f"messages[{place + offset}]"
        numbers = waiting.get(message.tool_call_id or "")
        if not numbers:
            told = f"no call before it has the id {message.tool_call_id} and waits for a result"
            raise refused(told, f"{where}.tool_call_id")
        number = numbers.popleft()
        name = calls[number].function.name
        text = _message(message, where).content
        found[number] = Message("tool", text, name=name, tool_call_id=message.tool_call_id)
    if len(found) < len(calls):
        ids = ", ".join(call.id for number, call in enumerate(calls) if number not in found)
        told = f"no result follows of {ids}"
        raise refused(told, f"messages[{place}].tool_calls")
    return [found[number] for number in sorted(found)]
