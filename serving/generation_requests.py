"""Turn a request into a prompt, decoding settings and the constraints of its replies."""

import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chat.conversation import Conversation, Message, Role, Tool, ToolCall
from chat.schemas.dialects import normalise_parameters
from chat.schemas.flat_parameters import is_flat
from chat.schemas.validation import schema_problem
from inference.chat_model import ChatModel, token_limits
from inference.constrain.constraint import constraint_for
from inference.generate import Decoding, RowConstraint
from serving.errors import refused
from serving.requests import ChatRequest, NamedChoice, WireMessage


@dataclass(frozen=True)
class GenerationRequest:
    """The replies to generate: one for each of `constraints`, None for an unconstrained one."""

    prompt: list[int]
    decoding: Decoding
    stop_texts: tuple[str, ...]
    constraints: tuple[RowConstraint | None, ...]


def read_generation_request(
    request: ChatRequest, chat_model: ChatModel, max_length: int, constrain: bool = False
) -> GenerationRequest:
    """Return the generation request of a chat request; ApiError where it is not possible.

    With `constrain`, calls must fit the schemas even where a request does not ask for it.
    """
    try:
        return _generation_request(request, chat_model, max_length, constrain)
    except RecursionError:
        raise refused("the schema of a tool is nested too deeply", "tools") from None


def _generation_request(
    request: ChatRequest, chat_model: ChatModel, max_length: int, constrain: bool
) -> GenerationRequest:
    offered = _tools(request)
    conversation = Conversation(
        _messages(request.messages), tuple(tool for tool, _ in offered.values())
    )
    try:
        prompt = chat_model.prompt(conversation)
    except (ValueError, RecursionError) as error:
        raise refused(f"this cannot be written: {error}", "messages") from None
    if len(prompt) >= max_length:
        told = f"the messages and tools have {len(prompt):,} tokens, and with a reply they may have"
        raise refused(f"{told} {max_length:,}", "messages", "context_length_exceeded")
    count, stop = request.n or 1, request.stop or ()
    decoding = _decoding(request, chat_model, max_length)
    room = decoding.room(0, prompt)
    return GenerationRequest(
        prompt,
        decoding,
        tuple(text for text in ([stop] if isinstance(stop, str) else stop) if text),
        tuple(_constraint(request, offered, chat_model, constrain, room) for _ in range(count)),
    )


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
    )


def _constraint(
    request: ChatRequest,
    offered: Mapping[str, tuple[Tool, Tool]],
    chat_model: ChatModel,
    constrain: bool,
    room: int,
) -> RowConstraint | None:
    choice = request.tool_choice
    strict = {tool.function.name for tool in request.tools or () if tool.function.strict}
    forced = choice.function.name if isinstance(choice, NamedChoice) else choice == "required"
    if forced and not offered:
        raise refused("tool_choice wants tools to choose from", "tool_choice")
    if isinstance(forced, str) and forced not in offered:
        message = f"tool_choice names {forced}, which is not among the tools"
        raise refused(message, "tool_choice.function.name")
    if not offered or not (forced or strict or constrain or choice == "none"):
        return None
    # No tool is offered to the constraint, so none can be called; the prompt still lists them.
    declared = [] if choice == "none" else [declared for _, declared in offered.values()]
    # Where some tools are strict, the others are held to their schemas as far as that is possible.
    free = offered.keys() - strict if strict and not constrain else ()
    try:
        return constraint_for(declared, chat_model.format, chat_model.tokenizer, forced, room, free)
    except ValueError as error:
        told = str(error).replace(" or generate without --constrain", "")
        raise refused(told, "tools", "unsupported_value") from None


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
            told = "a message with tool_calls must come before its results"
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
    if message.content is None and not message.tool_calls:
        told = "content is missing"
        raise refused(told, f"{where}.content", "missing_required_parameter")
    role: Role = "system" if message.role == "developer" else message.role
    calls = (
        ToolCall(call.function.name, call.function.arguments, call.id)
        for call in message.tool_calls or ()
    )
    return Message(role, message.content or "", tuple(calls), message.name)


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
        told = f"no tool's message follows with the result of {ids}"
        raise refused(told, f"messages[{place}].tool_calls")
    return [found[number] for number in sorted(found)]
