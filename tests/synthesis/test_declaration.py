"""Tools declared by functions: the schema is read off annotations and the docstring."""

from typing import Annotated, Any, Literal, TypedDict

import pytest

from synthesis.declaration import Instead, declare, is_error, result_text
from synthesis.dice import Dice
from synthesis.kinds import City, number


class Guest(TypedDict):
    name: City
    age: Annotated[int, number("age", 0, 120)]


def plan(
    city: City,
    pace: Annotated[Literal["slow", "fast"], Instead(("sideways",))],
    guests: list[Guest] | None = None,
    days: Annotated[int, number("days", 1, 9, "day")] = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Plan a visit.

    Args:
        city: Where it leads,
            and nowhere else.
        days: How long.
    """
    if city == "Atlantis":
        raise ValueError("it sank")
    return {"city": city, "days": days}


TOOL = declare(
    plan, do=("plan {city} {pace}",), answer=("ok",), kinds={"guests": number("x", 1, 2)}
)


def test_the_schema_says_types_bounds_enums_defaults_and_sentences() -> None:
    assert TOOL.tool.name == "plan" and TOOL.tool.description == "Plan a visit."
    assert TOOL.tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where it leads, and nowhere else."},
            "pace": {"type": "string", "enum": ["slow", "fast"]},
            "guests": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "age": {"type": "integer", "minimum": 0, "maximum": 120},
                    },
                    "required": ["name", "age"],
                },
            },
            "days": {
                "type": "integer",
                "minimum": 1,
                "maximum": 9,
                "description": "How long.",
                "default": 2,
            },
            "quiet": {"type": "boolean", "default": False},
        },
        "required": ["city", "pace"],
    }


def test_running_gives_the_result_or_what_was_raised() -> None:
    assert TOOL.run({"city": "Oslo", "pace": "slow"}) == {"city": "Oslo", "days": 2}
    error = TOOL.run({"city": "Atlantis", "pace": "slow"})
    assert error == {"error": "it sank"} and is_error(error)


def test_an_enum_has_wrong_values_and_a_rule() -> None:
    kind = TOOL.parameter("pace").kind
    assert kind.wrong is not None and kind.wrong(Dice("x")) == "sideways"
    assert kind.rule.endswith("slow or fast")


def test_two_parameters_of_one_kind_are_called_by_their_names() -> None:
    def fly(origin: City, goal: City) -> str:
        return f"{origin} {goal}"

    nouns = [parameter.kind.noun for parameter in declare(fly, (), ()).parameters]
    assert nouns == ["origin", "goal"]


def test_a_parameter_without_type_or_examples_is_refused() -> None:
    def untyped(a):  # type: ignore[no-untyped-def]
        return a

    def bare(a: str) -> str:
        return a

    with pytest.raises(ValueError, match="parameter a of untyped has no annotation"):
        declare(untyped, (), ())
    with pytest.raises(ValueError, match="parameter a of bare has no example values"):
        declare(bare, (), ())


def test_a_result_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        result_text({"a": {1, 2}})
    with pytest.raises(ValueError):
        result_text(float("nan"))
