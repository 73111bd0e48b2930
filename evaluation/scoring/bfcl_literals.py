"""Read Java and JavaScript source text as values, the way BFCL's AST checker reads it.

A text that is not of its declared type stays text. Oddities of the benchmark are kept (a Java
float needs its `f`, commas cut elements even inside quotes), so that verdicts are equal to its own;
tests/evaluation/scoring/test_bfcl.py checks that.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

from evaluation.scoring.bfcl_scanning import between, entries, past_space, puts

# A trailing newline is allowed, as in the benchmark.
_WHOLE = re.compile(r"-?\d+\n?")
_DECIMAL = re.compile(r"-?\d+(\.\d+)?\n?")
_SCIENTIFIC = r"-?\d+(\.\d+)?([eE][+-]?\d+)?"
_DOUBLE = re.compile(_SCIENTIFIC + r"\n?")
_FLOAT = re.compile(_SCIENTIFIC + r"[fF]\n?")
_LONG = re.compile(r"-?\d+[lL]\n?")
_BIGINT = re.compile(r"-?\d+n\n?")
_TRUTH = {"true": True, "false": False}


def read_java(text: str, kind: str, inner: str | None = None) -> Any:
    """Return the value of Java source text declared as `kind`, with members of kind `inner`.

    Raises ValueError for a kind the benchmark cannot read.
    """
    if kind not in _JAVA:
        raise ValueError(f"BFCL reads no Java {kind}")
    return _JAVA[kind](text, inner)


def _number(pattern: re.Pattern[str], make: Callable[[str], Any]) -> Callable[..., Any]:
    def read(text: str, _: str | None = None) -> Any:
        return make(text) if pattern.fullmatch(text) else text

    return read


def _boolean(text: str, _: str | None = None) -> Any:
    return _TRUTH.get(text, text)


def _as_it_is(text: str, _: str | None = None) -> Any:
    return text


_AS_LIST = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\(")
_NEW_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
_FILLED_LIST = re.compile(_NEW_LIST.pattern + r"\s*\{\{\s*")
_ADD = re.compile(r"add\(")
_NEW_ARRAY = re.compile(r"new\s+\w+\[\]\s*\{")
_MAP = re.compile(r"new\s+HashMap<")
_NEW_MAP = re.compile(r">\s*\(\)")
_FILLED_MAP = re.compile(_NEW_MAP.pattern + r"\s*\{\s*\{?\s*")


def _array_list(text: str, inner: str | None) -> Any:
    if (listed := next(between(text, _AS_LIST, "))", 1), None)) is not None:
        return [_list_member(part.strip(), inner) for part in listed.split(",")]
    filled = _FILLED_LIST.search(text)
    # Something must stand between the double braces.
    end = text.find("}}", filled.end() + 1) if filled else -1
    if filled and end >= 0:
        added = between(text[filled.end() : end], _ADD, ")", 1)
        return [_list_member(member.strip(), inner) for member in added]
    return [] if _NEW_LIST.search(text) else text


def _list_member(text: str, inner: str | None) -> Any:
    if inner in ("char", "String"):
        return text[1:-1]
    return read_java(text, inner) if inner else _any_java(text)


def _array(text: str, inner: str | None) -> Any:
    listed = next(between(text, _NEW_ARRAY, "}"), None)
    if listed is None:
        return text
    members = [part.strip() for part in listed.split(",") if part.strip()]
    return [read_java(member, inner) if inner else _any_java(member) for member in members]


def _hash_map(text: str, _: str | None = None) -> Any:
    opening = _MAP.search(text)
    filled = _FILLED_MAP.search(text, opening.end()) if opening else None
    end = text.find("}", filled.end()) if filled else -1
    if filled and end >= 0:
        pairs = puts(text[filled.end() : end])
        return {key: _any_java(value.strip()) for key, value in pairs}
    return {} if opening and _NEW_MAP.search(text, opening.end()) else text


def _any_java(text: str) -> Any:
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    if _LONG.fullmatch(text):
        return int(text[:-1])
    if _FLOAT.fullmatch(text):
        return float(text.rstrip("fF"))
    return _python_number(_TRUTH.get(text, text))


_JAVA: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("byte", "short", "integer"), _number(_WHOLE, int)),
    "long": _number(_LONG, lambda text: int(text.strip()[:-1])),
    "float": _number(_FLOAT, lambda text: float(text.strip()[:-1])),
    "double": _number(_DOUBLE, float),
    "boolean": _boolean,
    "Array": _array,
    "ArrayList": _array_list,
    "HashMap": _hash_map,
    **dict.fromkeys(("String", "any", "char"), _as_it_is),
}


def read_javascript(text: str, kind: str, inner: str | None = None) -> Any:
    """Return the value of JavaScript source text declared as `kind`, its members as `inner`.

    Raises ValueError for a kind the benchmark cannot read.
    """
    if kind not in _JAVASCRIPT:
        raise ValueError(f"BFCL reads no JavaScript {kind}")
    return _JAVASCRIPT[kind](text, inner)


def _string(text: str, _: str | None = None) -> str:
    return text[1:-1] if _is_quoted(text) else text


def _is_quoted(text: str) -> bool:
    return any(text.startswith(quote) and text.endswith(quote) for quote in "\"'")


_LISTED = re.compile(r"\[(.*?)\]|\bnew\s+Array\((.*?)\)")
_LISTED_TWICE = re.compile(r"(?:(\[)|\bnew\s+Array\()\s*(?=\[)")
_ROW = re.compile(r"\[")


def _list(text: str, inner: str | None = None) -> Any:
    text = text.strip()
    try:
        if end := _end_of_rows(text):
            rows = list(between(text[:end], _ROW, "]"))
            rows = [row.strip().removeprefix("[") if i == 0 else row for i, row in enumerate(rows)]
            return [[_any_javascript(part) for part in row.strip().split(",")] for row in rows]
        found = _LISTED.match(text)
        if not found:
            return text
        members = (found[1] if found[1] is not None else found[2]).strip()
        cut = [part.strip() for part in members.split(",")] if members else []
        return [_list_item(part, inner) for part in cut]
    except ValueError:
        return text


def _list_item(text: str, inner: str | None) -> Any:
    if not inner:
        return _any_javascript(text)
    return read_javascript(text, inner, "String" if text[:1] in ("'", '"') else None)


def _end_of_rows(text: str) -> int | None:
    """Return where a list of lists that begins the text ends, or None where none begins it.

    A row may end at any bracket that lets the rest be read; ends are found from the right.
    """
    opening = _LISTED_TWICE.match(text)
    if not opening:
        return None
    closing = "]" if opening[1] else ")"
    lines = [place for place, letter in enumerate(text) if letter == "\n"]
    # The first bracket found so far at which a row can end, and where the list then ends.
    first, first_end = len(text), None

    def end_of(row: int) -> int | None:
        line = bisect_left(lines, row)
        return first_end if line == len(lines) or first < lines[line] else None

    for place in range(len(text) - 1, opening.end(), -1):
        if text[place] != "]":
            continue
        after = past_space(text, place + 1)
        end = None
        if text[after : after + 1] == ",":
            row = past_space(text, after + 1)
            if text[row : row + 1] == "[":
                end = end_of(row)
        if end is None and text[after : after + 1] == closing:
            end = after + 1
        if end is not None:
            first, first_end = place, end
    return end_of(opening.end())


_OBJECT = re.compile(r"\{(.*?)\}")


def _object(text: str, _: str | None = None) -> Any:
    text = text.strip()
    if text == "{}":
        return {}
    found = _OBJECT.match(text)
    if not found:
        return text
    try:
        return {key.strip().strip("'\""): _entry(value.strip()) for key, value in entries(found[1])}
    except ValueError:
        return text


def _entry(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return _list(text)
    if text.startswith("{") and text.endswith("}"):
        return _object(text)
    return _any_javascript(text.strip("'\""))


def _any_javascript(text: str) -> Any:
    text = text.strip()
    return _string(text) if _is_quoted(text) else _python_number(_TRUTH.get(text, text))


def _python_number(value: Any) -> Any:
    """Return the number that Python reads in a text, or what was given."""
    for make in (int, float):
        if isinstance(value, str):
            try:
                value = make(value)
            except ValueError:
                continue
    return value


_JAVASCRIPT: Mapping[str, Callable[..., Any]] = {
    "String": _string,
    "integer": _number(_WHOLE, int),
    "float": _number(_DECIMAL, float),
    "Bigint": _number(_BIGINT, lambda text: int(text.strip()[:-1])),
    "Boolean": _boolean,
    "dict": _object,
    "array": _list,
    "any": _as_it_is,
}
