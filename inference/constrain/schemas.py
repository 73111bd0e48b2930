"""Which schemas a grammar can enforce: an argument schema made ready, or an error with its path.

A keyword is passed on when llguidance enforces it, dropped when it says nothing about a value
(descriptions, defaults, unknown words), and anything else is an error: nothing is ignored.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chat.conversation import Tool
from chat.schemas.keywords import SUBSCHEMA
from inference.constrain.automaton import automaton_of

# What llguidance 1.9 has a pattern for; of an unknown name it would refuse or ignore the format.
FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")
)
# llguidance's dates have 29 days in every February.
_LEAP = r"([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_DAY_THAT_EXISTS = rf"^([0-9]{{4}}-(0[13-9]|1[0-2]|02-([01]|2[0-8]))|{_LEAP}-02-29)"
# OpenAPI's names for kinds of value that the type has said already.
_FORMATS_OF_TYPES = frozenset(("float", "double", "password"))
_ENFORCED = frozenset(
    (
        *("type", "enum", "const", "properties", "required", "additionalProperties"),
        *("items", "prefixItems", "minItems", "maxItems", "minProperties", "maxProperties"),
        *("minLength", "maxLength", "pattern", "format", "multipleOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions"),
    )
)
# Keywords with a meaning that the grammar cannot keep. Of patterned names it could not keep apart
# the ones that are there; the rest llguidance does not know.
_NOT_ENFORCED = frozenset(
    (
        *("uniqueItems", "contains", "minContains", "maxContains", "additionalItems"),
        *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"),
        *("patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems"),
        *("$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor", "$vocabulary"),
    )
)
# With one of these beside `properties`, a schema speaks of other names too.
_OPEN = frozenset(("additionalProperties", "anyOf", "oneOf", "allOf", "$ref"))
# Regular expressions that engines read differently, or Python alone reads so.
_DISPUTED = re.compile(r"\\[DWSBb]|[*+?}]\+|\{,|\(\?[^:]")
# A class that excludes, up to its bracket, and what of it excludes another class.
_EXCLUDING = re.compile(r"\[\^[^\]]*+")
_EXCLUDED_CLASS = re.compile(r".*\\[dws]", re.DOTALL)
# What a pattern costs a token grows with the places at which a text may stand in it.
WIDEST_PATTERN = 600
# Inside a JSON string these need \u escapes, which the grammar never writes.
_UNWRITABLE = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f\ud800-\udfff]")
# Of a path that is longer, a message shows so many characters.
LONGEST_POINTER = 120


def enforceable(tool: Tool) -> dict[str, Any]:
    """Return the schema of a tool's arguments with nothing but enforced keywords.

    Arguments that a schema does not name are left out, as far as it does not speak of others.
    Raises ValueError with the tool and a JSON Pointer to the keyword that is not enforced.
    """
    try:
        found: dict[str, Any] = _read(tool.parameters or {"type": "object"}, "", tool.name, True)
    except RecursionError:
        raise ValueError(
            f"tool {tool.name} cannot be constrained: its schema is nested too deep; make it "
            "flatter or generate without --constrain"
        ) from None
    if not _OPEN & found.keys():
        found["additionalProperties"] = False
    return found


def refuse(tool: str, pointer: str, problem: str) -> ValueError:
    """Return the error of a schema that cannot be enforced."""
    if len(pointer) > LONGEST_POINTER:
        pointer = f"{pointer[:LONGEST_POINTER]}... ({pointer.count('/'):,} steps deep)"
    return ValueError(
        f"tool {tool} cannot be constrained: {pointer or 'its schema'} {problem}; remove the "
        "keyword from the schema or generate without --constrain"
    )


def subschemas(schema: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every schema in a schema with its JSON Pointer, the inner ones first."""
    if not isinstance(schema, Mapping):
        return
    for keyword, form in SUBSCHEMA.items():
        for step, inner in _members(schema.get(keyword), form):
            yield from subschemas(inner, f"{pointer}/{keyword}{step}")
    yield pointer, schema


def _members(value: Any, form: str) -> list[tuple[str, Any]]:
    if form == "list" and isinstance(value, list):
        return [(f"/{i}", item) for i, item in enumerate(value)]
    if form == "map" and isinstance(value, Mapping):
        return [(f"/{_escaped(name)}", inner) for name, inner in value.items()]
    return [("", value)] if form == "one" and value is not None else []


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _read(schema: Any, pointer: str, tool: str, closing: bool) -> Any:
    """Return a schema without what says nothing; `closing` leaves out what it does not name."""
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, Mapping):
        raise refuse(tool, pointer, "is no schema")
    result: dict[str, Any] = {}
    for keyword, value in schema.items():
        where = f"{pointer}/{_escaped(keyword)}"
        if keyword in _NOT_ENFORCED and not (keyword == "uniqueItems" and value is False):
            raise refuse(tool, where, "is not enforced")
        if keyword not in _ENFORCED:
            continue
        if problem := _CHECKS.get(keyword, _no_problem)(value):
            raise refuse(tool, where, problem)
        if keyword == "format" and value in _FORMATS_OF_TYPES:
            continue
        result[keyword] = _read_value(keyword, value, where, tool, closing)
    if result.get("format") in ("date", "date-time"):
        result["allOf"] = [*result.get("allOf", ()), {"pattern": _DAY_THAT_EXISTS}]
    if closing and result.get("properties") and not _OPEN & result.keys():
        result["additionalProperties"] = False
    return result


def _read_value(keyword: str, value: Any, where: str, tool: str, closing: bool) -> Any:
    form = SUBSCHEMA.get(keyword)
    # What is combined with other schemas must not forbid what those name.
    inner = closing and keyword in ("properties", "items", "prefixItems", "additionalProperties")
    members = [
        _read(member, where + step, tool, inner) for step, member in _members(value, form or "")
    ]
    if form == "list":
        return members
    if form == "map":
        return dict(zip(value, members, strict=True))
    return members[0] if form == "one" and members else value


def _no_problem(value: Any) -> str:
    return ""


def _unwritable(value: Any) -> str:
    """Return in words which strings inside a value the grammar could not write, and why."""
    if isinstance(value, str) and (found := _UNWRITABLE.search(value)):
        return f"holds the control character U+{ord(found[0]):04X}, which is never generated"
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return next(filter(None, map(_unwritable, value)), "")
    return ""


def _wrong_format(value: Any) -> str:
    if value in FORMATS | _FORMATS_OF_TYPES:
        return ""
    return f"is {value!r}, and only {', '.join(sorted(FORMATS))} are enforced"


def _wrong_pattern(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    if found := _disputed(value):
        return f"holds {found!r}, which is not enforced"
    automaton = automaton_of(value)
    if automaton and (width := automaton.width()) > WIDEST_PATTERN:
        return f"is followed at {width:,} places at once, and at most {WIDEST_PATTERN} are enforced"
    return ""


def _disputed(pattern: str) -> str:
    """Return the first part of a pattern that engines read differently; empty for none."""
    found = _DISPUTED.search(pattern)
    for match in _EXCLUDING.finditer(pattern):
        if found and found.start() < match.start():
            break
        if excluded := _EXCLUDED_CLASS.match(match[0]):
            return excluded[0]
    return found[0] if found else ""


def _wrong_multiple(value: Any) -> str:
    whole = isinstance(value, int | float) and float(value).is_integer()
    return "" if whole else f"is {value!r}, and only whole numbers are enforced"


def _wrong_names(value: Any) -> str:
    return _unwritable(list(value)) if isinstance(value, Mapping | list) else ""


_CHECKS: dict[str, Callable[[Any], str]] = {
    "enum": _unwritable,
    "const": _unwritable,
    "properties": _wrong_names,
    "required": _wrong_names,
    "format": _wrong_format,
    "pattern": _wrong_pattern,
    "multipleOf": _wrong_multiple,
}
