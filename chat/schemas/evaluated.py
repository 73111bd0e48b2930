"""Which members of a value a schema evaluates, for unevaluatedItems and unevaluatedProperties."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from chat.schemas.patterns import matches
from chat.schemas.work import WORK


def matching_names(pattern: str, names: Collection[str]) -> Iterator[str]:
    """Return the names that a pattern matches; each name counts as one check."""
    WORK.get().spend(len(names))
    return (name for name in names if matches(pattern, name))


class Evaluated:
    """Collects the evaluated members of one value; each schema is visited once."""

    def __init__(self, validator: Any, instance: Any) -> None:
        self.validator, self.instance = validator, instance
        self.asked: set[int] = set()
        self.found: set[Any] = set()

    def names(self, schema: Any) -> set[Any]:
        """Return the property names that a schema, or one applied along with it, evaluates."""
        for applied in self._applying(schema):
            self.found |= applied.get("properties", {}).keys() & self.instance.keys()
            for keyword in ("additionalProperties", "unevaluatedProperties"):
                if keyword in applied:
                    values = self.instance.items()
                    self.found |= {n for n, value in values if self._fits(value, applied[keyword])}
            for pattern in applied.get("patternProperties", ()):
                self.found.update(matching_names(pattern, self.instance))
        return self.found

    def indices(self, schema: Any) -> set[Any]:
        """Return the list indices that a schema, or one applied along with it, evaluates."""
        for applied in self._applying(schema):
            if "items" in applied:
                return set(range(len(self.instance)))
            self.found |= set(range(len(applied.get("prefixItems", ()))))
            for keyword in ("contains", "unevaluatedItems"):
                if keyword in applied:
                    values = enumerate(self.instance)
                    self.found |= {i for i, value in values if self._fits(value, applied[keyword])}
        return self.found

    def _fits(self, value: Any, schema: Any) -> bool:
        return next(self.validator.descend(value, schema), None) is None

    def _applying(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """Yield a schema and the subschemas that apply to the same value."""
        work = WORK.get()
        work.spend()
        if isinstance(schema, bool) or id(schema) in self.asked:
            return
        self.asked.add(id(schema))
        yield schema
        for keyword in ("$ref", "$dynamicRef"):
            if keyword in schema:
                yield from self._applying(work.resolver.lookup(schema[keyword]).contents)
        for name, inner in schema.get("dependentSchemas", {}).items():
            if name in self.instance:
                yield from self._applying(inner)
        for keyword in ("allOf", "oneOf", "anyOf"):
            for inner in schema.get(keyword, ()):
                if self._fits(self.instance, inner):
                    yield from self._applying(inner)
        if "if" in schema:
            applies = self._fits(self.instance, schema["if"])
            if applies:
                yield from self._applying(schema["if"])
            yield from self._applying(schema.get("then" if applies else "else", True))
