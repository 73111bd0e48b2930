"""Tool parameters given by name, or in a list, without a schema around them."""

import re
from collections.abc import Mapping
from typing import Any

from chat.schemas.keywords import SUBSCHEMA, are_schemas
from chat.schemas.type_names import read_type

JSON_TYPES = frozenset(("string", "integer", "number", "boolean", "object", "array", "null"))
_TRUE, _FALSE = ("true", "yes", "required"), ("false", "no", "optional")
# What the description of a flat parameter says about leaving it out.
_SAID_REQUIRED = re.compile(r"\brequired\s*(?:is|:|=)\s*(?:true|yes)\b", re.I)
_SAID_OPTIONAL = re.compile(
    r"""\brequired\s*(?:is|:|=)\s*(?:false|no)\b | \bnot\ required\b
    | (?<!\bno\ )\bdefaults?\s*(?:value\s*)?(?:is\b|to\b|:|=) | \(default\s
    | \A\W*optional\b | \(optional\) | [.;,]\s*optional\.?\Z""",
    re.I | re.X,
)


def is_flat(parameters: Mapping[str, Any]) -> bool:
    """Whether parameters are given by name, without a schema around them."""
    kind, properties = parameters.get("type"), parameters.get("properties")
    named = isinstance(kind, str | list) and "object" in json_types(kind)
    # A parameter may itself be called properties: it then has a type of its own.
    wrapped = are_schemas(properties) and not isinstance((properties or {}).get("type"), str)
    if not parameters or named or wrapped or (properties is None and "properties" in parameters):
        return False
    flat = {key: value for key, value in parameters.items() if not _stands_beside(key, value)}
    records = all(value is None or isinstance(value, Mapping) for value in flat.values())
    if records or all(map(is_type, flat.values())):
        return True
    if kind is None and any(key in SUBSCHEMA or key == "$ref" for key in parameters):
        return False
    known = "a JSON Schema, parameters by name, a list of parameters"
    raise ValueError(f"parameters are in no known dialect ({known}): {excerpt(parameters)}")


def _stands_beside(key: str, value: Any) -> bool:
    """Whether this key describes all the parameters and is not itself a flat parameter."""
    if key == "required":
        return value is None or isinstance(value, list | bool)
    if key == "additionalProperties":
        return isinstance(value, bool)
    return key in ("title", "description", "$schema") and not (
        value is None or isinstance(value, Mapping) or is_type(value)
    )


def wrap_flat(parameters: Mapping[str, Any], beside: Any = None) -> dict[str, Any]:
    """Wrap flat parameters; one is required unless something says that it may be left out.

    Where some are marked as required, the others are not. A null in place of a parameter is the
    padding of a table's column.
    """
    around = {key: value for key, value in parameters.items() if _stands_beside(key, value)}
    required = around.get("required", beside)
    listed = required if isinstance(required, list) else []
    flat = {
        key: value
        for key, value in parameters.items()
        if key not in around and (value is not None or key in listed)
    }
    marks = [truth(value.get("required")) for value in flat.values() if isinstance(value, Mapping)]
    if not isinstance(required, list) and True not in marks:
        required = [name for name, value in flat.items() if not _is_optional(value)] or None
    return {"type": "object", **around, "properties": flat, "required": required}


def _is_optional(value: Any) -> bool:
    """Whether a flat parameter may be left out, by its mark, type, default or description."""
    record = value if isinstance(value, Mapping) else {"type": value}
    kind, text = record.get("type"), record.get("description")
    if "default" in record or (isinstance(kind, str) and read_type(kind).optional):
        return True
    if truth(record.get("required")) is False or truth(record.get("optional")):
        return True
    said = text if isinstance(text, str) else ""
    return bool(_SAID_OPTIONAL.search(said)) and not _SAID_REQUIRED.search(said)


def by_name(parameters: list[Any]) -> dict[str, Any]:
    """Turn a list of parameters, each with its name, into parameters by name."""
    found: dict[str, Any] = {}
    for record in parameters:
        name = record.get("name") if isinstance(record, Mapping) else None
        if not isinstance(name, str) or not name:
            raise ValueError(f"a parameter of a list must have a name, found {excerpt(record)}")
        if name in found:
            raise ValueError(f"the parameter {name} stands twice")
        found[name] = {key: value for key, value in record.items() if key != "name"}
    return found


def is_type(value: Any) -> bool:
    """Whether a value is a type's name and nothing else."""
    return isinstance(value, str) and (read_type(value).exact or value in JSON_TYPES)


def json_types(kind: Any) -> list[str]:
    """Return the types of JSON that a `type` names in any dialect."""
    if isinstance(kind, str):
        kinds = [kind] if kind in JSON_TYPES else read_type(kind).schema.get("type", [])
        return kinds if isinstance(kinds, list) else [kinds]
    if isinstance(kind, list):
        return [known for name in kind if isinstance(name, str) for known in json_types(name)]
    return []


def truth(value: Any) -> bool | None:
    """Return the boolean that a mark means, given as a boolean or a word; None for no mark."""
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return value if isinstance(value, bool) else None


def excerpt(value: Any, most: int = 60) -> str:
    """Return a value in one short line, for messages."""
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= most else text[: most - 1] + "…"
