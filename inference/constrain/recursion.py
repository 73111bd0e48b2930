"""Which schemas that refer to themselves have values that end."""

from collections.abc import Mapping, Set
from typing import Any

from chat.schemas.flat_parameters import json_types
from chat.schemas.keywords import SUBSCHEMA

PREFIX = "#/$defs/"


def ending_definitions(definitions: Mapping[str, Any]) -> set[str]:
    """Return the names of the definitions, referred to as `#/$defs/NAME`, with values that end."""
    found: set[str] = set()
    left, before = list(definitions), len(definitions) + 1
    while len(left) < before:
        before = len(left)
        # What a definition refers to stands before it, but in circles: one pass finds nearly all.
        for name in left:
            if has_end(definitions[name], found):
                found.add(name)
        left = [name for name in left if name not in found]
    return found


def has_end(schema: Any, ending: Set[str]) -> bool:
    """Whether a schema has a value that ends, by the names of the definitions that do."""
    if isinstance(schema, bool):
        return schema
    if "enum" in schema or "const" in schema:
        return True
    if "$ref" in schema and schema["$ref"].removeprefix(PREFIX) not in ending:
        return False
    for union in (schema[keyword] for keyword in ("anyOf", "oneOf") if keyword in schema):
        if not any(has_end(member, ending) for member in union):
            return False
    kinds = set(json_types(schema.get("type")))
    return all(has_end(member, ending) for member in schema.get("allOf", ())) and (
        not kinds
        or bool(kinds - {"object", "array"})
        or ("object" in kinds and _object_ends(schema, ending))
        or ("array" in kinds and _array_ends(schema, ending))
    )


def without_endless(schema: Any, ending: Set[str]) -> Any:
    """Return a schema in which what refers to a definition without an end is false."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("$ref", PREFIX).removeprefix(PREFIX) not in {"", *ending}:
        return False
    found = dict(schema)
    for keyword, form in SUBSCHEMA.items():
        if keyword not in schema:
            continue
        inner = schema[keyword]
        if form == "map":
            found[keyword] = {n: without_endless(member, ending) for n, member in inner.items()}
        elif form == "list":
            found[keyword] = [without_endless(member, ending) for member in inner]
        else:
            found[keyword] = without_endless(inner, ending)
    return found


def _object_ends(schema: Mapping[str, Any], ending: Set[str]) -> bool:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    return all(has_end(properties.get(n, others), ending) for n in schema.get("required", ()))


def _array_ends(schema: Mapping[str, Any], ending: Set[str]) -> bool:
    first, rest, least = (
        schema.get("prefixItems", []),
        schema.get("items", True),
        schema.get("minItems", 0),
    )
    return all(has_end(item, ending) for item in first[:least]) and (
        least <= len(first) or has_end(rest, ending)
    )
