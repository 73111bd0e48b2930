"""Arguments that no schema names: made up, at the top or inside an object, as far as it is closed.

An object that lists properties and says nothing of other names is closed, as a tool's parameters
are; JSON Schema itself would let any other name pass.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from chat.schemas.flat_parameters import json_types
from chat.schemas.patterns import TooCostly
from chat.schemas.whole_objects import SPEAKS_OF_OTHERS, find_place
from chat.schemas.work import CHECKS_A_VALUE, VALUES_GRANTED, count_values

Place = tuple[Any, ...]


def undeclared_names(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[Place]:
    """Return the path to each argument, or member of one, that a closed object does not name.

    TooCostly where telling takes more looks than a validation may.
    """
    silent = not SPEAKS_OF_OTHERS & schema.keys() and not schema.get("additionalProperties")
    if silent and not schema.get("properties"):
        return [(name,) for name in arguments]
    return _Search(schema, arguments).places(schema, arguments)


class _Search:
    """One search; a pair of a schema and a value is looked at once, so that it ends."""

    def __init__(self, root: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        self.root = root
        self.known: dict[tuple[int, int], list[Place]] = {}
        self.most = CHECKS_A_VALUE * (VALUES_GRANTED + count_values(arguments))

    def places(self, schema: Any, value: Any) -> list[Place]:
        """Return the paths to what a schema does not name in a value."""
        if not isinstance(value, Mapping | list) or not isinstance(schema, Mapping):
            return []
        key = id(schema), id(value)
        if key not in self.known:
            if len(self.known) >= self.most:
                raise TooCostly(
                    f"finding undeclared names takes more than {CHECKS_A_VALUE:,} looks a value"
                )
            self.known[key] = []  # for a schema that leads back to itself
            self.known[key] = self._found(schema, value)
        return self.known[key]

    def _found(
        self, schema: Mapping[str, Any], value: Mapping[str, Any] | list[Any]
    ) -> list[Place]:
        others = SPEAKS_OF_OTHERS & schema.keys()
        if others:
            # Beside properties of its own, what a combination names cannot be told from here.
            alone = len(others) == 1 and not schema.get("properties")
            return self._combined(others.pop(), schema, value) if alone else []
        if isinstance(value, list):
            first, rest = schema.get("prefixItems") or [], schema.get("items", True)
            return self._inside(
                (i, first[i] if i < len(first) else rest, member) for i, member in enumerate(value)
            )
        properties = schema.get("properties") or {}
        rest = schema.get("additionalProperties", not properties)
        stray = [(name,) for name in value if name not in properties] if rest is False else []
        return stray + self._inside(
            (name, properties.get(name, rest), member) for name, member in value.items()
        )

    def _inside(self, members: Iterable[tuple[Any, Any, Any]]) -> list[Place]:
        return [
            (step, *place)
            for step, schema, member in members
            for place in self.places(schema, member)
        ]

    def _combined(self, keyword: str, schema: Mapping[str, Any], value: Any) -> list[Place]:
        """Return what a reference, or every option of a union, leaves unnamed."""
        if keyword == "$ref":
            return self.places(find_place(schema["$ref"], self.root), value)
        if keyword not in ("anyOf", "oneOf") and not (
            keyword == "allOf" and len(schema["allOf"]) == 1
        ):
            return []
        kind = "array" if isinstance(value, list) else "object"
        fewest: list[Place] | None = None
        for option in schema[keyword]:
            kinds = json_types(option.get("type")) if isinstance(option, Mapping) else []
            if kinds and kind not in kinds:
                continue
            found = self.places(option, value)
            fewest = found if fewest is None or len(found) < len(fewest) else fewest
            if not fewest:
                break
        return fewest or []
