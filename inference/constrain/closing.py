"""Objects that are generated with the names that their schema names, though it lets others in."""

from collections.abc import Mapping
from typing import Any

from inference.constrain.references import Document, Place

COMBINED = frozenset(("$ref", "anyOf", "oneOf", "allOf"))
# With one of these, a schema has names beside those of `properties`.
_OPEN = frozenset(("additionalProperties", "patternProperties", "propertyNames"))


def passes_closing(schema: Mapping[str, Any]) -> bool:
    """Whether a schema combines others in one way only, so that each of those is closed itself."""
    found = COMBINED & schema.keys()
    return (
        len(found) == 1
        and not _OPEN & schema.keys()
        and not (schema.get("properties") or schema.get("required"))
        and len(schema.get("allOf", [0])) == 1
    )


def close(place: Place, result: dict[str, Any], document: Document, at_root: bool = False) -> None:
    """Leave out of a schema's objects what it does not name, as far as it does not speak of others.

    Names that are only required are taken in. At the root, an object that names none takes none.
    """
    if _OPEN & result.keys() or passes_closing(place.schema):
        return
    names = _all_names(place, document, set())
    if names or (names == set() and at_root):
        properties = {**result.get("properties", {})}
        for name in sorted(names - properties.keys()):
            properties[name] = True
        result["properties"], result["additionalProperties"] = properties, False


def _all_names(place: Place, document: Document, seen: set[int]) -> set[str] | None:
    """Return all names of a schema and of those it combines; None where it speaks of others."""
    if not place.is_object or id(place.schema) in seen:
        return set()
    seen.add(id(place.schema))
    schema = place.schema
    if _OPEN & schema.keys() and schema.get("additionalProperties") is not False:
        return None
    found = {*(schema.get("properties") or ()), *(schema.get("required") or ())}
    parts = [part for keyword in ("anyOf", "oneOf", "allOf") for part in place.members(keyword)]
    target = document.follow(place) if "$ref" in schema else None
    for part in [*parts, *([target] if target else [])]:
        names = _all_names(part, document, seen)
        if names is None:
            return None
        found |= names
    return found
