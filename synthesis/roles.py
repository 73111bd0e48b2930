"""What a parameter of a user's own tool stands for, read off its name and schema."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from synthesis.declaration import Parameter
from synthesis.dice import Dice
from synthesis.grammar import spoken
from synthesis.kinds import Kind, say_date
from synthesis.names import words_of
from synthesis.pools import listed

# Units that a name may end in, as they are said after a number.
UNITS: Mapping[str, str] = {
    **{unit: unit for unit in listed("cm mm km kg mg ml kb mb gb kwh euros dollars")},
    "percent": "percent",
    "pct": "percent",
    "celsius": "degrees celsius",
    "fahrenheit": "degrees fahrenheit",
    "eur": "euros",
    "usd": "dollars",
}
TIMES = frozenset(listed("seconds minutes hours days nights weeks months years"))
PEOPLE = frozenset(listed("people persons guests passengers adults children visitors travellers"))
CODES = frozenset(listed("id ids code number key reference ref no uuid"))
_IRREGULAR = {"people": "person", "children": "child", "status": "status", "series": "series"}
# By the last word of a name that stands here.
_WORDS: Mapping[str, str] = {
    **dict.fromkeys(listed("city town location place region country destination origin"), "place"),
    "room": "place",
    **dict.fromkeys(listed("address street"), "address"),
    **dict.fromkeys(listed("date day deadline since until"), "date"),
    "time": "time",
    **dict.fromkeys(listed("email mail"), "email"),
    **dict.fromkeys(listed("person user customer owner author assignee recipient"), "person"),
    **dict.fromkeys(listed("guest contact colleague employee receiver sender patient"), "person"),
    **dict.fromkeys(listed("message text body content comment note reminder"), "text"),
    **dict.fromkeys(listed("title label heading"), "title"),
    **dict.fromkeys(listed("query search keyword keywords term"), "query"),
    **dict.fromkeys(listed("path file filename document"), "file"),
    **dict.fromkeys(listed("folder directory"), "folder"),
    **dict.fromkeys(listed("url uri link"), "url"),
    **dict.fromkeys(listed("language currency unit units"), "manner"),
    **dict.fromkeys(listed("priority urgency severity quality speed intensity"), "measure"),
}
# Roles of which one request may name several, each a thing of its own.
_THINGS = frozenset(
    listed("code person place address date email url file folder title query other")
)
# One thing has one of these at a time.
_CHOICES = frozenset(listed("status state mode reason cause type kind level category role"))
_FORMATS = {"date": "date", "email": "email", "uri": "url", "time": "time", "date-time": "moment"}


# Places in small letters that have no article, unlike the kitchen.
_BARE_PLACES = frozenset(listed("downtown downstairs here home inside outdoors outside upstairs"))


def role(parameter: Parameter) -> str:
    """Return what a parameter stands for: a date, a person, a code, a count and so on."""
    words, schema = words_of(parameter.name), parameter.schema
    type = schema.get("type")
    if type == "boolean":
        return "flag"
    if found := _FORMATS.get(str(schema.get("format", ""))):
        return found
    if type in ("array", "object"):
        return type
    if words[-1] in CODES:
        return "code"
    if type in ("integer", "number"):
        return _number(words)
    if words[-1] == "name" and _WORDS.get(words[-2] if len(words) > 1 else "") == "person":
        return "person"
    for word in reversed(words):
        if word in _WORDS:
            return _WORDS[word]
    if words[-1] == "name":
        return "title"
    return "choice" if "enum" in schema else "other"


def is_thing(parameter: Parameter) -> bool:
    """Return whether values are different things: codes, people, dates, and no choices or texts."""
    is_choice = "enum" in parameter.schema or words_of(parameter.name)[-1] in _CHOICES
    return role(parameter) in _THINGS and not is_choice


def _number(words: list[str]) -> str:
    if words[0] in ("max", "min", "maximum", "minimum"):
        return "bound"
    if words[-1] in TIMES:
        return "length"
    if words[-1] in UNITS:
        return "measured" if len(words) > 1 else "amount"
    return "count" if is_plural(words[-1]) else "year" if words[-1] == "year" else "amount"


def is_plural(word: str) -> bool:
    """Return whether a noun looks like more than one."""
    return word in PEOPLE or bool(re.fullmatch(r"[a-z]{2,}[^su]s", word))


def singular(word: str) -> str:
    """Return the noun for one of them."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.fullmatch(r"[a-z]+(ch|sh|ss|x|zz)es", word):
        return word[:-2]
    return word[:-1] if is_plural(word) else word


def plural(noun: str) -> str:
    """Return the noun for several of them; one that ends in s is taken to be that."""
    stem = re.sub("(?<=[^aeiou])y$", "ie", re.sub("(?<=ch|sh|ss|.x|.z)$", "e", noun))
    return stem.removesuffix("s") + "s"


def spoken_of(parameter: Parameter) -> Parameter:
    """Let a value be said as people do: 5 May 2026, 90 minutes, the kitchen; others stay."""
    kind = parameter.kind
    if kind.say is not Kind.__dataclass_fields__["say"].default:
        return parameter
    words, what = words_of(parameter.name), role(parameter)
    if what == "date" and parameter.schema.get("format") == "date" and _are_dates(kind):
        return replace(parameter, kind=replace(kind, say=say_date))
    if what == "place":
        return replace(parameter, kind=replace(kind, say=_say_place))
    if what in ("length", "count"):
        noun = words[-1] if len(words) == 1 else " ".join(words)
        named = f"number of {noun}"
        if what == "length" and len(words) > 1:
            named = " ".join(words[:-1])
        say = _counted(singular(words[-1]), words[-1])
        if what == "count":
            say = _counted(" ".join([*words[:-1], singular(words[-1])]), noun)
        return replace(parameter, kind=replace(kind, noun=named, say=say))
    if what == "measured":
        say = _counted(UNITS[words[-1]], UNITS[words[-1]])
        return replace(parameter, kind=replace(kind, noun=" ".join(words[:-1]), say=say))
    return parameter


def _say_place(place: Any, dice: Dice) -> str:
    """Give a place that is no name its article: the kitchen, but Berlin."""
    text = spoken(place)
    bare = not text.islower() or text in _BARE_PLACES or text.startswith("the ")
    return text if bare else f"the {text}"


def _are_dates(kind: Kind) -> bool:
    dice = Dice("example", kind.noun)
    values = [kind.draw(dice) for _ in range(8)]
    pattern = r"\d{4}-(0[1-9]|1[0-2])-\d\d"
    return all(isinstance(value, str) and re.fullmatch(pattern, value) for value in values)


def _counted(one: str, many: str) -> Callable[[Any, Dice], str]:
    def say(value: Any, dice: Dice) -> str:
        return f"{spoken(value)} {one if value == 1 else many}"

    return say


def with_article(noun: str) -> str:
    """Return a noun with a or an."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
