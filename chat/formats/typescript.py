"""JSON Schema as TypeScript-like types; each keyword becomes part of a type, or a comment."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from chat.conversation import Tool
from chat.recurring import MOST_KEPT

_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
# Group 1 is empty for a quote that never closes; no quoted text can follow it.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+("?)')
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_KINDS_OF_LITERAL = {
    type(None): {"null"},
    bool: {"boolean"},
    int: {"integer", "number"},
    float: {"number"},
    str: {"string"},
    list: {"array"},
    dict: {"object"},
}


@dataclass(frozen=True)
class _Type:
    """The text of a type, the comments above it, and the keywords that the two express."""

    text: str
    notes: tuple[str, ...] = ()
    said: frozenset[str] = field(default_factory=frozenset)


def describe_function(tool: Tool) -> str:
    """Write one tool as a function type, its description and those of its fields as comments.

    ValueError for a schema that is nested too deeply.
    """
    try:
        return _describe(tool.json_text)
    except RecursionError:
        raise ValueError(f"the schema of {tool.name} is nested too deep to be described") from None


@lru_cache(maxsize=MOST_KEPT)
def _describe(json_text: str) -> str:
    tool = Tool(**json.loads(json_text)["function"])
    parameters = _type({"type": "object", **tool.parameters})
    argument = "" if parameters.text in ("{}", "object") else f"_: {parameters.text}"
    name = json.dumps(tool.name) if _UNPRINTABLE.search(tool.name) else tool.name
    comments = _comments([tool.description, *parameters.notes])
    return "\n".join([*comments, f"type {name} = ({argument}) => any;"])


def _comments(notes: Iterable[str]) -> list[str]:
    lines = [line for note in notes if note.strip() for line in note.strip().split("\n")]
    return [f"// {line}".rstrip() for line in lines]


def _type(schema: Any) -> _Type:
    """Write a schema's type; keywords that the type cannot express go to the notes."""
    if not isinstance(schema, Mapping):
        return _Type("any", () if schema is True else (f"schema: {_json(schema)}",))
    parts = [part for part in _parts(schema) if part is not None]
    said = frozenset({"description"}).union(*(part.said for part in parts))
    text = parts[0].text if len(parts) == 1 else " & ".join(_operand(part.text) for part in parts)
    text = text or "any"
    if schema.get("nullable") is True:
        text, said = f"{text} | null", said | {"nullable"}
    inner = (note for part in parts for note in part.notes)
    return _Type(text, (*_own_notes(schema, said), *inner), said)


def _own_notes(schema: Mapping[str, Any], said: frozenset[str]) -> list[str]:
    description = schema.get("description", "")
    notes = [description if isinstance(description, str) else f"description: {_json(description)}"]
    rest = [f"{key}: {_json(value)}" for key, value in schema.items() if key not in said]
    return [note for note in [*notes, "; ".join(rest)] if note.strip()]


def _parts(schema: Mapping[str, Any]) -> list[_Type | None]:
    """List the types that all hold at once: the plain one and those of anyOf, oneOf, allOf."""
    unions = [
        _union([_type(option) for option in schema[key]], key)
        for key in ("anyOf", "oneOf")
        if _is_filled_list(schema.get(key))
    ]
    plain = _literals(schema) or _plain(schema)
    options = schema["allOf"] if _is_filled_list(schema.get("allOf")) else []
    every = [_labelled(_type(option), f"part {i}") for i, option in enumerate(options, 1)]
    return [plain, *unions, *(_Type(t.text, t.notes, frozenset({"allOf"})) for t in every)]


def _literals(schema: Mapping[str, Any]) -> _Type | None:
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        values, key = schema["enum"], "enum"
    elif "const" in schema:
        values, key = [schema["const"]], "const"
    else:
        return None
    declared = schema.get("type")
    names = _texts(declared if isinstance(declared, list) else [declared])
    implied = all(not _KINDS_OF_LITERAL[type(value)].isdisjoint(names) for value in values)
    return _Type(" | ".join(map(_json, values)), (), frozenset({key, "type"} if implied else {key}))


def _plain(schema: Mapping[str, Any]) -> _Type | None:
    """Write the type that `type` names, or that the other keywords imply; None for neither."""
    kind = schema.get("type")
    if isinstance(kind, list) and kind and all(isinstance(type_name, str) for type_name in kind):
        return _union([_of_kind(type_name, schema) for type_name in dict.fromkeys(kind)])
    if isinstance(kind, str) and kind:
        return _of_kind(kind, schema)
    if "properties" in schema:
        return _of_kind("object", schema)
    if "items" in schema or "prefixItems" in schema:
        return _of_kind("array", schema)
    return None


def _of_kind(kind: str, schema: Mapping[str, Any]) -> _Type:
    if kind == "object":
        return _object(schema)
    if kind == "array":
        return _array(schema)
    return _Type(kind, (), frozenset({"type"}))


def _object(schema: Mapping[str, Any]) -> _Type:
    properties, extra = schema.get("properties"), schema.get("additionalProperties")
    said, lines = {"type"}, []
    required = schema.get("required")
    names = _texts(required)
    if isinstance(properties, Mapping):
        said.add("properties")
        for name, value in properties.items():
            lines += _field(name, "" if name in names else "?", _type(value))
        if isinstance(required, list) and set(map(_json, required)) <= set(map(_json, properties)):
            said.add("required")
    if isinstance(extra, Mapping):
        said.add("additionalProperties")
        lines += _field("[key: string]", "", _type(extra), quoted=False)
    if not lines:
        return _Type("object" if properties is None else "{}", (), frozenset(said))
    return _Type("\n".join(["{", *lines, "}"]), (), frozenset(said))


def _field(name: str, mark: str, value: _Type, quoted: bool = True) -> list[str]:
    if quoted and not _IDENTIFIER.fullmatch(name):
        name = _json(name)
    return [*_comments(value.notes), f"{name}{mark}: {value.text},"]


def _array(schema: Mapping[str, Any]) -> _Type:
    """Write an array type, or a tuple type when the first members have their own schemas."""
    older = _is_filled_list(schema.get("items"))
    first_key, rest_key = ("items", "additionalItems") if older else ("prefixItems", "items")
    first, rest = schema.get(first_key), schema.get(rest_key)
    said = {"type"}
    if rest is True or isinstance(rest, Mapping):
        said.add(rest_key)
    every = _labelled(_type(rest if rest_key in said else True), "items")
    if not _is_filled_list(first):
        return _Type(f"{_operand(every.text)}[]", every.notes, frozenset(said))
    members = [_labelled(_type(item), f"item {i}") for i, item in enumerate(first or [], 1)]
    texts = [member.text for member in members]
    if rest_key in said:
        texts.append(f"...{_operand(every.text)}[]")
        members.append(every)
    notes = tuple(note for member in members for note in member.notes)
    return _Type(f"[{', '.join(texts)}]", notes, frozenset({*said, first_key}))


def _union(options: Sequence[_Type], key: str | None = None) -> _Type:
    labelled = [_labelled(option, f"option {i}") for i, option in enumerate(options, 1)]
    notes = tuple(note for option in labelled for note in option.notes)
    said = frozenset({key}) if key else frozenset().union(*(option.said for option in options))
    return _Type(" | ".join(dict.fromkeys(option.text for option in options)), notes, said)


def _labelled(value: _Type, label: str) -> _Type:
    return _Type(value.text, tuple(f"{label}: {note}" for note in value.notes), value.said)


def _operand(text: str) -> str:
    """Put parentheses around a union or intersection that becomes part of a larger type."""
    if text.startswith("{") and text.endswith("}"):
        return text
    outside = _QUOTED.sub(lambda found: "" if found[1] else found[0], text)
    return f"({text})" if " | " in outside or " & " in outside else text


def _texts(values: Any) -> frozenset[str]:
    """Return the strings in a list; empty for any other value."""
    listed = values if isinstance(values, list) else []
    return frozenset(value for value in listed if isinstance(value, str))


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
