"""Validation by jsonschema with bounded work.

The results are those of jsonschema. Patterns are matched within a bound, a reference is followed
once for each value, and a validation that exceeds its number of checks raises TooCostly.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from chat.schemas.evaluated import Evaluated, matching_names
from chat.schemas.patterns import matches
from chat.schemas.value_formats import VALUE_FORMATS
from chat.schemas.work import (
    CHECKS_A_VALUE,
    LETTERS_A_CHECK,
    VALUES_GRANTED,
    WORK,
    Work,
    count_values,
    frozen,
)

Check = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]
_PLAIN: Mapping[str, Check] = Draft202012Validator.VALIDATORS


class ArgumentChecker:
    """A schema prepared for checking arguments; SchemaError says where it is wrong.

    References are never fetched; formats are checked only where that is asked for.
    """

    def __init__(self, schema: Mapping[str, Any], text: str, formats: bool = False) -> None:
        for error in _of_schemas().iter_errors(schema):
            raise SchemaError.create_from(error)
        root: Resource[Any] = DRAFT202012.create_resource(schema)
        registry = Registry[Any]().with_resource(root.id() or "", root)
        # Anchors are collected once, not again for each reference.
        registry = registry.crawl() if "nchor" in text else registry
        # Without any `$id` inside, equal references lead to the same schema.
        kind = _CHECKING_EACH_PLACE if '"$id"' in text else _CHECKING
        checker = VALUE_FORMATS if formats else None
        self._validator = kind(schema, registry=registry, format_checker=checker)
        self._resolver = registry.resolver_with_root(root)

    def problems(self, arguments: Mapping[str, Any]) -> list[ValidationError]:
        """Return the errors of arguments; TooCostly when finding them takes too many checks."""
        most = CHECKS_A_VALUE * (VALUES_GRANTED + count_values(arguments))
        given = WORK.set(Work(most, self._resolver))
        try:
            return list(self._validator.iter_errors(arguments))
        finally:
            WORK.reset(given)


@cache
def _of_schemas() -> Any:
    """Return the validator of schemas themselves."""
    kind = extend(Draft202012Validator, {"uniqueItems": _unique_items})
    return kind(kind.META_SCHEMA, format_checker=kind.FORMAT_CHECKER)


def _counted(check: Check) -> Check:
    """Count a keyword's check as work, by the length of its value and of its error messages."""

    def counted(
        validator: Any, value: Any, instance: Any, schema: Any
    ) -> Iterator[ValidationError]:
        work = WORK.get()
        work.spend(1 + len(value) if isinstance(value, list | dict) else 1)
        for error in check(validator, value, instance, schema) or ():
            work.spend(len(error.message) // LETTERS_A_CHECK)
            yield error

    return counted


def _once(check: Check, one_resource: bool) -> Check:
    """Follow a reference once for each value; a repetition yields copies of the known errors."""

    def followed(
        validator: Any, reference: Any, instance: Any, schema: Any
    ) -> Iterator[ValidationError]:
        work = WORK.get()
        work.spend()
        key = reference if one_resource else id(schema), id(instance)
        known = work.references.get(key)
        if known is None:
            errors = check(validator, reference, instance, schema) or ()
            distinct = {
                (*error.relative_path, error.validator, error.message): error for error in errors
            }
            known = work.references[key] = list(distinct.values())
        work.spend(len(known))
        # Copies, because jsonschema extends the path inside each error it receives.
        yield from map(ValidationError.create_from, known)

    return followed


def _unique_items(
    validator: Any, wanted: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    is_list = wanted and validator.is_type(instance, "array")
    if is_list and len(set(map(frozen, instance))) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _enum(validator: Any, choices: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    known = WORK.get().choices
    if id(choices) not in known:
        known[id(choices)] = frozenset(map(frozen, choices))
    if frozen(instance) not in known[id(choices)]:
        yield ValidationError(f"{instance!r} is not one of {choices!r}")


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, inner in patterns.items():
            for name in matching_names(pattern, instance):
                yield from validator.descend(instance[name], inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, others: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    """Check the names that neither `properties` nor `patternProperties` has."""
    patterns = schema.get("patternProperties")
    if not patterns or not validator.is_type(instance, "object"):
        yield from _PLAIN["additionalProperties"](validator, others, instance, schema) or ()
        return
    known = {name for pattern in patterns for name in matching_names(pattern, instance)}
    known.update(schema.get("properties", ()))
    extras = [name for name in instance if name not in known]
    if validator.is_type(others, "object"):
        for name in extras:
            yield from validator.descend(instance[name], others, path=name)
    elif not others and extras:
        verb = "does" if len(extras) == 1 else "do"
        joined, listed = (", ".join(map(repr, sorted(texts))) for texts in (extras, patterns))
        yield ValidationError(f"{joined} {verb} not match any of the regexes: {listed}")


def _unevaluated_items(
    validator: Any, others: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "array"):
        known = Evaluated(validator, instance).indices(schema)
        left = [repr(item) for index, item in enumerate(instance) if index not in known]
        if left:
            yield _unexpected("Unevaluated items are not allowed", left)


def _unevaluated_properties(
    validator: Any, others: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    known = Evaluated(validator, instance).names(schema)
    left = [
        name
        for name in instance
        if name not in known
        for _ in validator.descend(instance[name], others, path=name, schema_path=name)
    ]
    if left and others is False:
        yield _unexpected("Unevaluated properties are not allowed", map(repr, sorted(left)))
    elif left:
        told = "Unevaluated properties are not valid under the given schema"
        yield _unexpected(told, map(repr, left), "unevaluated and invalid")


def _unexpected(told: str, names: Iterable[str], what: str = "unexpected") -> ValidationError:
    listed = list(names)
    verb = "was" if len(listed) == 1 else "were"
    return ValidationError(f"{told} ({', '.join(listed)} {verb} {what})")


def _checks(one_resource: bool) -> dict[str, Check]:
    """Return the check of each keyword; `one_resource`: equal references lead to one schema."""
    own: dict[str, Check] = {
        "uniqueItems": _unique_items,
        "enum": _enum,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "unevaluatedItems": _unevaluated_items,
        "unevaluatedProperties": _unevaluated_properties,
    }
    found = {keyword: _counted(own.get(keyword, check)) for keyword, check in _PLAIN.items()}
    for keyword in ("$ref", "$dynamicRef"):
        found[keyword] = _once(_PLAIN[keyword], one_resource)
    return found


_CHECKING = extend(Draft202012Validator, _checks(one_resource=True))
_CHECKING_EACH_PLACE = extend(Draft202012Validator, _checks(one_resource=False))
