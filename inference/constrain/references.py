"""Where a reference of a JSON Schema leads: `$id`, `$anchor` and JSON Pointers in one document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin

from chat.schemas.keywords import SUBSCHEMA


@dataclass(frozen=True)
class Place:
    """A schema, the JSON Pointer to it, and the address that its references are relative to."""

    schema: Any
    pointer: str
    base: str = ""

    @property
    def is_object(self) -> bool:
        """Whether the schema is one with keywords, neither a boolean nor no schema at all."""
        return isinstance(self.schema, Mapping)

    def inside(self, *steps: str | int) -> "Place":
        """Return the place that some steps lead to; LookupError where they lead nowhere."""
        found = self
        for step in steps:
            inner = found.schema[_index(found.schema, step)]
            found = Place(inner, f"{found.pointer}/{_escaped(str(step))}", _base(inner, found.base))
        return found

    def members(self, keyword: str) -> list["Place"]:
        """Return the schemas that a keyword holds, in their order; none where it holds none."""
        value, form = self.schema.get(keyword), SUBSCHEMA.get(keyword)
        if form == "list" and isinstance(value, list):
            return [self.inside(keyword, index) for index in range(len(value))]
        if form == "map" and isinstance(value, Mapping):
            return [self.inside(keyword, name) for name in value]
        return [self.inside(keyword)] if form == "one" and keyword in self.schema else []


class Document:
    """A schema with all schemas in it."""

    def __init__(self, schema: Any) -> None:
        self.root = Place(schema, "", _base(schema, ""))
        self._resources = {"": self.root, self.root.base: self.root}
        self._anchors: dict[tuple[str, str], Place] = {}
        for place in _all_places(self.root):
            if isinstance(place.schema.get("$id"), str):
                self._resources.setdefault(place.base, place)
            if isinstance(anchor := place.schema.get("$anchor"), str):
                self._anchors.setdefault((place.base, anchor), place)

    def follow(self, place: Place) -> Place | None:
        """Return where the `$ref` of a schema leads; None where that is not in the document."""
        reference = place.schema["$ref"]
        if not isinstance(reference, str):
            return None
        address, _, fragment = reference.partition("#")
        base = _joined(place.base, address)
        resource = self._resources.get(base)
        if resource is None or (fragment and fragment[0] != "/"):
            return self._anchors.get((base, unquote(fragment)))
        steps = [_unescaped(step) for step in unquote(fragment).split("/")[1:]]
        try:
            return resource.inside(*steps)
        except (LookupError, TypeError):
            return None


def _all_places(place: Place) -> Iterator[Place]:
    if place.is_object:
        yield place
        for keyword in SUBSCHEMA:
            for inner in place.members(keyword):
                yield from _all_places(inner)


def _base(schema: Any, outer: str) -> str:
    """Return the address of a schema, which its `$id` may change."""
    own = schema.get("$id") if isinstance(schema, Mapping) else None
    return _joined(outer, own.partition("#")[0]) if isinstance(own, str) else outer


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address) if address else base
    except ValueError:  # no address by RFC 3986, such as http://[
        return address


def _index(schema: Any, step: str | int) -> str | int:
    """Return a step of a pointer as the key or the index that it is."""
    if isinstance(schema, list):
        return int(step) if str(step).isdecimal() else str(step)
    if not isinstance(schema, Mapping):
        raise LookupError(step)
    return step


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
