"""Type names as data sets write them, read as JSON Schema: Python, Java, JavaScript, plain words.

`List[Tuple[int, str]], optional`, `HashMap<String, Integer>`, `string[]`, `array of numbers`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

Schema = dict[str, Any]

_KINDS = {
    "string": "string str text varchar charsequence stringbuilder",
    "integer": "integer int long short byte bigint biginteger int8 int16 int32 int64 uint8 uint16 "
    "uint32 uint64 unsigned",
    "number": "number float double decimal bigdecimal numeric real num float16 float32 float64",
    "boolean": "boolean bool",
    "object": "object dict dictionary dictionaries map hashmap hashtable linkedhashmap treemap "
    "mapping mutablemapping defaultdict ordereddict typeddict record struct",
    "array": "array list arraylist linkedlist vector stack queue deque priorityqueue sequence "
    "iterable iterator collection",
    "null": "null none nonetype void undefined nil",
}
# These mean something more specific than the nearest type of JSON: the original name is kept.
_WIDER_KINDS = {
    "string": "char character date datetime time timestamp timedelta duration uuid url uri email "
    "path filepath file bytes bytearray buffer binary blob regex regexp pattern enum password",
    "array": "tuple ndarray matrix tensor",
}
_SETS = "set hashset treeset linkedhashset frozenset abstractset mutableset"
_ANY = "any mixed"
_UNKNOWABLE = "callable function func callback lambda complex json"
_LISTS = frozenset(_KINDS["array"].split())
_MAPS = frozenset(_KINDS["object"].split())
_OPTIONAL = frozenset({"optional", "nullable", "maybe"})


@dataclass(frozen=True)
class TypeName:
    """The schema of a type name, whether it says everything, and whether the value is optional."""

    schema: Mapping[str, Any]
    exact: bool
    optional: bool = False


def _table() -> dict[str, tuple[Schema, bool]]:
    rows: dict[str, tuple[Schema, bool]] = {}
    for exact, kinds in ((True, _KINDS), (False, _WIDER_KINDS)):
        for kind, names in kinds.items():
            rows.update({name: ({"type": kind}, exact) for name in names.split()})
    rows.update({name: ({"type": "array", "uniqueItems": True}, True) for name in _SETS.split()})
    rows.update({name: ({}, True) for name in _ANY.split()})
    rows.update({name: ({}, False) for name in _UNKNOWABLE.split()})
    return rows


_NAMES = MappingProxyType(_table())
_REMARK = re.compile(
    r"(?<![\s,;(\[])[\s,;(\[]*\b(?P<word>optional|required|default(?:s to)?\b.*)[\s)\]]*\Z",
    re.I | re.S,
)
_LEADING_REMARK = re.compile(r"\A\s*(?P<word>optional|required)[\s,:]+(?=\w)", re.I)
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[^\W\d][\w\-]*(?:\.[\w\-]+)*(?:\.(?=<))?)|(?P<text>\"[^\"]*\"|'[^']*')|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<mark>\.\.\.|\[\s*\]|[\[\]<>(),|/?]))"
)
_WORD = re.compile(r"[^\W\d]\w*")
_CLOSING = {"[": "]", "<": ">", "(": ")"}
_LONGEST = 300


def read_type(text: str) -> TypeName:
    """Return the meaning of a type name; an unknown name gives an empty schema, not exact."""
    return _read_type(text[: 4 * _LONGEST])


@lru_cache(maxsize=4096)
def _read_type(text: str) -> TypeName:
    name, said = _without_remarks(text)
    found = _NAMES.get(name.lower())
    if found is not None:
        return TypeName(found[0], found[1] and "default" not in said, _is_optional(said))
    try:
        parsed = _Parser(name).parse() if len(name) <= _LONGEST else None
    except ValueError:
        parsed = None
    parsed = parsed or _mentioned(name[:_LONGEST])
    exact = parsed.exact and "default" not in said
    return TypeName(parsed.schema, exact, parsed.optional or _is_optional(said))


def union(schemas: list[Mapping[str, Any]]) -> Schema:
    """Return the union of schemas, as a list of types when each schema is only a type."""
    distinct = list({json.dumps(schema): schema for schema in schemas}.values())
    if not distinct or {} in distinct:
        return {}
    if len(distinct) == 1:
        return dict(distinct[0])
    if all(list(schema) == ["type"] for schema in distinct):
        kinds = [kind for schema in distinct for kind in _as_list(schema["type"])]
        return {"type": list(dict.fromkeys(kinds))}
    return {"anyOf": distinct}


def _without_remarks(text: str) -> tuple[str, set[str]]:
    """Take `optional`, `required` and `default ...` off either end; return what they were."""
    said: set[str] = set()
    name = " ".join(text.split())
    while match := _REMARK.search(name) or _LEADING_REMARK.match(name):
        rest = name[: match.start()] if match.start() else name[match.end() :]
        if not rest.strip(" ,;("):
            break
        said.add(match["word"].lower()[:8].strip())
        name = rest
    if name.startswith("(") and name.count("(") > name.count(")"):
        name = name[1:]
    return name.strip(), {"default" if word.startswith("default") else word for word in said}


def _is_optional(said: set[str]) -> bool:
    return bool(said & {"optional", "default"})


def _mentioned(text: str) -> TypeName:
    """Return the union of all types named in a text; never exact."""
    found = [_NAMES[word][0] for word in map(str.lower, _WORD.findall(text)) if word in _NAMES]
    return TypeName(union(list(found)), exact=False)


class _Parser:
    """Reads one type expression: unions of names with arguments in any of three brackets."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"no type name: {text}")
            self.tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()
        self.at = 0

    def parse(self) -> TypeName:
        """Return the meaning of the whole text; ValueError when it is no type expression."""
        found = self._union()
        if self.at < len(self.tokens):
            raise ValueError("text follows the type name")
        return found

    def _union(self) -> TypeName:
        options = [self._term()]
        while self._peek() in ("|", "/", "or"):
            self.at += 1
            options.append(self._term())
        return _either(options)

    def _term(self) -> TypeName:
        kind, text = self._take()
        if kind in ("text", "number"):
            return TypeName(_literals([(kind, text)]), exact=True)
        if text == "(":
            found = self._union()
            self._expect(")")
        elif kind == "name":
            found = self._named(text)
        else:
            raise ValueError(f"a type name cannot begin with {text}")
        return self._with_suffixes(found)

    def _with_suffixes(self, found: TypeName) -> TypeName:
        while (mark := self._peek().replace(" ", "")) in ("[]", "?", "..."):
            self.at += 1
            if mark == "?":
                found = _either([found, TypeName({"type": "null"}, True)], optional=True)
            else:
                found = _container({"type": "array"}, "items", found)
        return found

    def _named(self, text: str) -> TypeName:
        # typing.List, java.util.Map, and JSDoc's Array.<string>
        name = text.rstrip(".").rsplit(".", 1)[-1].lower().replace("-", "")
        if self._peek() in ("of", "containing"):
            self.at += 1
            if name in ("array", "list", "tuple", "set") or name.rstrip("s") in _LISTS:
                return _generic(name.removesuffix("s"), [self._union()])
            raise ValueError("of what?")
        opening = self._peek()
        if opening not in _CLOSING:
            return _plain(name)
        if name == "literal" or name == "enum":
            return TypeName(_literals(self._literal_arguments()), exact=True)
        if name in _UNKNOWABLE.split():
            self.at = len(self.tokens)
            return TypeName({}, exact=False)
        self.at += 1
        arguments, open_ended = self._arguments(_CLOSING[opening])
        if open_ended and name == "tuple":
            name = "list"
        return _generic(name, arguments)

    def _arguments(self, closing: str) -> tuple[list[TypeName], bool]:
        found, open_ended = [], False
        while self._peek() != closing:
            if self._peek() == "...":
                self.at, open_ended = self.at + 1, True
            else:
                found.append(self._union())
            if self._peek() != closing:
                self._expect(",")
        self._expect(closing)
        return found, open_ended

    def _literal_arguments(self) -> list[tuple[str, str]]:
        closing = _CLOSING[self._take()[1]]
        found = []
        while (token := self._take())[1] != closing or token[0] == "text":
            if token[0] != "mark":
                found.append(token)
            elif token[1] not in (",", "|", "/"):
                raise ValueError(f"wanted a value, found {token[1]}")
        if not found:
            raise ValueError("wanted values")
        return found

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _take(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise ValueError("the type name is cut off")
        self.at += 1
        return self.tokens[self.at - 1]

    def _expect(self, mark: str) -> None:
        if self._take()[1] != mark:
            raise ValueError(f"wanted {mark}")


def _plain(name: str) -> TypeName:
    found = _NAMES.get(name) or _NAMES.get(name.removesuffix("s")) or ({}, False)
    return TypeName(*found)


def _either(options: list[TypeName], optional: bool = False) -> TypeName:
    if len(options) == 1:
        return options[0]
    exact = all(option.exact for option in options)
    optional = optional or any(option.optional for option in options)
    return TypeName(union([option.schema for option in options]), exact, optional)


def _container(schema: Schema, keyword: str, inner: TypeName) -> TypeName:
    if inner.schema:
        schema = {**schema, keyword: dict(inner.schema)}
    return TypeName(schema, inner.exact)


def _generic(name: str, arguments: list[TypeName]) -> TypeName:
    """Return the meaning of a name with type arguments; an unknown name gives an empty schema."""
    plain = _plain(name)
    exact = all(argument.exact for argument in arguments)
    if name in _OPTIONAL and len(arguments) == 1:
        return _either([*arguments, TypeName({"type": "null"}, True)], optional=True)
    if name in ("union", "either", "oneof", "anyof") and arguments:
        return _either(arguments)
    if name == "tuple" and arguments:
        count = {"minItems": len(arguments), "maxItems": len(arguments)}
        members = [dict(argument.schema) for argument in arguments]
        return TypeName({"type": "array", "prefixItems": members, **count}, exact)
    if name in _MAPS and len(arguments) == 2:
        key, value = arguments
        found = _container({"type": "object"}, "additionalProperties", value)
        return TypeName(found.schema, found.exact and key.schema in ({}, {"type": "string"}))
    if name in _LISTS | set(_SETS.split()) | {"tuple"} and len(arguments) == 1:
        return _container(dict(plain.schema), "items", arguments[0])
    return TypeName(plain.schema, exact=False)


def _literals(tokens: list[tuple[str, str]]) -> Schema:
    read: dict[str, Callable[[str], Any]] = {
        "text": lambda text: text[1:-1],
        "number": lambda text: float(text) if "." in text else int(text),
        "name": lambda text: {"true": True, "false": False}.get(text.lower(), text),
    }
    values = [None if text in ("None", "null") else read[kind](text) for kind, text in tokens]
    kinds = {"type": "string"} if all(isinstance(value, str) for value in values) else {}
    return {**kinds, "enum": values}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
