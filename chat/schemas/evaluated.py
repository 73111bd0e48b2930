"""Which members of a value a schema speaks of, for unevaluatedItems and unevaluatedProperties."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from chat.schemas.patterns import matches
from chat.schemas.work import WORK


def matching_names(pattern: str, names: Collection[str]) -> Iterator[str]:
    """Return the names that a pattern matches, each a check."""
    WORK.get().spend(len(names))
    return (name for name in names if matches(pattern, name))


class Evaluated:
    """Which members of one value some schema speaks of; each schema is asked once."""

    def __init__(self, validator: Any, instance: Any) -> None:
        self.validator, self.instance = validator, instance
        self.asked: set[int] = set()
        self.found: set[Any] = set()

    def names(self, schema: Any) -> set[Any]:
        """Return the names of an object that a schema, or one that applies with it, speaks of."""
        for applying in self._applying(schema):
            self.found |= applying.get("properties", {}).keys() & self.instance.keys()
            for keyword in ("additionalProperties", "unevaluatedProperties"):
                if keyword in applying:
                    values = self.instance.items()
                    self.found |= {n for n, value in values if self._fits(value, applying[keyword])}
            for pattern in applying.get("patternProperties", ()):
                self.found.update(matching_names(pattern, self.instance))
        return self.found

    def indices(self, schema: Any) -> set[Any]:
        """Return the places of a list that a schema, or one that applies with it, speaks of."""
        for applying in self._applying(schema):
            if "items" in applying:
                return set(range(len(self.instance)))
            self.found |= set(range(len(applying.get("prefixItems", ()))))
            for keyword in ("contains", "unevaluatedItems"):
                if keyword in applying:
                    values = enumerate(self.instance)
                    self.found |= {i for i, value in values if self._fits(value, applying[keyword])}
        return self.found

    def _fits(self, value: Any, schema: Any) -> bool:
        return next(self.validator.descend(value, schema), None) is None

    def _applying(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """Yield a schema and those that apply to the same value with it."""
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
