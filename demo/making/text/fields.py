"""Fields of forms: what a form says about one, what a user says, and what is to be filled in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from demo.making.text.names import Words
from synthesis.dice import Dice
from synthesis.pools import listed

_PLACES = listed("city town location place origin destination address room region")
_PEOPLE = listed("name person guest customer recipient contact author attendee")
_DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")


@dataclass(frozen=True)
class Field:
    """A field as a form declares it; `options` are all its possible values, where listed."""

    name: str
    about: str
    kind: str
    options: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class Filled:
    """A field's value, and the words by which a user gives it."""

    field: Field
    value: Any
    said: str


@dataclass(frozen=True)
class Draft:
    """A field, and how a value for it is drawn: pairs of the value and how it is said.

    `cues` are phrases with one {} for the value; where they are `bare`, neither they nor the
    field's name tell for which field it is.
    """

    field: Field
    draw: Callable[[], tuple[Any, str]]
    cues: tuple[str, ...]
    bare: bool = False

    def fill(self, dice: Dice) -> Filled:
        """Draw a value and the phrase that gives it."""
        value, said = self.draw()
        cue = dice.choice(self.cues)
        return Filled(self.field, value, cue.replace("{}", said))


def draft_field(words: Words) -> Draft:
    """Draw one field, most often named by a noun of the lexicon."""
    kinds = (_text, _text, _text, _text, _place, _place, _person, _person, _integer, _integer)
    more = (_integer, _amount, _amount, _choice, _choice, _choice, _code, _code, _time, _time, _day)
    return words.dice.choice((*kinds, *more, _switch, _date, _several, _unit))(words)


def _named(words: Words, nouns: tuple[str, ...] = ()) -> tuple[str, str]:
    """Return a field's name and the words it stands for."""
    dice = words.dice
    noun = dice.choice(nouns) if nouns and dice.chance(0.6) else words.noun()
    if dice.chance(0.2):
        noun = f"{words.adjective()} {noun}"
    return noun.replace(" ", "_"), noun


def _about(words: Words, spoken: str, extra: str = "") -> str:
    dice = words.dice
    start = dice.choice(
        (f"The {spoken}", f"Which {spoken}", f"Name of the {spoken}", spoken.capitalize())
    )
    end = dice.choice(("", "", f" of the {words.noun()}", f" for the {words.noun()}"))
    return f"{start}{end}{extra}{dice.choice(('.', '.', ''))}"


def _cues(spoken: str) -> tuple[str, ...]:
    return (
        f"with the {spoken} {{}}",
        f"with {spoken} {{}}",
        f"and {{}} as the {spoken}",
        f"the {spoken} is {{}}",
        f"the {spoken} should be {{}}",
        f"{spoken}: {{}}",
        f"for the {spoken} {{}}",
        f"using {{}} for the {spoken}",
    )


def _text(words: Words) -> Draft:
    name, spoken = _named(words, ("name", "title", "subject", "label", "query", "topic"))

    def draw() -> tuple[Any, str]:
        kinds = (words.proper, words.proper, words.invented, words.unknown, words.thing, words.code)
        value = words.dice.choice((*kinds, words.identifier))()
        return value, words.dice.choice((value, value, f"'{value}'", f'"{value}"'))

    return Draft(Field(name, _about(words, spoken), "string"), draw, _cues(spoken))


def _place(words: Words) -> Draft:
    name, spoken = _named(words, _PLACES)
    about = _about(words, spoken)
    cues = {
        "origin": ("from {}", "leaving {}", "starting in {}"),
        "destination": ("to {}", "going to {}", "that ends in {}"),
    }.get(name, ("in {}", "at {}", "near {}", f"for the {spoken} {{}}"))
    return _proper(words, Field(name, about, "string"), cues, _PLACES)


def _person(words: Words) -> Draft:
    name, spoken = _named(words, _PEOPLE)
    cues = ("for {}", "with {}", "to {}", f"the {spoken} is {{}}", f"the {spoken} {{}}", "of {}")
    return _proper(words, Field(name, _about(words, spoken), "string"), cues, _PEOPLE)


def _proper(words: Words, field: Field, cues: tuple[str, ...], telling: tuple[str, ...]) -> Draft:
    """Return a field for a name; `telling` are the fields' names that say what is so called."""
    bare = field.name.rpartition("_")[2] not in telling
    return Draft(field, lambda: _same(words.proper().title()), cues, bare)


def _integer(words: Words) -> Draft:
    name, spoken = _named(words, ("nights", "people", "minutes", "days", "copies", "hours"))
    plural = spoken if spoken.endswith("s") else f"{spoken}s"
    most = words.dice.choice((9, 30, 500, 20000))
    cues = (f"for {{}} {plural}", f"with {{}} {plural}", f"{{}} {plural}", *_cues(spoken)[:6])
    about = words.dice.choice((f"How many {plural}.", f"Number of {plural}.", f"The {spoken}."))
    return Draft(Field(name, about, "integer"), lambda: _same(words.dice.between(1, most)), cues)


def _amount(words: Words) -> Draft:
    name, spoken = _named(words, ("price", "amount", "weight", "distance", "value", "budget"))
    unit = words.dice.choice(("euros", "dollars", "kilograms", "metres", "degrees", "percent"))

    def draw() -> tuple[Any, str]:
        value = round(words.dice.between(1, 99999) / words.dice.choice((10, 100)), 2)
        return value, f"{value} {unit}"

    about = words.dice.choice((f"The {spoken}, in {unit}.", f"The {spoken} in {unit}"))
    cues = ("of {}", "for {}", "at {}", "with {}", *_cues(spoken)[:5])
    return Draft(Field(name, about, "number"), draw, cues)


def _choice(words: Words) -> Draft:
    name, spoken = _named(words, ("type", "category", "mode", "size", "style", "level", "status"))
    options: list[str] = []
    while len(options) < words.dice.choice((2, 3, 4)):
        option = words.dice.choice((words.adjective, words.noun))()
        if option not in options:
            options.append(option)
    values = tuple(options)
    cues = (f"as {{}} {spoken}", "in {}", f"of the {spoken} {{}}", "by {}", *_cues(spoken))
    more = ("of {} " + spoken, f"of {spoken} {{}}", f"with {{}} {spoken}", "with {}")
    field = Field(name, _about(words, spoken), "string", values)
    return Draft(field, lambda: _same(words.dice.choice(values)), (*cues, *more))


def _switch(words: Words) -> Draft:
    name, spoken = _named(words, ("urgent", "private", "repeat", "notify", "insurance"))

    def draw() -> tuple[Any, str]:
        on = words.dice.chance(0.6)
        ways = (f"with {spoken}", f"{spoken} on") if on else (f"without {spoken}", f"no {spoken}")
        return on, words.dice.choice(ways)

    about = f"Whether {words.dice.choice(('there is', 'to use', 'it has', 'it needs'))} {spoken}."
    return Draft(Field(name, about, "boolean"), draw, ("{}",))


def _date(words: Words) -> Draft:
    name, spoken = _named(words, ("date", "day", "start_date", "check_in", "departure", "deadline"))

    def draw() -> tuple[Any, str]:
        dice = words.dice
        year, month, day = dice.between(2020, 2029), dice.between(1, 12), dice.between(1, 28)
        return _same(f"{year}-{month:02}-{day:02}")

    about = words.dice.choice(("Day", "Date", "The day", f"Day of the {words.noun()}"))
    cues = ("on {}", "for {}", f"the {spoken.replace('_', ' ')} is {{}}", "dated {}")
    return Draft(Field(name, f"{about}, YYYY-MM-DD.", "string"), draw, cues)


def _time(words: Words) -> Draft:
    def draw() -> tuple[Any, str]:
        dice = words.dice
        hour, minute = dice.between(0, 23), dice.choice((0, 15, 30, 45, dice.between(1, 59)))
        return _same(f"{hour:02}:{minute:02}")

    name, _ = _named(words, ("time", "start_time", "hour", "alarm_time"))
    return Draft(Field(name, "Time of day, HH:MM.", "string"), draw, ("at {}", "for {}"))


def _day(words: Words) -> Draft:
    name, _ = _named(words, ("weekday", "day"))
    days = words.dice.shuffled(_DAYS)[: words.dice.between(3, 7)]
    field = Field(name, "Day of the week.", "string", tuple(days))
    return Draft(field, lambda: _same(words.dice.choice(days)), ("on {}", "for {}"))


def _code(words: Words) -> Draft:
    noun = words.noun()
    name = f"{noun}_{words.dice.choice(('id', 'number', 'code'))}"
    about = f"Number of the {noun}, as {words.code()}."
    cues = (f"of {noun} {{}}", f"{noun} {{}}", f"for {noun} {{}}", f"the {noun} is {{}}", "{}")
    return Draft(Field(name, about, "string"), lambda: _same(words.code()), cues)


def _several(words: Words) -> Draft:
    name, spoken = _named(words)

    def draw() -> tuple[Any, str]:
        values = [words.proper() for _ in range(words.dice.between(2, 3))]
        return values, f"{', '.join(values[:-1])} and {values[-1]}"

    cues = (f"with the {spoken}s {{}}", f"the {spoken}s are {{}}", f"for the {spoken}s {{}}")
    return Draft(Field(f"{name}s", f"The {spoken}s.", "list"), draw, cues)


def _unit(words: Words) -> Draft:
    units = words.dice.choice(
        (
            ("celsius", "fahrenheit", "kelvin"),
            ("metres", "miles", "feet"),
            ("euros", "dollars", "pounds"),
            ("low", "medium", "high"),
        )
    )
    name, spoken = _named(words, ("unit", "scale", "level", "target_unit"))
    field = Field(name, _about(words, spoken.replace("_", " ")), "string", units)
    return Draft(field, lambda: _same(words.dice.choice(units)), ("in {}", "as {}"))


def _same(value: Any) -> tuple[Any, str]:
    return value, str(value)
