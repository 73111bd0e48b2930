"""Which schemas a grammar can enforce: an argument schema made ready, or an error with its path.

A keyword is passed on where llguidance enforces it, said in another way where it enforces that,
dropped where it says nothing about a value (descriptions, defaults, unknown words), and anything
else is an error: nothing is ignored. What is generated may be narrower than the schema says, and
is never wider.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chat.conversation import Tool
from chat.schemas.flat_parameters import JSON_TYPES, json_types
from chat.schemas.keywords import SUBSCHEMA
from inference.constrain.closing import MOST_COMBINED, close, passes_closing
from inference.constrain.names import read_names, settle_counts
from inference.constrain.numbers import read_numbers
from inference.constrain.recursion import PREFIX, ending_definitions, has_end, without_endless
from inference.constrain.references import Document, Place
from inference.constrain.refusal import NotEnforced, ToolRefused
from inference.constrain.texts import read_texts, unwritable
from inference.constrain.unions import forbidden_names

_AS_THEY_ARE = frozenset(("type", "enum", "const", "required"))
_COUNTS = frozenset(
    ("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength")
)
# Keywords with a meaning that the grammar cannot keep.
_NOT_ENFORCED = frozenset(
    (
        *("uniqueItems", "contains", "minContains", "maxContains"),
        *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"),
        *("unevaluatedProperties", "unevaluatedItems"),
        *("$dynamicRef", "$recursiveRef", "$vocabulary"),
    )
)


def enforceable(tool: Tool) -> dict[str, Any]:
    """Return the schema of a tool's arguments with nothing but enforced keywords.

    Arguments that a schema does not name are left out, as far as it does not speak of others.
    Raises ValueError with the tool and a JSON Pointer to the keyword that is not enforced.
    """
    return _read_tool(tool).schema


def enforceable_parts(tool: Tool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema in that of `enforceable`, the inner ones first.

    Each comes with the JSON Pointer to where it stands in the tool's own schema, and with all that
    references in it lead to.
    """
    read = _read_tool(tool)
    yield from ((pointer, read.whole(part)) for pointer, part in read.parts)


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema in one that has been read, the inner ones first."""
    if not isinstance(schema, dict):
        return
    for keyword, form in SUBSCHEMA.items():
        inner = schema.get(keyword, ())
        members = (
            inner.values() if form == "map" and inner else inner if form == "list" else [inner]
        )
        for member in members:
            yield from subschemas(member)
    yield schema


def _read_tool(tool: Tool) -> "_Reader":
    try:
        return _Reader(tool.parameters)
    except NotEnforced as error:
        raise ToolRefused(tool.name, error.pointer, error.problem) from None
    except RecursionError:
        raise ToolRefused(tool.name, "", "is nested too deep", "make it flatter") from None


class _Reader:
    """A schema read: the whole of it, and each schema in it with the pointer to its place."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parts: list[tuple[str, dict[str, Any]]] = []
        self._definitions: dict[str, Any] = {}
        self._places: dict[str, str] = {}
        self._known: dict[tuple[int, str, bool], str] = {}
        self._left = iter(range(MOST_COMBINED))
        self._document = Document(_of_objects(parameters))
        root = self._read(self._document.root, True)
        close(self._document.root, root, self._document, self._left, at_root=True)
        self.schema = self.whole(self._ended(root))

    def whole(self, part: dict[str, Any]) -> dict[str, Any]:
        """Return a schema with all that references in it lead to."""
        return {**part, "$defs": self._definitions} if self._definitions else part

    def _ended(self, root: dict[str, Any]) -> Any:
        """Take out what requires itself again and again, where there is another way."""
        ending = ending_definitions(self._definitions)
        endless = [name for name in self._definitions if name not in ending]
        if not has_end(root, ending):
            told = "requires itself again and again, so that no value of it ends"
            raise NotEnforced(self._places[endless[0]] if endless else "", told)
        if not endless:
            return root
        self._definitions = {
            name: without_endless(self._definitions[name], ending) for name in ending
        }
        return without_endless(root, ending)

    def _read(self, place: Place, closing: bool) -> Any:
        """Return a schema without what says nothing; `closing` leaves out what it does not name."""
        schema = place.schema
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            raise NotEnforced(place.pointer, "is no schema")
        _check(place)
        result = {keyword: schema[keyword] for keyword in schema if keyword in _AS_THEY_ARE}
        # JSON Schema takes 2.0 for a count of 2.
        result |= {keyword: int(schema[keyword]) for keyword in schema if keyword in _COUNTS}
        result |= read_numbers(place) | read_texts(place)
        self._read_members(place, result, closing)
        read_names(place, result, self._document, lambda inner: self._read(inner, closing))
        self._read_combined(place, result, closing and passes_closing(schema))
        if closing and result.get("properties"):
            close(place, result, self._document, self._left)
        settle_counts(result)
        self.parts.append((place.pointer, result))
        return result

    def _read_members(self, place: Place, result: dict[str, Any], closing: bool) -> None:
        for keyword in ("items", "additionalProperties"):
            for inner in place.members(keyword):
                result[keyword] = self._read(inner, closing)
        if first := place.members("prefixItems"):
            result["prefixItems"] = [self._read(inner, closing) for inner in first]
        if named := place.members("properties"):
            read = [self._read(inner, closing) for inner in named]
            result["properties"] = dict(zip(place.schema["properties"], read, strict=True))

    def _read_combined(self, place: Place, result: dict[str, Any], closing: bool) -> None:
        if "$ref" in place.schema:
            result["$ref"] = self._reference(place, closing)
        for keyword in ("anyOf", "allOf"):
            if members := place.members(keyword):
                result.setdefault(keyword, []).extend(
                    self._read(inner, closing) for inner in members
                )
        if members := place.members("oneOf"):
            keyword, union = self._exclusive(place, members, closing)
            if keyword in result:
                result.setdefault("allOf", []).append({keyword: union})
            else:
                result[keyword] = union

    def _reference(self, place: Place, closing: bool) -> str:
        """Return the name under which what a reference leads to is defined."""
        target = self._document.follow(place)
        if target is None:
            told = f"is not enforced: {place.schema['$ref']!r} leads to nothing in the schema"
            raise NotEnforced(f"{place.pointer}/$ref", told)
        key = id(target.schema), target.base, closing
        if key not in self._known:
            name = self._known[key] = f"d{len(self._known)}"
            self._places[name] = target.pointer
            self._definitions[name] = self._read(target, closing)
        return PREFIX + self._known[key]

    def _exclusive(
        self, place: Place, members: list[Place], closing: bool
    ) -> tuple[str, list[Any]]:
        """Return a `oneOf` as an `anyOf` whose members exclude each other, where they can."""
        read = [self._read(inner, closing) for inner in members]
        kinds = json_types(place.schema.get("type")) or JSON_TYPES
        forbidden = forbidden_names(self._document, members, kinds, closing)
        if forbidden is None:
            return "oneOf", read
        without = [{"properties": dict.fromkeys(sorted(names), False)} for names in forbidden]
        return "anyOf", [
            {"allOf": [member, absent]} if absent["properties"] else member
            for member, absent in zip(read, without, strict=True)
        ]


def _of_objects(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of arguments that only takes objects, as arguments are."""
    kind = parameters.get("type", "object")
    if "object" not in json_types(kind):
        raise NotEnforced("/type", f"is {kind!r}, and arguments are always an object")
    return {**parameters, "type": "object"}


def _check(place: Place) -> None:
    """Raise NotEnforced for a keyword that is not enforced, or holds what is never written."""
    schema = place.schema
    for keyword in schema:
        if keyword in _NOT_ENFORCED and not (keyword == "uniqueItems" and schema[keyword] is False):
            raise NotEnforced(f"{place.pointer}/{keyword}", "is not enforced")
    written = {"enum": schema.get("enum"), "const": schema.get("const")}
    written |= {
        "properties": list(schema.get("properties") or ()),
        "required": schema.get("required"),
    }
    for keyword, value in written.items():
        if problem := unwritable(value):
            raise NotEnforced(f"{place.pointer}/{keyword}", problem)
