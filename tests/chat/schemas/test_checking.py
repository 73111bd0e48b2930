"""Argument checks agree with jsonschema, and end within a bound."""

import random
from typing import Any

import pytest

pytest.importorskip("jsonschema")
from jsonschema import Draft202012Validator
from referencing import Registry

from chat.conversation import Tool, to_json
from chat.schemas.checking import ArgumentChecker
from chat.schemas.patterns import TooCostly
from chat.schemas.validation import ArgumentProblem, schema_problem, validate_arguments

NAMES = ("a", "b", "c1")
LEAVES: tuple[Any, ...] = (0, 1, 1.0, True, False, None, "a", "b1", "", [], {}, [1, True], {"a": 1})


def some_value(draw: random.Random, depth: int = 3) -> Any:
    kind = draw.randrange(4) if depth else 0
    if kind == 2:
        return [some_value(draw, depth - 1) for _ in range(draw.randrange(4))]
    if kind == 3:
        return {name: some_value(draw, depth - 1) for name in draw.sample(NAMES, draw.randrange(4))}
    return draw.choice(LEAVES)


def some_schema(draw: random.Random, depth: int = 3) -> Any:
    if not depth or draw.random() < 0.1:
        return draw.choice([True, True, False, {"$ref": "#/$defs/d"}, {"type": "string"}])

    def one() -> Any:
        return some_schema(draw, depth - 1)

    keywords: dict[str, Any] = {
        "type": draw.choice(["string", "object", "array", ["integer", "boolean"]]),
        "properties": {name: one() for name in draw.sample(NAMES, 2)},
        "patternProperties": {draw.choice(["^a", "[bc]", r"\d"]): one()},
        "additionalProperties": one(),
        "unevaluatedProperties": one(),
        "unevaluatedItems": one(),
        "propertyNames": {"pattern": "^[ab]"},
        "required": draw.sample(NAMES, 1),
        "items": one(),
        "prefixItems": [one()],
        "contains": one(),
        "uniqueItems": True,
        "enum": draw.sample(LEAVES, 3),
        "const": draw.choice(LEAVES),
        "pattern": draw.choice(["^a", r"\d$", "(?!b)"]),
        "allOf": [one(), one()],
        "anyOf": [one(), one()],
        "oneOf": [one(), one()],
        "not": one(),
        "if": one(),
        "then": one(),
        "else": one(),
        "dependentSchemas": {"a": one()},
        "$ref": "#/$defs/d",
        "$dynamicRef": "#d",
    }
    return {name: keywords[name] for name in draw.sample(sorted(keywords), draw.randrange(1, 5))}


def said(errors: Any) -> set[tuple[Any, ...]]:
    return {(*error.absolute_path, error.validator, error.message) for error in errors}


@pytest.mark.parametrize("count", [100, pytest.param(4000, marks=pytest.mark.long)])
def test_random_arguments_get_the_errors_that_jsonschema_reports(count: int) -> None:
    draw = random.Random(13)
    compared = wrong = 0
    for _ in range(count):
        inner = some_schema(draw, 1)
        # A schema that refers directly to itself would never end.
        if "Ref" in str(inner) or "$ref" in str(inner):
            continue
        shared = {"$dynamicAnchor": "d", "anyOf": [inner]}
        schema = {"$defs": {"d": shared}, "allOf": [some_schema(draw)]}
        value = {name: some_value(draw) for name in NAMES}
        expected = said(Draft202012Validator(schema, registry=Registry()).iter_errors(value))
        assert said(ArgumentChecker(schema, to_json(schema)).problems(value)) == expected, schema
        compared, wrong = compared + 1, wrong + bool(expected)
    assert compared > count / 2 and compared > wrong > count / 8


def chained(keyword: str, length: int, leaf: Any) -> dict[str, Any]:
    """Return a chain of schemas each of which refers to the next one twice."""
    steps = {
        f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]}
        for i in range(length)
    }
    first = {"properties": {"port": {"$ref": "#/$defs/d0"}}}
    return {"type": "object", **first, "$defs": {**steps, f"d{length}": leaf}}


@pytest.mark.parametrize(
    ("keyword", "rules"), [("allOf", ["type"]), ("anyOf", ["anyOf"]), ("oneOf", ["oneOf"])]
)
def test_a_chain_of_references_is_followed_once(keyword: str, rules: list[str]) -> None:
    tool = Tool("f", "", chained(keyword, 40, {"type": "string"}))
    assert schema_problem(tool) is None
    found = validate_arguments(tool, {"port": 1})
    assert list(dict.fromkeys(problem.rule for problem in found)) == rules
    # oneOf refuses a value that both options accept.
    assert (validate_arguments(tool, {"port": "x"}) == []) == (keyword != "oneOf")


def test_exponential_schema_without_references_is_reported_as_costly() -> None:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(40):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    (problem,) = validate_arguments(Tool("f", "", {"type": "object", **schema}), {"a": 1})
    told = "f: checking the arguments takes more than 1,000 checks a value"
    assert problem == ArgumentProblem("", "costly", told)


def test_references_resolve_against_the_enclosing_id() -> None:
    schema = {
        "$id": "urn:a",
        "properties": {
            "a": {"$id": "urn:b", "$defs": {"d": {"type": "string"}}, "$ref": "#/$defs/d"},
            "b": {"$ref": "#/$defs/d"},
        },
        "$defs": {"d": {"type": "integer"}},
    }
    checker = ArgumentChecker(schema, to_json(schema))
    assert checker.problems({"a": "x", "b": 1}) == []
    assert [problem.message for problem in checker.problems({"a": 1, "b": "x"})] == [
        "1 is not of type 'string'",
        "'x' is not of type 'integer'",
    ]


def test_check_limit_grows_with_the_number_of_values() -> None:
    schema = {"properties": {"a": {"items": {"anyOf": [{"const": i} for i in range(300)]}}}}
    tool = Tool("f", "", {"type": "object", **schema})
    assert validate_arguments(tool, {"a": [299] * 200}) == []
    schema = {"properties": {"a": {"items": {"anyOf": [{"const": i} for i in range(1500)]}}}}
    tool = Tool("f", "", {"type": "object", **schema})
    (problem,) = validate_arguments(tool, {"a": [1499] * 80})
    assert problem.rule == "costly"


def test_patterns_with_exponential_backtracking_are_bounded() -> None:
    tool = Tool("f", "", {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}})
    (problem,) = validate_arguments(tool, {"a": "a" * 60 + "!"})
    assert problem.rule == "pattern"
    tool = Tool("f", "", {"type": "object", "patternProperties": {"^(a+)+$": {"type": "integer"}}})
    assert validate_arguments(tool, {"a" * 60 + "!": "x"}) == []
    tool = Tool("f", "", {"type": "object", "properties": {"a": {"pattern": "^(?:(?=a)a+)+$"}}})
    (problem,) = validate_arguments(tool, {"a": "a" * 60 + "!"})
    assert problem.rule == "costly"


def test_argument_checker_raises_too_costly_for_an_unsupported_pattern() -> None:
    schema = {"type": "object", "properties": {"a": {"pattern": "(?#x)"}}}
    with pytest.raises(TooCostly):
        ArgumentChecker(schema, to_json(schema)).problems({"a": "x"})
