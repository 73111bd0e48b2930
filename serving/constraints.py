"""What rules the replies to a request: its tool choice, strict tools, response format."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from chat.conversation import Tool
from chat.schemas.validation import schema_problem
from inference.chat_model import ChatModel
from inference.constrain.constraint import constraint_for
from inference.constrain.content import content_constraint
from inference.constrain.either import EitherConstraint
from inference.constrain.refusal import ToolRefused
from inference.generate import RowConstraint
from serving.errors import ApiError, refused
from serving.requests import AllowedChoice, ChatRequest, NamedChoice, SchemaFormat

# The schema of a content that may be any object.
_ANY_OBJECT = {"type": "object", "additionalProperties": True}
_SCHEMA = "response_format.json_schema.schema"


@dataclass(frozen=True)
class Choice:
    """The tools that a reply may call; `forced` is as in `constraint_for`."""

    tools: tuple[Tool, ...]
    forced: bool | str = False


def read_choice(request: ChatRequest, tools: Sequence[Tool]) -> Choice:
    """Return what a request's `tool_choice` allows; ApiError for a tool that is not there."""
    choice, every = request.tool_choice, tuple(tools)
    offered = {tool.name for tool in tools}
    if choice == "none":
        return Choice(())
    if isinstance(choice, AllowedChoice):
        allowed = choice.allowed_tools
        where = "tool_choice.allowed_tools.tools[{}].function.name"
        for place, named in enumerate(allowed.tools):
            _check_offered(named.function.name, offered, where.format(place))
        names = {named.function.name for named in allowed.tools}
        every = tuple(tool for tool in tools if tool.name in names)
        found = Choice(every, allowed.mode == "required")
    elif isinstance(choice, NamedChoice):
        _check_offered(choice.function.name, offered, "tool_choice.function.name")
        found = Choice(every, choice.function.name)
    else:
        found = Choice(every, choice == "required")
    if found.forced and not found.tools:
        raise refused("tool_choice wants tools to choose from", "tool_choice")
    return found


def _check_offered(name: str, offered: Set[str], where: str) -> None:
    if name not in offered:
        told = "tool_choice wants tools to choose from"
        missing = f"tool_choice names {name}, which is not among the tools"
        raise refused(missing if offered else told, where if offered else "tool_choice")


def read_constraint(
    request: ChatRequest, tools: Sequence[Tool], chat_model: ChatModel, constrain: bool, room: int
) -> Callable[[], RowConstraint | None]:
    """Return what makes the constraint of each reply; ApiError where there can be none.

    With `constrain`, the arguments of every tool must fit, else those of strict ones, or where none
    is strict, of calls that are forced; others are held to their schemas as far as possible. What
    must come has to fit `room` tokens.
    """
    choice = read_choice(request, tools)
    strict = {tool.function.name for tool in request.tools or () if tool.function.strict}
    bound = not strict.isdisjoint(tool.name for tool in choice.tools)
    every = constrain or (bool(choice.forced) and not bound)
    free = () if every else {tool.name for tool in choice.tools} - strict
    single = request.parallel_tool_calls is False
    schema = _content_schema(request)
    model = chat_model.format, chat_model.tokenizer

    def calls(forced: bool | str) -> RowConstraint:
        return constraint_for(choice.tools, *model, forced, room, free, single)

    def content() -> RowConstraint:
        assert schema is not None
        try:
            return content_constraint(schema, "response_format", *model, room)
        except ToolRefused as error:
            told = f"the response format {error.reason}"
            raise refused(told, _SCHEMA, "unsupported_value") from None

    def made() -> RowConstraint | None:
        if schema is not None and not choice.forced:
            return EitherConstraint([calls(True), content()]) if choice.tools else content()
        ruled = constrain or choice.forced or bound or single or len(choice.tools) < len(tools)
        return calls(choice.forced) if tools and ruled else None

    try:
        first = made()
    except ValueError as error:
        raise _refusal(error, request) from None
    ready = [first]
    return lambda: ready.pop() if ready else made()


def _content_schema(request: ChatRequest) -> Mapping[str, Any] | None:
    """Return the schema of a JSON content; None where any text is wanted."""
    wanted = request.response_format
    if isinstance(wanted, SchemaFormat):
        schema = wanted.json_schema.wanted
        if problem := schema_problem(Tool(wanted.json_schema.name, "", schema)):
            raise refused(problem.message, _SCHEMA)
        kinds = schema.get("type", "object")
        if "object" not in ([kinds] if isinstance(kinds, str) else kinds):
            told = f"the schema of a response must be that of an object, found type {kinds!r}"
            raise refused(told, f"{_SCHEMA}.type")
        return schema
    return _ANY_OBJECT if wanted is not None and wanted.type == "json_object" else None


def _refusal(error: ValueError, request: ChatRequest) -> ApiError:
    """Return the error of a schema that cannot be enforced, with its place in the request."""
    if not isinstance(error, ToolRefused):
        return refused(str(error), "tools", "unsupported_value")
    names = [tool.function.name for tool in request.tools or ()]
    where = f"tools[{names.index(error.tool)}].function.parameters"
    return refused(f"tool {error.tool} {error.reason}", where, "unsupported_value")
