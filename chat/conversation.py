"""The canonical conversation: tools, messages and tool calls, in OpenAI's shape.

One conversation is one JSON object a line:
`{"id", "source", "sha256", "tools": [{"type": "function", "function": {...}}], "messages": [...]}`
where an assistant's `tool_calls` hold their arguments as objects, never as strings.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from chat.recurring import read_once
from chat.schemas.plain import is_plain

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True)
class Tool:
    """A function that the assistant may call; `parameters` is a JSON Schema of type object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this tool."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }
        return {"type": "function", "function": function}

    @cached_property
    def json_text(self) -> str:
        """The JSON object as text; ValueError for NaN and Infinity, which JSON cannot hold."""
        return to_json(self.to_record())

    @cached_property
    def function_json_text(self) -> str:
        """The JSON object of the function alone, as text; ValueError as for `json_text`."""
        return to_json(self.to_record()["function"])

    @cached_property
    def sorted_json_text(self) -> str:
        """The JSON object with sorted keys: equal text for tools that differ only in key order."""
        return to_sorted_json(self.to_record())

    @cached_property
    def has_plain_schema(self) -> bool:
        """Whether `chat.schemas.plain` can decide which arguments fit without jsonschema."""
        return is_plain(self.parameters)


# Made once: json.dumps with these options makes an encoder for every call.
to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
# What they write for a text, without the detour.
_quoted = json.encoder.encode_basestring
to_sorted_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True)
class ToolCall:
    """One call; `arguments` keep the value and key order they came with."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None

    @cached_property
    def arguments_json_text(self) -> str:
        """The arguments as JSON text; ValueError, TypeError or RecursionError where they are none.

        A build needs it to read the turn back, and again to render it.
        """
        return to_json(dict(self.arguments))

    @property
    def json_text(self) -> str:
        """The JSON object that `Message.to_record` has for the call, as text."""
        number = f'"id": {to_json(self.id)}, ' if self.id is not None else ""
        function = f'{{"name": {_quoted(self.name)}, "arguments": {self.arguments_json_text}}}'
        return f'{{{number}"type": "function", "function": {function}}}'


@dataclass(frozen=True)
class Message:
    """One turn; only an assistant has `tool_calls`, only a tool's result has `tool_call_id`.

    trained: Whether an assistant's turn is to be learnt.
    """

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None
    tool_call_id: str | None = None
    trained: bool = True

    @property
    def is_text_alone(self) -> bool:
        """Whether role and content are all that there is to write down."""
        named = self.name is not None or self.tool_call_id is not None
        return self.trained and not named and not self.tool_calls

    @property
    def json_text(self) -> str:
        """The JSON object as text; ValueError for NaN and Infinity, which JSON cannot hold."""
        if self.is_text_alone:  # most turns are, and an f-string is faster
            return f'{{"role": "{self.role}", "content": {_quoted(self.content)}}}'
        fields = [f'"role": "{self.role}"', f'"content": {_quoted(self.content)}']
        if self.tool_calls:
            calls = ", ".join([call.json_text for call in self.tool_calls])
            fields.append(f'"tool_calls": [{calls}]')
        if self.name is not None:
            fields.append(f'"name": {to_json(self.name)}')
        if self.tool_call_id is not None:
            fields.append(f'"tool_call_id": {to_json(self.tool_call_id)}')
        return "{" + ", ".join(fields if self.trained else [*fields, '"trained": false']) + "}"

    @property
    def sorted_json_text(self) -> str:
        """The JSON object with sorted keys."""
        if self.is_text_alone:
            return f'{{"content":{_quoted(self.content)},"role":"{self.role}"}}'
        return to_sorted_json(self.to_record())

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this turn."""
        record: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            record["tool_calls"] = [_call_record(call) for call in self.tool_calls]
        if self.name is not None:
            record["name"] = self.name
        if self.tool_call_id is not None:
            record["tool_call_id"] = self.tool_call_id
        if not self.trained:
            record["trained"] = False
        return record


def is_learnt(message: Message) -> bool:
    """Return whether a message is an assistant's and to be learnt."""
    return message.role == "assistant" and message.trained


@dataclass(frozen=True)
class Conversation:
    """Tools, messages, and where they came from (`sha256` is that of the raw row)."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    id: str = ""
    source: str = ""
    sha256: str = ""

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this conversation."""
        provenance = {"id": self.id, "source": self.source, "sha256": self.sha256}
        return {
            **{key: value for key, value in provenance.items() if value},
            "tools": [tool.to_record() for tool in self.tools],
            "messages": [message.to_record() for message in self.messages],
        }

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> "Conversation":
        """Read the JSON object of a conversation; ValueError names what is wrong and where."""
        if not isinstance(record, Mapping):
            raise ValueError(f"a conversation must be an object, found {_kind(record)}")
        messages = _list(record, "messages", "messages")
        tools = _list(record, "tools", "tools") if record.get("tools") is not None else []
        return Conversation(
            messages=tuple([_read_message(message, i) for i, message in enumerate(messages)]),
            tools=tuple([_read_tool(tool, i) for i, tool in enumerate(tools)]),
            id=str(record.get("id", "")),
            source=str(record.get("source", "")),
            sha256=str(record.get("sha256", "")),
        )


def _call_record(call: ToolCall) -> dict[str, Any]:
    record: dict[str, Any] = {"id": call.id} if call.id is not None else {}
    function = {"name": call.name, "arguments": dict(call.arguments)}
    return {**record, "type": "function", "function": function}


def _read_tool(record: Any, place: int) -> Tool:
    try:
        return _known_tool(record)
    except ValueError:
        return _new_tool(record, f"tools[{place}]")  # raises again, with the place in the message


def _new_tool(record: Any, where: str = "") -> Tool:
    function = _object(record, where).get("function", record)
    function = _object(function, f"{where}.function")
    parameters = function.get("parameters") or {}
    return Tool(
        name=_text(function, "name", where),
        description=_text(function, "description", where, default=""),
        parameters=_object(parameters, f"{where}.parameters"),
    )


_known_tool = read_once(_new_tool)


def _read_message(record: Any, place: int) -> Message:
    if type(record) is dict and len(record) == 2:
        role, content = record.get("role"), record.get("content")
        if role in ROLES and isinstance(content, str):
            return Message(role, content)  # as most turns are
    where = f"messages[{place}]"
    record = _object(record, where)
    role = record.get("role")
    if role not in ROLES:
        raise ValueError(f"{where}.role is {role!r}, wanted one of {', '.join(ROLES)}")
    calls = _list(record, "tool_calls", where) if record.get("tool_calls") is not None else []
    if calls and role != "assistant":
        raise ValueError(f"{where} has tool_calls but role {role!r}; only an assistant calls tools")
    return Message(
        role=role,
        content=_text(record, "content", where, default=""),
        tool_calls=tuple(_read_call(c, f"{where}.tool_calls[{i}]") for i, c in enumerate(calls)),
        name=_text_or_none(record, "name", where),
        tool_call_id=_text_or_none(record, "tool_call_id", where),
        trained=_flag(record, "trained", where),
    )


def _flag(record: Mapping[str, Any], key: str, where: str) -> bool:
    value = record.get(key, True)
    if not isinstance(value, bool):
        raise ValueError(f"{where}.{key} must be true or false, found {json.dumps(value)[:40]}")
    return value


def _read_call(record: Any, where: str) -> ToolCall:
    function = _object(_object(record, where).get("function", record), f"{where}.function")
    return ToolCall(
        name=_text(function, "name", where),
        arguments=_object(function.get("arguments"), f"{where}.arguments"),
        id=_text_or_none(record, "id", where),
    )


def _list(record: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = record.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{where}: {key} must be a list, found {_kind(value)}")
    return value


def _object(value: Any, where: str) -> Mapping[str, Any]:
    # The exact type is tested first because isinstance with Mapping is slow.
    if type(value) is not dict and not isinstance(value, Mapping):
        raise ValueError(f"{where} must be an object, found {_kind(value)}")
    return value


def _text(record: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = record.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ValueError(f"{where}.{key} must be a string, found {_kind(value)}")
    return value


def _text_or_none(record: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if record.get(key) is None else _text(record, key, where)


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
