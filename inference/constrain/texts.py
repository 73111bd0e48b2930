"""The keywords of texts: formats and patterns, in the forms that llguidance keeps."""

import re
from typing import Any

from inference.constrain.automaton import automaton_of
from inference.constrain.references import Place
from inference.constrain.refusal import NotEnforced

# What llguidance 1.9 has a pattern for; of an unknown name it would refuse or ignore the format.
_KNOWN = frozenset(
    ("date-time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")
)
# Formats whose texts are all of another one, too.
_NARROWER = {"idn-email": "email", "idn-hostname": "hostname", "iri": "uri"} | {
    f"uuid{version}": "uuid" for version in range(1, 9)
}
# A time has no zone: Python's own checks, jsonschema's and pydantic's, take it so.
_TIME = "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
# Regular expressions without groups: letters, classes and dots, repeated or one after another.
_ATOM = r"([A-Za-z0-9_ ,:;@=/-]|\\[dwsDWS.*+?()\[\]{}|^$]|\.|\[\^?([A-Za-z0-9_]|a-z|A-Z|0-9)+\])"
_PATTERNS = {
    "time": _TIME,
    "regex": rf"^\^?({_ATOM}[*+?]?\|?)*\$?$",
    "json-pointer": "^(/([^/~]|~[01])*)*$",
    "relative-json-pointer": "^(0|[1-9][0-9]*)(#|(/([^/~]|~[01])*)*)$",
}
# llguidance's dates have 29 days in every February, and Python's calendar no year 0.
_LEAP = r"([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_DAY_THAT_EXISTS = rf"^([0-9]{{4}}-(0[13-9]|1[0-2]|02-([01]|2[0-8]))|{_LEAP}-02-29)"
_YEAR_THAT_EXISTS = "^0{0,3}[1-9]"
# Formats whose texts could go on; longer ones are no address of mail (RFC 5321).
_ENDLESS = frozenset(("date-time", "email", "hostname"))
LONGEST = 254
# Patterns of names, where llguidance knows no formats.
NAME_PATTERNS = {
    "date": "^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$",
    "time": _TIME,
    "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "ipv4": r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.|$)){4}$",
}
# Regular expressions that engines read differently, or Python alone reads so.
_DISPUTED = re.compile(r"\\[DWSBb]|[*+?}]\+|\{,|\(\?[^:]")
# A class that excludes, up to its bracket, and what of it excludes another class.
_EXCLUDING = re.compile(r"\[\^[^\]]*+")
_EXCLUDED_CLASS = re.compile(r".*\\[dws]", re.DOTALL)
# `^(?!^[...]*$)`: a character that is not of the class is there. Older versions of pydantic write
# decimal numbers so.
_NOT_ALL_OF = re.compile(r"\^\(\?!\^\[([^\]\\^]+)\]\*\$\)")
# What a pattern costs a token grows with the places at which a text may stand in it.
WIDEST_PATTERN = 600
# Inside a JSON string these need \u escapes, which the grammar never writes.
_UNWRITABLE = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f\ud800-\udfff]")


def read_texts(place: Place) -> dict[str, Any]:
    """Return the keywords of a schema's texts; NotEnforced for a pattern that cannot be kept."""
    schema, result = place.schema, dict[str, Any]()
    patterns = list[str]()
    if isinstance(schema.get("pattern"), str):
        try:
            patterns = read_pattern(schema["pattern"])
        except ValueError as error:
            raise NotEnforced(f"{place.pointer}/pattern", str(error)) from None
    keywords, more = read_format(schema.get("format"))
    result |= keywords
    if keywords.get("format") in _ENDLESS:
        result["maxLength"] = min(LONGEST, schema.get("maxLength", LONGEST))
    if patterns:
        result["pattern"] = patterns[0]
    if rest := [*patterns[1:], *more]:
        result["allOf"] = [{"pattern": pattern} for pattern in rest]
    return result


def read_format(name: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the keywords and patterns that keep a format; none where it says nothing of the text.

    Names that JSON Schema does not define say nothing, and neither does uri-reference, which
    nearly any text is.
    """
    if not isinstance(name, str):
        return {}, []
    name = _NARROWER.get(name, name)
    if name in _PATTERNS:
        return {}, [_PATTERNS[name]]
    if name not in _KNOWN:
        return {}, []
    days = [_DAY_THAT_EXISTS, _YEAR_THAT_EXISTS] if name in ("date", "date-time") else []
    return {"format": name}, days


def read_pattern(pattern: str) -> list[str]:
    """Return the patterns that a text must all have; ValueError for what engines read otherwise."""
    without = _NOT_ALL_OF.match(pattern)
    patterns = [pattern]
    if without:
        patterns = ["^" + pattern[without.end() :], f"[^{without[1]}]"]
    for part in patterns:
        if found := _disputed(part):
            raise ValueError(f"holds {found!r}, which is not enforced")
        automaton = automaton_of(part)
        if automaton and (width := automaton.width(WIDEST_PATTERN)) > WIDEST_PATTERN:
            told = f"is followed at {width:,} places at once, and at most {WIDEST_PATTERN} are"
            raise ValueError(f"{told} enforced")
    return patterns


def _disputed(pattern: str) -> str:
    """Return the first part of a pattern that engines read differently; empty for none."""
    found = _DISPUTED.search(pattern)
    for match in _EXCLUDING.finditer(pattern):
        if found and found.start() < match.start():
            break
        if excluded := _EXCLUDED_CLASS.match(match[0]):
            return excluded[0]
    return found[0] if found else ""


def unwritable(value: Any) -> str:
    """Return in words which strings inside a value the grammar could not write, and why."""
    if isinstance(value, str) and (found := _UNWRITABLE.search(value)):
        return f"holds the control character U+{ord(found[0]):04X}, which is never generated"
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return next(filter(None, map(unwritable, value)), "")
    return ""
