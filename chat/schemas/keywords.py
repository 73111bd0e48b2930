"""The keywords of JSON Schema draft 2020-12: how the value of each is checked and converted."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

# What a conversion returns for a value without meaning, and for one that the draft does not allow.
DROPPED: Final = object()
ORIGINAL: Final = object()

# Keywords that hold a schema, a list of schemas, or schemas by name.
SUBSCHEMA: dict[str, str] = {
    **dict.fromkeys(("items", "additionalItems", "contains", "propertyNames"), "one"),
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties", "unevaluatedItems"), "one"),
    **dict.fromkeys(("not", "if", "then", "else", "contentSchema"), "one"),
    **dict.fromkeys(("prefixItems", "allOf", "anyOf", "oneOf"), "list"),
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions"), "map"),
    "dependentSchemas": "map",
}


def are_schemas(value: Any) -> bool:
    """Whether a value can be a schema's `properties`: schemas, or type names, by name."""
    return isinstance(value, Mapping) and all(
        schema is None or isinstance(schema, Mapping | bool | str) for schema in value.values()
    )


def _text(value: Any) -> Any:
    if value is None:
        return DROPPED
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ORIGINAL


def _number(value: Any) -> Any:
    if value is None:
        return DROPPED
    if isinstance(value, str):
        try:
            value = float(value) if re.search("[.eE]", value) else int(value)
        except ValueError:
            return ORIGINAL
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ORIGINAL
    return value if math.isfinite(value) else ORIGINAL


def _count(value: Any) -> Any:
    number = _number(value)
    if number is DROPPED or number is ORIGINAL:
        return number
    return int(number) if number >= 0 and number == int(number) else ORIGINAL


def _above_zero(value: Any) -> Any:
    number = _number(value)
    if number is DROPPED or number is ORIGINAL:
        return number
    return number if number > 0 else ORIGINAL


def _flag(value: Any) -> Any:
    words = {"true": True, "false": False}
    if isinstance(value, str):
        return words.get(value.lower(), ORIGINAL)
    return value if isinstance(value, bool) else DROPPED if value is None else ORIGINAL


def _choices(value: Any) -> Any:
    if value is None or value == []:
        return DROPPED
    return list(value) if isinstance(value, list) else ORIGINAL


def _examples(value: Any) -> Any:
    return value if isinstance(value, list) else DROPPED if value is None else [value]


def _pattern(value: Any) -> Any:
    if not isinstance(value, str):
        return DROPPED if value is None else ORIGINAL
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError):
        return ORIGINAL
    return value


def _pattern_text(pattern: str) -> Callable[[Any], Any]:
    form = re.compile(pattern)
    return lambda value: (
        value
        if isinstance(value, str) and form.fullmatch(value)
        else DROPPED
        if value is None
        else ORIGINAL
    )


def _name_lists(value: Any) -> Any:
    lists = isinstance(value, Mapping) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in value.values()
    )
    if not lists:
        return DROPPED if value is None else ORIGINAL
    return {name: list(dict.fromkeys(names)) for name, names in value.items()}


def _unchanged(value: Any) -> Any:
    return value


def _never(value: Any) -> Any:
    return ORIGINAL


KEYWORDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("title", "description", "format", "$comment"), _text),
    **dict.fromkeys(("contentMediaType", "contentEncoding"), _text),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _count),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), _count),
    "multipleOf": _above_zero,
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _flag),
    "enum": _choices,
    "examples": _examples,
    "pattern": _pattern,
    "dependentRequired": _name_lists,
    "default": _unchanged,
    "const": _unchanged,
    # These are references and names of places; other forms are not allowed by the draft.
    "$ref": _pattern_text(r"[^\s]+"),
    "$dynamicRef": _pattern_text(r"[^\s]+"),
    "$anchor": _pattern_text(r"[A-Za-z_][-A-Za-z0-9._]*"),
    "$dynamicAnchor": _pattern_text(r"[A-Za-z_][-A-Za-z0-9._]*"),
    "$id": _pattern_text(r"[^#\s]*#?"),
    # The result is always draft 2020-12, so the original draft is dropped.
    "$schema": lambda value: DROPPED,
    **dict.fromkeys(("$vocabulary", "$recursiveAnchor", "$recursiveRef"), _never),
    "dependencies": _never,
}
