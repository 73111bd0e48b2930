"""Which members of a `oneOf` exclude each other, so that a value of one is a value of no other."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chat.schemas.flat_parameters import JSON_TYPES, json_types
from chat.schemas.whole_objects import SPEAKS_OF_OTHERS
from chat.schemas.work import frozen
from inference.constrain.closing import passes_closing
from inference.constrain.references import Document, Place

# Unions within unions, and properties within properties, are followed this far.
_DEEPEST = 4
# So many options are compared, each with each; of one member, so many.
_MOST_COMPARED = 128
_MOST_OPTIONS = 64
# A union is given up after so many steps: references let a short schema have millions.
MOST_STEPS = 200_000
_KIND_OF = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}


@dataclass(frozen=True)
class Option:
    """What is known of the values of a schema.

    kinds: The types of JSON that they may have; "number" stands for whole numbers too.
    values: The only values, frozen; None for any.
    required: The names that objects must have.
    properties: The schemas of the names of objects.
    closed: Whether objects that are generated have no other names.
    """

    kinds: frozenset[str]
    values: frozenset[Any] | None
    required: frozenset[str]
    properties: Mapping[str, Place]
    closed: bool


def forbidden_names(
    document: Document, places: list[Place], kinds: Iterable[str], closing: bool
) -> list[set[str]] | None:
    """Return for each member of a union the names it must not have to exclude all the others.

    Args:
        document: Where references lead.
        places: The members.
        kinds: The types that are possible beside the union.
        closing: Whether objects are generated with the names that their schema has only.

    None where it cannot be told that they exclude each other.
    """
    if len(places) > _MOST_COMPARED:
        return None
    left = iter(range(MOST_STEPS))
    known = [_options(document, place, frozenset(kinds), closing, left, 0) for place in places]
    if sum(map(len, known)) > _MOST_COMPARED:
        return None
    found: list[set[str]] = []
    for index, own in enumerate(known):
        names: set[str] = set()
        for other, theirs in enumerate(known):
            for pair in ((a, b) for a in own for b in theirs if other != index):
                if _exclude(document, *pair, left, 0):
                    continue
                free = sorted(pair[1].required - pair[0].required)
                if not free or pair[0].kinds != {"object"}:
                    return None
                names.add(free[0])
        found.append(names)
    return found


def _options(
    document: Document,
    place: Place,
    kinds: frozenset[str],
    closing: bool,
    left: Iterator[int],
    depth: int,
) -> list[Option]:
    """Return what a schema's values may be, an option for each way through its unions.

    Without steps `left` they may be anything.
    """
    schema = place.schema
    if schema is False:
        return []
    if not place.is_object or depth > _DEEPEST or next(left, None) is None:
        return [Option(kinds, None, frozenset(), {}, False)]
    found = [_own(place, kinds, closing)]
    target = document.follow(place) if "$ref" in schema else None
    together = [[target]] if target else []
    together += [[part] for part in place.members("allOf")]
    together += [place.members(keyword) for keyword in ("anyOf", "oneOf") if keyword in schema]
    inner = closing and passes_closing(schema)
    for members in together:
        found = [
            _both(own, option)
            for own in found
            for member in members
            for option in _options(document, member, own.kinds, inner, left, depth + 1)
        ]
        if len(found) > _MOST_OPTIONS:
            return [Option(kinds, None, frozenset(), {}, False)]
    return found


def _own(place: Place, kinds: frozenset[str], closing: bool) -> Option:
    """Return what a schema says itself, without its references and unions."""
    schema = place.schema
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, list):
        kinds = _meet(kinds, frozenset(map(_kind, values)))
    if "type" in schema:
        kinds = _meet(kinds, frozenset(json_types(schema["type"])))
    others = schema.get("additionalProperties")
    silent = others is None and not SPEAKS_OF_OTHERS & schema.keys()
    properties = {inner.pointer: inner for inner in place.members("properties")}
    named = dict(zip(schema.get("properties") or {}, properties.values(), strict=True))
    return Option(
        kinds,
        frozenset(map(frozen, values)) if isinstance(values, list) else None,
        frozenset(name for name in schema.get("required") or () if isinstance(name, str)),
        named,
        others is False or (closing and silent and bool(named)),
    )


def _both(own: Option, inner: Option) -> Option:
    """Return what holds for values of two schemas at once."""
    return Option(
        inner.kinds,
        own.values if inner.values is None else inner.values,
        own.required | inner.required,
        {**inner.properties, **own.properties},
        own.closed or inner.closed,
    )


def _exclude(
    document: Document, made: Option, other: Option, left: Iterator[int], depth: int
) -> bool:
    """Whether nothing that is generated for one option is a value of another.

    Without steps `left` that is not known, and denied.
    """
    kinds = _meet(made.kinds, other.kinds)
    if not kinds:
        return True
    if made.values is not None and other.values is not None and not made.values & other.values:
        return True
    if kinds != {"object"} or depth > _DEEPEST or next(left, None) is None:
        return False
    if made.closed and other.required - made.properties.keys() - made.required:
        return True
    everything = frozenset(JSON_TYPES)
    common = made.required & other.required & made.properties.keys() & other.properties.keys()
    # In order, so that a union is given up in every process or in none.
    for name in sorted(common):
        some, others = (
            _options(document, option.properties[name], everything, False, left, depth + 1)
            for option in (made, other)
        )
        if all(_exclude(document, a, b, left, depth + 1) for a in some for b in others):
            return True
    return False


def _meet(some: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """Return the types of two sets that have values in common."""
    both = some & others
    for one, two in ((some, others), (others, some)):
        if "number" in one and "integer" in two:
            both |= {"integer"}
    return both


def _kind(value: Any) -> str:
    return "null" if value is None else _KIND_OF.get(type(value), "object")
