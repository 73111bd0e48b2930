"""JSON Schema as TypeScript-like types; each keyword becomes part of a type, or a comment."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from chat.conversation import Tool
from chat.formats.format import CannotWrite
from chat.recurring import MOST_KEPT

# The end of what is written of a tool.
END_OF_TYPE = ") => any;"
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
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
    """The text of a type, the comments above it, and the keywords that the two express.

    joined_by: "|" for a union of several types, "&" where several hold at once, else empty.
    """

    text: str
    notes: tuple[str, ...] = ()
    said: frozenset[str] = field(default_factory=frozenset)
    joined_by: str = ""

    def within(self, marks: str = "|&") -> str:
        """Return the text as part of a larger type: in parentheses if joined by one of `marks`."""
        return f"({self.text})" if self.joined_by and self.joined_by in marks else self.text


def describe_function(tool: Tool) -> str:
    """Write one tool as a function type, its description and those of its fields as comments.

    CannotWrite for a schema that is nested too deeply.
    """
    try:
        return _describe(tool.json_text)
    except RecursionError:
        why = f"the schema of {tool.name} is nested too deep to be described"
        raise CannotWrite(why) from None


@lru_cache(maxsize=MOST_KEPT)
def _describe(json_text: str) -> str:
    tool = Tool(**json.loads(json_text)["function"])
    parameters = _type({"type": "object", **tool.parameters})
    text = "object" if parameters.text == "{}" and _is_open(tool.parameters) else parameters.text
    is_empty = text == "{}" or (text == "object" and not _is_open(tool.parameters))
    argument = "" if is_empty else f"_: {text}"
    name = json.dumps(tool.name) if _UNPRINTABLE.search(tool.name) else tool.name
    comments = _comments([tool.description, *parameters.notes])
    return "\n".join([*comments, f"type {name} = ({argument}{END_OF_TYPE}"])


def _comments(notes: Iterable[str]) -> list[str]:
    lines = [line for note in notes if note.strip() for line in note.strip().split("\n")]
    return [f"// {line}".rstrip() for line in lines]


def _type(schema: Any) -> _Type:
    """Write a schema's type; keywords that the type cannot express go to the notes."""
    if not isinstance(schema, Mapping):
        return _Type("any", () if schema is True else (f"schema: {_json(schema)}",))
    parts = [part for part in _parts(schema) if part is not None]
    said = frozenset({"description"}).union(*(part.said for part in parts))
    found = parts[0] if len(parts) == 1 else _all_at_once(parts)
    if schema.get("nullable") is True:
        found = _Type(f"{found.within('&')} | null", joined_by="|")
        said |= {"nullable"}
    inner = (note for part in parts for note in part.notes)
    return _Type(found.text, (*_own_notes(schema, said), *inner), said, found.joined_by)


def _all_at_once(parts: Sequence[_Type]) -> _Type:
    text = " & ".join(part.within("|") for part in parts)
    return _Type(text, joined_by="&") if parts else _Type("any")


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
    return [plain, *unions, *(replace(part, said=frozenset({"allOf"})) for part in every)]


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
    said = frozenset({key, "type"} if implied else {key})
    return _Type(" | ".join(map(_json, values)), (), said, "|" if len(values) > 1 else "")


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
        is_any = properties is None or _is_open(schema)
        return _Type("object" if is_any else "{}", (), frozenset(said))
    return _Type("\n".join(["{", *lines, "}"]), (), frozenset(said))


def _is_open(schema: Mapping[str, Any]) -> bool:
    """Whether an object takes names that its `properties` do not have."""
    if schema.get("additionalProperties") is True or "$ref" in schema:
        return True
    return any(
        isinstance(schema.get(key), Mapping) and bool(schema[key])
        for key in ("additionalProperties", "patternProperties")
    )


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
        return _Type(f"{every.within()}[]", every.notes, frozenset(said))
    members = [_labelled(_type(item), f"item {i}") for i, item in enumerate(first or [], 1)]
    texts = [member.text for member in members]
    if rest_key in said:
        texts.append(f"...{every.within()}[]")
        members.append(every)
    notes = tuple(note for member in members for note in member.notes)
    return _Type(f"[{', '.join(texts)}]", notes, frozenset({*said, first_key}))


def _union(options: Sequence[_Type], key: str | None = None) -> _Type:
    labelled = [_labelled(option, f"option {i}") for i, option in enumerate(options, 1)]
    notes = tuple(note for option in labelled for note in option.notes)
    said = frozenset({key}) if key else frozenset().union(*(option.said for option in options))
    distinct = list({option.text: option for option in options}.values())
    if len(distinct) == 1:
        return _Type(distinct[0].text, notes, said, distinct[0].joined_by)
    return _Type(" | ".join(option.within("&") for option in distinct), notes, said, "|")


def _labelled(value: _Type, label: str) -> _Type:
    return replace(value, notes=tuple(f"{label}: {note}" for note in value.notes))


def _texts(values: Any) -> frozenset[str]:
    """Return the strings in a list; empty for any other value."""
    listed = values if isinstance(values, list) else []
    return frozenset(value for value in listed if isinstance(value, str))


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
