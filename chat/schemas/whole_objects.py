"""Objects brought to one place: a root that refers or combines, and names that are required.

`{"$ref": "#/definitions/Trip", "definitions": {...}}` says what `Trip` says, and `allOf` of objects
is one object with all their properties, as long as none of them says more than that.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# What an object may say for its properties to be put beside those of another.
_OF_A_PLAIN_OBJECT = {"type", "properties", "required", "title", "description", "$comment"}
# With one of these a schema speaks of names that are not in its own `properties`.
SPEAKS_OF_OTHERS = {
    *("patternProperties", "unevaluatedProperties", "dependentSchemas", "propertyNames"),
    *("allOf", "anyOf", "oneOf", "not", "if", "$ref", "$dynamicRef"),
}
_PLACES = ("$defs", "definitions")
_MOST_STEPS = 50


def merge_root(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the root of a schema with what it refers to and combines put in its place.

    It stays as it is where that would change which arguments fit.
    """
    merged = _followed(schema, schema)
    members = merged.get("allOf")
    if isinstance(members, list) and all(isinstance(member, Mapping) for member in members):
        objects = [_followed(dict(member), merged) for member in members]
        around = {key: value for key, value in merged.items() if key != "allOf"}
        alone = _in_place(objects[0], around) if len(objects) == 1 else None
        merged = alone or _combined(around, objects) or merged
    if merged is schema:
        return schema
    rest = {key: value for key, value in merged.items() if key not in _PLACES}
    return merged if any("$ref" in inner for inner in _all_objects(rest)) else rest


def _followed(schema: dict[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with its `$ref` replaced by the place that it leads to, if it has one."""
    found = schema
    for _ in range(_MOST_STEPS):
        if "$ref" not in found:
            return found
        target = find_place(found["$ref"], root)
        around = {key: value for key, value in found.items() if key != "$ref"}
        placed = _in_place(target, around) if isinstance(target, Mapping) else None
        if placed is None:
            return schema
        found = placed
    return schema


def _in_place(target: Mapping[str, Any], around: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a schema with what stands around it; None where that says more than words."""
    if around.get("type", "object") != "object" or around.get("properties"):
        return None
    if around.keys() - {"type", "properties", "title", "description", *_PLACES}:
        return None
    return {**target, **{key: value for key, value in around.items() if key != "properties"}}


def find_place(reference: Any, root: Mapping[str, Any]) -> Any:
    """Return the schema that a reference inside its own document leads to, or None."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    place: Any = root
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, Mapping) or name not in place:
            return None
        place = place[name]
    return place


def _combined(around: dict[str, Any], objects: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return one object that says what several say together; None where that cannot be written."""
    said = [{key: value for key, value in around.items() if key not in _PLACES}, *objects]
    properties: dict[str, Any] = {}
    required: dict[str, None] = {}
    for member in said:
        if not member.keys() <= _OF_A_PLAIN_OBJECT or member.get("type", "object") != "object":
            return None
        for name, inner in member.get("properties", {}).items():
            if properties.setdefault(name, inner) != inner:
                return None
        required.update(dict.fromkeys(member.get("required", ())))
    found = {**around, "type": "object", "properties": properties}
    return {**found, "required": list(required)} if required else found


def _all_objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all JSON objects in a value."""
    if isinstance(value, Mapping):
        yield value
    inside = value.values() if isinstance(value, Mapping) else value
    for member in inside if isinstance(value, Mapping | list) else ():
        yield from _all_objects(member)


def settle_required(schema: Any) -> None:
    """Leave out of `required`, at every depth, what no property of a closed object is called.

    Schemas are changed in place. What is combined with other schemas may require their names.
    """
    if not isinstance(schema, dict):
        return
    properties, required = schema.get("properties"), schema.get("required")
    others = schema.get("additionalProperties") or SPEAKS_OF_OTHERS & schema.keys()
    if properties and required and not others:
        schema["required"] = [name for name in required if name in properties]
    for inner in inner_values(schema):
        settle_required(inner)


def inner_values(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the schemas of an object's or a list's members."""
    yield from (schema.get("properties") or {}).values()
    yield from schema.get("prefixItems") or ()
    yield from (schema[key] for key in ("items", "additionalProperties") if key in schema)
