"""Weather: now, in the days ahead, and the air."""

from typing import Annotated, Any, Literal

from synthesis.declaration import Domain, Instead, declare
from synthesis.kinds import City, number
from synthesis.world import fact, known_city, pick

Unit = Annotated[Literal["celsius", "fahrenheit"], Instead(("kelvin", "rankine", "réaumur"))]
SKIES = ("clear", "partly cloudy", "overcast", "rainy", "windy", "foggy", "snowy")


def get_current_weather(city: City, unit: Unit = "celsius") -> dict[str, Any]:
    """Get the weather in a city at this moment.

    Args:
        city: Name of the city in English.
        unit: Unit of the temperature.
    """
    celsius = fact(-8, 34, "now", known_city(city))
    return {
        "city": city,
        "temperature": celsius if unit == "celsius" else round(celsius * 1.8 + 32, 1),
        "unit": unit,
        "condition": pick(SKIES, "sky", city),
        "humidity_percent": fact(25, 95, "humidity", city),
    }


def get_weather_forecast(
    city: City, days: Annotated[int, number("number of days", 1, 10, "day")] = 3
) -> dict[str, Any]:
    """Get the weather forecast of a city, one entry for each of the coming days.

    Args:
        city: Name of the city in English.
        days: How many days ahead to look.
    """
    known_city(city)
    highs = [fact(2, 33, "high", city, day) for day in range(1, days + 1)]
    return {
        "city": city,
        "highs_celsius": highs,
        "warmest": max(highs),
        "coldest": min(highs),
        "rainy_days": sum(fact(0, 2, "rain", city, day) == 0 for day in range(1, days + 1)),
    }


def get_air_quality(city: City) -> dict[str, Any]:
    """Get the air quality index of a city and the pollutant that matters most there.

    Args:
        city: Name of the city in English.
    """
    index = fact(8, 180, "air", known_city(city))
    level = "good" if index <= 50 else "moderate" if index <= 100 else "unhealthy"
    return {"index": index, "level": level, "pollutant": pick(("ozone", "PM2.5", "NO2"), city)}


DOMAIN = Domain(
    "weather",
    (
        declare(
            get_current_weather,
            do=(
                "(check|look up|tell me|get me) the (current |)weather[ in {city}][, in {unit}]",
                "(find out|see|tell me) (how warm it is|what it is like outside)[ in {city}] "
                "(right now|at the moment)[, in {unit}]",
            ),
            ask=(
                "(what's|what is|how's|how is) the weather[ in {city}]( right now| at the moment|)",
                "how (warm|cold) is it[ in {city}] (right now|at the moment)[, in {unit}]",
            ),
            answer=(
                "(It is|It's) (currently |now |){temperature} degrees {unit} and {condition} in "
                "{city}.",
                "In {city} it is {condition} at {temperature} degrees {unit}[?humidity_percent  "
                "with a humidity of {humidity_percent}%].",
            ),
            more=(("how humid is it there", "the humidity is {humidity_percent}%"),),
        ),
        declare(
            get_weather_forecast,
            do=(
                "(get|show me|give me|look up) the (weather |)forecast[ for {city}]"
                "[ for the (next|coming) {days}]",
                "(see|tell me) (what weather to expect|how the weather will develop)[ in {city}]"
                "[ over the (next|coming) {days}]",
            ),
            ask=(
                "what (will the weather be like|weather is expected)[ in {city}]"
                "[ over the next {days}]",
            ),
            answer=(
                "In {city} (expect|there will be) highs between {coldest} and {warmest} degrees "
                "celsius.",
                "The highs in {city} (range|go) from {coldest} to {warmest} degrees celsius, and "
                "the number of rainy days is {rainy_days}.",
            ),
            more=(
                ("how many of those days are rainy", "the number of rainy days is {rainy_days}"),
                ("what is the warmest it gets", "the warmest day reaches {warmest} degrees"),
            ),
        ),
        declare(
            get_air_quality,
            do=(
                "(check|look up|tell me) (the air quality|how clean the air is)[ in {city}]",
                "find out (whether|if) the air is clean[ in {city}]",
            ),
            ask=("(how clean is the air|what is the air quality|how polluted is it)[ in {city}]",),
            answer=(
                "The air quality index in {city} is {index}, which is {level}.",
                "The air in {city} is {level}: the index (stands at|is) {index}, mostly because of "
                "{pollutant}.",
            ),
            more=(("which pollutant matters most there", "that is {pollutant}"),),
        ),
    ),
    reasons=(
        "I'm packing (for a trip|my suitcase|for the weekend)",
        "I want to (go running|ride my bike|have a picnic|hang out the laundry) later",
        "We are (planning|thinking about) a day (outside|in the open)",
        "My (sister|brother|friend|cousin|neighbour) (is flying|is driving|moves) there",
        "I'm deciding what to wear",
    ),
)
