"""Kinds of values: how one is drawn, said, asked for, and got wrong.

A tool's parameter is annotated with its kind: `city: City`. What a kind adds to the JSON Schema
(bounds, a pattern) stands in `schema`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from synthesis import pools
from synthesis.dates import MONTH_LENGTHS, days_later
from synthesis.dice import Dice
from synthesis.grammar import joined, spoken


def _as_it_is(value: Any, dice: Dice) -> str:
    return spoken(value)


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of value.

    noun: What it is called in a sentence, without an article.
    draw: Returns a value.
    say: How a user says a value.
    schema: Keywords for the JSON Schema of a parameter of this kind.
    wrong: Returns what a user may say by mistake, which cannot be such a value.
    rule: What the assistant answers to that, a sentence.
    aliases: Other names of values, which tools refuse with a hint at the right one.
    stray: Returns a value of the right form that a tool may not know; by default `draw`.
    follows: The parameter whose value this one depends on, where `follow` draws it from that.
    """

    noun: str
    draw: Callable[[Dice], Any]
    say: Callable[[Any, Dice], str] = _as_it_is
    schema: Mapping[str, Any] = field(default_factory=dict)
    wrong: Callable[[Dice], str] | None = None
    rule: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    stray: Callable[[Dice], Any] | None = None
    follows: str = ""
    follow: Callable[[Any, Dice], Any] | None = None


def drawn_after(kind: Kind, others: Mapping[str, Any], dice: Dice) -> Any:
    """Draw a value beside `others`: from the one that it depends on, where that is known."""
    if kind.follow is not None and kind.follows in others:
        return kind.follow(others[kind.follows], dice)
    return kind.draw(dice)


def one_of(noun: str, values: Sequence[Any], **more: Any) -> Kind:
    """Return a kind whose values are these."""
    return Kind(noun, lambda dice: dice.choice(values), **more)


def number(noun: str, least: int, most: int, unit: str = "", step: int = 1) -> Kind:
    """Return a kind of whole numbers with bounds; `unit` is a singular noun said after them."""
    return Kind(
        noun,
        lambda dice: dice.between(0, (most - least) // step) * step + least,
        counted(unit) if unit else _as_it_is,
        {"minimum": least, "maximum": most},
    )


def decimal(noun: str, least: float, most: float, places: int = 1, unit: str = "") -> Kind:
    """Return a kind of numbers with bounds and this many decimal places."""
    scale = 10**places
    return Kind(
        noun,
        lambda dice: dice.between(round(least * scale), round(most * scale)) / scale,
        counted(unit) if unit else _as_it_is,
        {"minimum": least, "maximum": most},
    )


def counted(unit: str) -> Callable[[Any, Dice], str]:
    """Return a way to say a number with its unit."""

    def say(value: Any, dice: Dice) -> str:
        return f"{spoken(value)} {unit}{'' if value == 1 else 's'}"

    return say


def several(kind: Kind, noun: str, least: int = 2, most: int = 3) -> Kind:
    """Return the kind of lists of different values of a kind."""

    def draw(dice: Dice) -> list[Any]:
        found: dict[str, Any] = {}
        wanted = dice.between(least, most)
        while len(found) < wanted:
            value = kind.draw(dice)
            found[str(value)] = value
        return list(found.values())

    def say(values: list[Any], dice: Dice) -> str:
        return joined([kind.say(value, dice) for value in values])

    return Kind(noun, draw, say)


MONTHS = pools.listed(
    "January February March April May June July August September October November December"
)


def _date(dice: Dice) -> str:
    month = dice.between(1, 12)
    return f"{dice.between(2024, 2027)}-{month:02}-{dice.between(1, MONTH_LENGTHS[month - 1]):02}"


def say_date(date: str, dice: Dice) -> str:
    """Say an ISO date in one of four ways."""
    year, month, day = date.split("-")
    name, number = MONTHS[int(month) - 1], int(day)
    ways = (
        f"{name} {number}, {year}",
        f"{number} {name} {year}",
        f"{name[:3]} {number}, {year}",
        date,
    )
    return dice.choice(ways)


def _wrong_date(dice: Dice) -> str:
    short = dice.choice((2, 4, 6, 9, 11))
    day = 30 if short == 2 else 31
    return say_date(f"{dice.between(2024, 2027)}-{short:02}-{day}", dice)


def say_time(time: str, dice: Dice) -> str:
    """Say a 24-hour time in one of three ways."""
    hour, minute = map(int, time.split(":"))
    half, twelve = "am" if hour < 12 else "pm", (hour + 11) % 12 + 1
    short = f"{twelve} {half}" if minute == 0 else f"{twelve}:{minute:02} {half}"
    return dice.choice((time, short, f"{twelve}:{minute:02} {half}"))


def identifier(noun: str, prefix: str, digits: int = 5) -> Kind:
    """Return the kind of identifiers such as R-48213."""
    pattern = f"^{prefix}-[0-9]{{{digits}}}$"

    def draw(dice: Dice) -> str:
        return f"{prefix}-{dice.between(10 ** (digits - 1), 10**digits - 1)}"

    def wrong(dice: Dice) -> str:
        number = draw(dice)[len(prefix) + 1 :]
        return dice.choice((number, f"{prefix}-{number[:-2]}", f"{prefix}{number}9", f"#{number}"))

    rule = f"(each|every|the) {noun} (is|begins with) {prefix}- followed by {digits} digits"
    return Kind(noun, draw, schema={"pattern": pattern}, wrong=wrong, rule=rule)


PERSON = Kind("name", pools.person)
CITY = Kind(
    "city",
    pools.city,
    aliases=pools.CITY_NICKNAMES,
)
DATE = Kind(
    "date",
    _date,
    say_date,
    {"format": "date"},
    _wrong_date,
    "(there is no such date|that date does not exist|this day is not in the calendar)",
)
TIME = Kind(
    "time",
    lambda dice: f"{dice.between(7, 21):02}:{dice.choice((0, 15, 30, 45)):02}",
    say_time,
    {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
    lambda dice: f"{dice.between(25, 39)}:{dice.choice((0, 15, 30, 45)):02}",
    "(a day has only 24 hours|the hour has to be between 0 and 23)",
)


def date_after(parameter: str, least: int, most: int) -> Kind:
    """Return the kind of dates so many days after the date of another parameter."""
    return replace(
        DATE,
        follows=parameter,
        follow=lambda date, dice: days_later(date, dice.between(least, most)),
    )


EMAIL = Kind(
    "e-mail address",
    pools.email,
    schema={"format": "email"},
    wrong=lambda dice: dice.choice((" at ", "(at)", ".", "#")).join(pools.email(dice).split("@")),
    rule="(an e-mail address needs one @ sign|this is not a complete e-mail address)",
)
PHONE = Kind(
    "phone number",
    lambda dice: f"+{dice.between(30, 59)} {dice.between(100, 999)} {dice.between(10000, 99999)}",
    schema={"pattern": r"^\+[0-9]{2} [0-9]{3} [0-9]{5}$"},
    wrong=lambda dice: f"{dice.between(1000, 99999)}",
    rule="(that number is too short|I need the whole number, with its country code)",
)

Person = Annotated[str, PERSON]
City = Annotated[str, CITY]
Date = Annotated[str, DATE]
Time = Annotated[str, TIME]
Email = Annotated[str, EMAIL]
Phone = Annotated[str, PHONE]
