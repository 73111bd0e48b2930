"""Units: length, weight, temperature, time zones."""

from typing import Annotated, Any, Literal

from synthesis.declaration import Domain, Instead, declare
from synthesis.kinds import CITY, City, Kind, Time, decimal
from synthesis.world import fact, known_city

LENGTHS = {
    "millimeters": 0.001,
    "meters": 1.0,
    "kilometers": 1000.0,
    "inches": 0.0254,
    "feet": 0.3048,
    "miles": 1609.344,
}
WEIGHTS = {"grams": 0.001, "kilograms": 1.0, "ounces": 0.028349523125, "pounds": 0.45359237}
Length = Annotated[
    Literal["millimeters", "meters", "kilometers", "inches", "feet", "miles"],
    Instead(("cubits", "light years", "parsecs", "ells")),
]
Weight = Annotated[
    Literal["grams", "kilograms", "ounces", "pounds"], Instead(("stone", "bushels", "talents"))
]
Degrees = Annotated[Literal["celsius", "fahrenheit", "kelvin"], Instead(("rankine", "réaumur"))]
Quantity = Annotated[float, decimal("value", 0.1, 5000)]


def convert_length(value: Quantity, source_unit: Length, target_unit: Length) -> dict[str, Any]:
    """Convert a length or distance from one unit to another.

    Args:
        value: The length.
        source_unit: Unit of the length.
        target_unit: Unit that is wanted.
    """
    return _converted(value, source_unit, target_unit, LENGTHS)


def convert_weight(value: Quantity, source_unit: Weight, target_unit: Weight) -> dict[str, Any]:
    """Convert a weight from one unit to another.

    Args:
        value: The weight.
        source_unit: Unit of the weight.
        target_unit: Unit that is wanted.
    """
    return _converted(value, source_unit, target_unit, WEIGHTS)


def _converted(value: float, source: str, target: str, sizes: dict[str, float]) -> dict[str, Any]:
    if source == target:
        raise ValueError(f"source_unit and target_unit are both {source}")
    return {"result": round(value * sizes[source] / sizes[target], 4), "unit": target}


def convert_temperature(
    value: Annotated[float, decimal("temperature", -273, 2000)],
    source_unit: Degrees,
    target_unit: Degrees,
) -> dict[str, Any]:
    """Convert a temperature from one scale to another.

    Args:
        value: The temperature.
        source_unit: Scale of the temperature.
        target_unit: Scale that is wanted.
    """
    if source_unit == target_unit:
        raise ValueError(f"source_unit and target_unit are both {source_unit}")
    celsius = {"celsius": value, "fahrenheit": (value - 32) / 1.8, "kelvin": value - 273.15}
    base = celsius[source_unit]
    result = {"celsius": base, "fahrenheit": base * 1.8 + 32, "kelvin": base + 273.15}[target_unit]
    if base < -273.15:
        raise ValueError(f"{value} degrees {source_unit} is below absolute zero")
    return {"result": round(result, 2), "unit": target_unit}


def convert_local_time(
    time: Time,
    from_city: Annotated[str, Kind("first city", CITY.draw, aliases=CITY.aliases)],
    to_city: City,
) -> dict[str, Any]:
    """Tell what time it is in one city when the clock in another shows a given time.

    Args:
        time: Time in the first city, HH:MM on a 24-hour clock.
        from_city: The first city.
        to_city: The city whose time is wanted.
    """
    if known_city(from_city) == known_city(to_city):
        raise ValueError(f"from_city and to_city are both {from_city}")
    shift = fact(-11, 12, "zone", to_city) - fact(-11, 12, "zone", from_city)
    hour, minute = map(int, time.split(":"))
    return {"local_time": f"{(hour + shift) % 24:02}:{minute:02}", "difference_hours": shift}


_CONVERT = (
    "(convert|turn|change) {value} {source_unit} (to|into) {target_unit}",
    "(work out|calculate|tell me) how many {target_unit} {value} {source_unit} (are|make)",
    "(convert|change) {value} {source_unit} (to another unit|into something else)",
)
_HOW_MANY = (
    "how many {target_unit} (are|make|are there in) {value} {source_unit}",
    "what (is|are) {value} {source_unit} in {target_unit}",
)
_RESULT = (
    "{value} {source_unit} (are|equal|make) {result} {target_unit}.",
    "That (is|makes) {result} {target_unit}.",
)

DOMAIN = Domain(
    "units",
    (
        declare(convert_length, do=_CONVERT, ask=_HOW_MANY, answer=_RESULT),
        declare(convert_weight, do=_CONVERT, ask=_HOW_MANY, answer=_RESULT),
        declare(
            convert_temperature,
            do=(
                "(convert|turn) {value} degrees {source_unit} (to|into) {target_unit}",
                "(work out|tell me) what {value} degrees {source_unit} are in {target_unit}",
                "(convert|change) {value} degrees {source_unit} (to another scale|for me)",
            ),
            ask=("(what is|how much is) {value} degrees {source_unit} in {target_unit}",),
            answer=(
                "{value} degrees {source_unit} are {result} in {target_unit}.",
                "That is {result} in {target_unit}.",
            ),
            slips=("value",),
        ),
        declare(
            convert_local_time,
            do=(
                "(tell me|work out|find out) what time it is in {to_city} when it is "
                "{time} in {from_city}",
                "(convert|translate) {time} in {from_city} (to|into) the time of {to_city}",
                "(convert|translate) {time} in {from_city} to (the time of another city|another "
                "time zone)",
            ),
            ask=(
                "what time is it in {to_city} when it is {time} in {from_city}",
                "if the clock in {from_city} shows {time}, what time is it in {to_city}",
            ),
            answer=(
                "When it is {time} in {from_city}, it is {local_time} in {to_city}.",
                "In {to_city} it is {local_time} then.",
            ),
            more=(("how far apart are the two", "the difference in hours is {difference_hours}"),),
        ),
    ),
    reasons=(
        "I'm reading a (manual|recipe|report) (from abroad|with odd units)",
        "I'm (no good|hopeless) at (units|conversions)",
        "This is for (my homework|a drawing|a colleague abroad|a project)",
        "I (have to|need to) fill in a form",
        "We (are arguing|have a bet) (about this|on this)",
    ),
)
