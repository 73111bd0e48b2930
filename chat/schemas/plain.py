"""A fast check that accepts arguments of plain schemas; everything else goes to jsonschema.

Most tools of data sets use a dozen keywords, which take a few comparisons to check; checking and
compiling each new schema with jsonschema takes a hundred times as long. Only "fits" is decided
here: for anything wrong or unusual, the result and its message come from jsonschema.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from chat.schemas.patterns import TooCostly, matches

_TYPES = frozenset(("string", "integer", "number", "boolean", "array", "object", "null"))
_TEXTS = frozenset(("title", "description", "format"))
_SIZES = frozenset(("minLength", "maxLength", "minItems", "maxItems"))
# A longer enum is left to chat/schemas/checking.py, which looks choices up in a set.
_MOST_CHOICES = 100
_LIMITS = frozenset(("minimum", "maximum"))
# Keywords of the draft or its predecessors that are not decided here.
_NOT_PLAIN = frozenset(
    (
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "const"),
        *("patternProperties", "propertyNames", "dependentSchemas", "dependentRequired"),
        *("minProperties", "maxProperties", "unevaluatedProperties", "unevaluatedItems"),
        *("prefixItems", "contains", "minContains", "maxContains", "uniqueItems"),
        *("multipleOf", "exclusiveMinimum", "exclusiveMaximum", "definitions", "dependencies"),
        *("contentEncoding", "contentMediaType", "contentSchema"),
        *("examples", "deprecated", "readOnly", "writeOnly"),
    )
)


def is_plain(schema: Any) -> bool:
    """Whether a schema is well-formed and uses nothing but the plain keywords."""
    if schema is True:
        return True
    if not isinstance(schema, Mapping):
        return False
    return all(_is_plain_keyword(key, value) for key, value in schema.items())


def _is_plain_keyword(key: str, value: Any) -> bool:
    if key == "type":
        names = value if isinstance(value, list) else [value]
        return bool(names) and _are_names(names) and set(names) <= _TYPES
    if key in _TEXTS:
        return isinstance(value, str)
    if key == "properties":
        return isinstance(value, Mapping) and all(map(is_plain, value.values()))
    if key in ("items", "additionalProperties"):
        return value is False or is_plain(value)
    if key == "required":
        return isinstance(value, list) and _are_names(value)
    if key == "enum":
        return isinstance(value, list) and len(value) <= _MOST_CHOICES
    if key in _SIZES:
        return type(value) is int and value >= 0
    if key in _LIMITS:
        return type(value) in (int, float)
    if key == "pattern":
        return isinstance(value, str) and _is_pattern(value)
    return not key.startswith("$") and key not in _NOT_PLAIN


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _are_names(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values)


def plainly_fits(schema: Any, value: Any) -> bool:
    """Whether a value certainly fits a plain schema; False means that jsonschema must decide."""
    if schema is True:
        return True
    if schema is False:
        return False
    kind = schema.get("type")
    if kind is not None and not _has_type(kind, value):
        return False
    # jsonschema tells 1 from True and compares deeply; here only strings are compared.
    if "enum" in schema and not (isinstance(value, str) and value in schema["enum"]):
        return False
    if isinstance(value, str):
        fits = _within(schema, len(value), "minLength", "maxLength")
        return fits and ("pattern" not in schema or _surely_matches(schema["pattern"], value))
    if isinstance(value, dict):
        return _object_fits(schema, value)
    if isinstance(value, list):
        items = schema.get("items", True)
        return _within(schema, len(value), "minItems", "maxItems") and all(
            plainly_fits(items, item) for item in value
        )
    return isinstance(value, bool) or value is None or _within(schema, value, *_MIN_MAX)


def _surely_matches(pattern: str, text: str) -> bool:
    try:
        return matches(pattern, text)
    except TooCostly:
        return False


_MIN_MAX = ("minimum", "maximum")


def _object_fits(schema: Mapping[str, Any], value: dict[str, Any]) -> bool:
    properties = schema.get("properties", {})
    # Names beside the listed ones are undeclared, which chat/schemas/undeclared.py reports.
    others = schema.get("additionalProperties", not properties)
    return all([name in value for name in schema.get("required", ())]) and all(
        plainly_fits(properties.get(name, others), member) for name, member in value.items()
    )


def _within(schema: Mapping[str, Any], number: float, least: str, most: str) -> bool:
    return schema.get(least, number) <= number <= schema.get(most, number)


def _has_type(kind: Any, value: Any) -> bool:
    if isinstance(kind, list):
        return any(_CHECKS[type_name](value) for type_name in kind)
    return _CHECKS[kind](value)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "number": lambda value: type(value) in (int, float),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
