import pytest

from chat.formats.typescript import describe_function
from chat.schemas.validation import validate_arguments
from synthesis.brief import (
    amount,
    called,
    choice,
    clock,
    known,
    number,
    optional,
    person,
    place,
    tool,
)
from synthesis.declaration import fitting, is_error
from synthesis.dice import Dice

TABLE = tool(
    "book_table",
    "Book a table.",
    "(book|reserve) a table",
    called("restaurant", "at"),
    number("people", 2, 40, "for {} people"),
    gives="booking_id:B",
)


def test_an_announcement_has_one_line_per_parameter():
    assert describe_function(TABLE.tool).splitlines() == [
        "// Book a table.",
        "type book_table = (_: {",
        "restaurant: string,",
        "people: integer,",
        "}) => any;",
    ]


def test_requests_tell_any_subset_of_blanks_in_both_orders():
    for given in ((), ("restaurant",), ("people",), ("restaurant", "people")):
        assert len(fitting(TABLE.do, frozenset(given))) == 2
    assert TABLE.do[0].endswith("[ at {restaurant}][ for {people} people]")
    assert TABLE.do[1].endswith("[ for {people} people][ at {restaurant}]")


def test_drawn_arguments_fit_the_schema():
    blanks = (
        called("title", "called"),
        person("name", "for"),
        place("town", "in"),
        number("count", 2, 9, "with {} of them"),
        amount("price", 50, "of"),
        clock("time", "at"),
        choice("size", "small large", "in"),
        known("order_id", "C", "number"),
        optional(person("other", "beside")),
    )
    made = tool("try_all", "Try all.", "try all", *blanks)
    assert made.tool.parameters["required"] == [blank.name for blank in blanks[:-1]]
    for number_of_draw in range(50):
        dice = Dice("brief", number_of_draw)
        arguments = {parameter.name: parameter.kind.draw(dice) for parameter in made.parameters}
        assert validate_arguments(made.tool, arguments) == []


@pytest.mark.parametrize(
    ("gives", "fits"),
    [
        ("state", lambda value: isinstance(value, str)),
        ("price:20-30", lambda value: 20 <= value <= 30),
        ("booking_id:B", lambda value: value.startswith("B-") and len(value) == 7),
    ],
)
def test_a_result_follows_from_the_arguments(gives: str, fits):
    made = tool("go", "Go.", "go", number("steps", 1, 999, "{} steps"), gives=gives)
    results = [made.run({"steps": steps}) for steps in range(1, 40)]
    assert results == [made.run({"steps": steps}) for steps in range(1, 40)]
    assert all(fits(*result.values()) for result in results)
    assert len({str(result) for result in results}) > 5


def test_codes_given_out_exist_and_some_others_do_not():
    look = tool("look", "Look.", "look", known("booking_id", "B", "at"))
    given_out = [TABLE.run({"restaurant": "Red Fox", "people": n})["booking_id"] for n in range(60)]
    assert not any(is_error(look.run({"booking_id": code})) for code in given_out)
    drawn = [look.parameters[0].kind.draw(Dice("code", n)) for n in range(200)]
    unknown = [code for code in drawn if is_error(look.run({"booking_id": code}))]
    assert 10 < len(unknown) < 100
    assert look.run({"booking_id": unknown[0]}) == {"error": f"unknown booking id {unknown[0]}"}
    assert look.slips == ("booking_id",)
