"""The names of objects: those a schema rules by list or by pattern, and how many there are."""

import re
from collections.abc import Callable
from typing import Any

from chat.schemas.patterns import matches
from inference.constrain.references import Document, Place
from inference.constrain.refusal import NotEnforced
from inference.constrain.texts import NAME_PATTERNS, read_format, read_pattern

# What may rule a name beside its type; the rest of a schema's keywords are words about it.
_OF_NAMES = frozenset(("enum", "const", "pattern", "minLength", "maxLength", "format"))
_SAYS_NOTHING = frozenset(("type", "title", "description", "default", "examples", "$comment"))
_MOST_STEPS = 50


def read_names(
    place: Place, result: dict[str, Any], document: Document, read: Callable[[Place], Any]
) -> None:
    """Put `propertyNames` and `patternProperties` into a schema that has been read without them.

    Objects ruled by a pattern have no names beside it and the listed ones. Raises NotEnforced.
    """
    patterns = place.members("patternProperties")
    ruled = "propertyNames" in place.schema and place.inside("propertyNames")
    if patterns:
        pattern = next(iter(place.schema["patternProperties"]))
        listed = result.get("properties", {})
        if ruled or len(patterns) > 1 or any(matches(pattern, name) for name in listed):
            told = "is not enforced beside other patterns, or names that fit it"
            raise NotEnforced(f"{place.pointer}/patternProperties", told)
        _put_pattern(result, pattern, read(patterns[0]), patterns[0].pointer)
    elif ruled:
        _put_ruled(result, ruled, document)


def _put_ruled(result: dict[str, Any], names: Place, document: Document) -> None:
    schema = _resolved(names, document).schema
    if schema is True or not schema.keys() - _SAYS_NOTHING:
        return
    others = result.get("additionalProperties", True)
    listed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    rules = schema.keys() & _OF_NAMES
    if schema.keys() - _OF_NAMES - _SAYS_NOTHING or len(rules - {"maxLength"}) > 1:
        raise NotEnforced(names.pointer, "is not enforced: only one rule for names is")
    if isinstance(listed, list):
        known = dict.fromkeys((name for name in listed if isinstance(name, str)), others)
        known |= result.get("properties", {})
        result["properties"] = {name: known[name] for name in known if name in listed}
        result["additionalProperties"] = False
        return
    pattern = _pattern(schema, names.pointer)
    if pattern and result.get("properties"):
        raise NotEnforced(names.pointer, "is not enforced beside names that are listed")
    if pattern:
        _put_pattern(result, pattern, others, names.pointer)


def _pattern(schema: dict[str, Any], pointer: str) -> str:
    """Return the pattern that rules a name, empty for none."""
    if "minLength" in schema or "maxLength" in schema:
        if "pattern" in schema or "format" in schema:
            raise NotEnforced(pointer, "is not enforced: only one rule for names is")
        most = int(schema["maxLength"]) if "maxLength" in schema else ""
        return rf"^(.|\n){{{int(schema.get('minLength', 0))},{most}}}$"
    if "pattern" in schema:
        return str(schema["pattern"])
    keywords, patterns = read_format(schema.get("format"))
    name = keywords.get("format", schema.get("format"))
    if name in NAME_PATTERNS:
        return NAME_PATTERNS[name]
    if keywords or patterns:
        raise NotEnforced(f"{pointer}/format", f"is {name!r}, which is not enforced for names")
    return ""


def _put_pattern(result: dict[str, Any], pattern: str, schema: Any, pointer: str) -> None:
    try:
        if len(read_pattern(pattern)) > 1:
            raise ValueError(f"holds {pattern!r}, which is not enforced for names")
        re.compile(pattern)
    except ValueError as error:
        raise NotEnforced(pointer, str(error)) from None
    except (OverflowError, re.error) as error:
        raise NotEnforced(pointer, f"is not enforced: {error}") from None
    result["patternProperties"] = {pattern: schema}
    result["additionalProperties"] = False


def _resolved(place: Place, document: Document) -> Place:
    """Return the schema that a reference leads to, as far as nothing else stands beside it."""
    for _ in range(_MOST_STEPS):
        if not place.is_object or "$ref" not in place.schema:
            break
        target = document.follow(place)
        if target is None or place.schema.keys() - _SAYS_NOTHING - {"$ref"}:
            break
        place = target
    if not place.is_object and place.schema is not True:
        raise NotEnforced(place.pointer, "leaves no name")
    return place


def settle_counts(result: dict[str, Any]) -> None:
    """Say `minProperties` and `maxProperties` otherwise where names are listed, not all required.

    llguidance keeps them where no name is listed, or all are required.
    """
    names, required = result.get("properties") or {}, result.get("required") or []
    closed = result.get("additionalProperties") is False and "patternProperties" not in result
    least, most = result.get("minProperties", 0), result.get("maxProperties")
    if least <= len(required):
        result.pop("minProperties", None)
    elif closed and least == 1 and "anyOf" not in result:
        del result["minProperties"]
        result["anyOf"] = [{"required": [name]} for name in names]
    if closed and most is not None and most >= len(names):
        del result["maxProperties"]
