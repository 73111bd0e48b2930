"""Objects that are generated with the names that their schema names, though it lets others in."""

from collections.abc import Iterator, Mapping
from typing import Any

from inference.constrain.references import Document, Place
from inference.constrain.refusal import NotEnforced

COMBINED = frozenset(("$ref", "anyOf", "oneOf", "allOf"))
# With one of these, a schema has names beside those of `properties`.
_OPEN = frozenset(("additionalProperties", "patternProperties", "propertyNames"))
# So often the objects of one tool may combine other schemas, those that these combine included:
# each of a chain has the names of all before it.
MOST_COMBINED = 4000


def passes_closing(schema: Mapping[str, Any]) -> bool:
    """Whether a schema combines others in one way only, so that each of those is closed itself."""
    found = COMBINED & schema.keys()
    return (
        len(found) == 1
        and not _OPEN & schema.keys()
        and not (schema.get("properties") or schema.get("required"))
        and len(schema.get("allOf", [0])) == 1
    )


def close(
    place: Place,
    result: dict[str, Any],
    document: Document,
    left: Iterator[int],
    at_root: bool = False,
) -> None:
    """Leave out of a schema's objects what it does not name, as far as it does not speak of others.

    Names that are only required are taken in. At the root, an object that names none takes none.
    Raises NotEnforced where what it combines takes more steps than are `left`.
    """
    if _OPEN & result.keys() or passes_closing(place.schema):
        return
    names = _all_names(place, document, left)
    if names or (names == set() and at_root):
        properties = {**result.get("properties", {})}
        for name in sorted(names - properties.keys()):
            properties[name] = True
        result["properties"], result["additionalProperties"] = properties, False


def _all_names(place: Place, document: Document, left: Iterator[int]) -> set[str] | None:
    """Return all names of a schema and of those it combines; None where it speaks of others."""
    found, seen, waiting = set[str](), set[int](), [place]
    while waiting:
        inner = waiting.pop()
        if not inner.is_object or id(inner.schema) in seen:
            continue
        if seen and next(left, None) is None:
            told = f"combines schemas that combine others, in more than {MOST_COMBINED:,} steps"
            raise NotEnforced(place.pointer, told)
        seen.add(id(inner.schema))
        schema = inner.schema
        if _OPEN & schema.keys() and schema.get("additionalProperties") is not False:
            return None
        found |= {*(schema.get("properties") or ()), *(schema.get("required") or ())}
        waiting += [part for key in ("anyOf", "oneOf", "allOf") for part in inner.members(key)]
        if "$ref" in schema and (target := document.follow(inner)):
            waiting.append(target)
    return found
