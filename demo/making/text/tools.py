"""Tools made of random words: their purpose, parameters, result, and the requests for them.

A model has to read the declarations: keys often differ from the words of a request, and where only
one tool is about a thing, a request for it may use another verb.
"""

from collections.abc import Iterator, Sequence

from demo.making.text.choices import Aim, draw_aims
from demo.making.text.names import Words
from demo.making.text.phrases import one
from synthesis import brief
from synthesis.custom import complete
from synthesis.declaration import Domain, SyntheticTool

_PEOPLE = ("name", "guest", "customer", "recipient", "contact", "author", "owner", "person")
_TOWNS = (
    *(("city", "in"), ("town", "near"), ("place", "at"), ("region", "in"), ("city", "for")),
    *(("origin", "from"), ("destination", "to")),
)
_AMOUNTS = ("price", "amount", "weight", "distance", "value", "budget", "sum")
_SORTS = {
    **dict.fromkeys(_PEOPLE, "person"),
    **{name: cue if cue in ("from", "to") else "in" for name, cue in _TOWNS},
    **dict.fromkeys(("time", "start", "hour"), "time"),
}
_UNITS = ("euros", "dollars", "kilograms", "metres", "litres")


def draw_domain(words: Words, name: str, count: int, taken: frozenset[str] = frozenset()) -> Domain:
    """Draw `count` tools of one field, less those whose name is `taken`."""
    aims = draw_aims(words, count)
    tools = tuple(tool for tool in _tools(words, aims) if tool.name not in taken)
    reasons = (
        f"The {words.noun()} is {words.adjective()}",
        f"(We have|I have|I need|There is) {one(words.thing())}",
        f"(I want|We have) to {words.verb()} the {words.noun()}",
    )
    return complete(Domain(name, tools, reasons=reasons))


def _tools(words: Words, aims: Sequence[Aim]) -> Iterator[SyntheticTool]:
    """Yield a tool for each aim; half of the odd ones take a code that the one before gives."""
    handed = ""
    things = [thing for _, thing, _, _ in aims]
    for place, (verb, thing, about, name) in enumerate(aims):
        blanks = draw_blanks(words, words.dice.choice((0, 1, 1, 2, 2, 2, 3)))
        noun = words.noun()
        # A result whose only entry is called `error` would count as an error.
        gives = "state" if noun == "error" or words.dice.chance(0.6) else f"{noun}:2-900"
        if place % 2 and handed:
            blanks = [_code(words, handed), *blanks[:2]]
            handed = ""
        elif words.dice.chance(0.5):
            handed = f"{words.noun()}_id"
            gives = f"{handed}:{handed[0].upper()}"
        if not blanks and not handed:
            blanks = draw_blanks(words, 1)
        do = _wish(words, verb, thing, things.count(thing) == 1)
        yield brief.tool(name, about, do, *blanks, gives=gives)


def draw_blanks(words: Words, count: int) -> list[brief.Blank]:
    """Draw up to `count` blanks, no two of which could be meant by the same words."""
    blanks: list[brief.Blank] = []
    for _ in range(count):
        drawn = words.dice.choice(_KINDS)(words)
        if not any(are_alike(drawn, blank) for blank in blanks):
            blanks.append(drawn)
    return blanks


def are_alike(one: brief.Blank, other: brief.Blank) -> bool:
    """Return whether a request may leave open which of two keys a value is for."""
    if one.name == other.name or one.cue == other.cue:
        return True
    return not (_is_told(one) or _is_told(other)) and _sort(one) == _sort(other)


def _is_told(blank: brief.Blank) -> bool:
    return blank.name.removesuffix("s") in blank.cue or "enum" in blank.schema


def _sort(blank: brief.Blank) -> str:
    """Return the sort of values that a key names, or "" for a key that is any word."""
    return _SORTS.get(blank.name, "")


def _wish(words: Words, verb: str, thing: str, unlike: bool) -> str:
    """Return the words of a wish; for a thing `unlike` all others the verb may be another."""
    verbs = f"({verb}|{verb}|{words.verb()})" if unlike and words.dice.chance(0.3) else verb
    return f"{verbs} (the|my|this|{one(thing).partition(' ')[0]}) {thing}"


def _key(words: Words, names: Sequence[str]) -> str:
    return words.dice.choice(names) if words.dice.chance(0.5) else words.noun()


def _text(words: Words) -> brief.Blank:
    noun = words.noun()
    cues = (f"with the {noun}", f"with {noun}", f"for the {noun}", f"and {{}} as the {noun}")
    cue = words.dice.choice((*cues, f"the {noun} is", "about '{}'", "called", "{}"))
    if words.dice.chance(0.3):
        return brief.called(noun, cue)
    made = words.dice.choice(("proper", "proper", "unknown", "invented", "code", "thing"))
    return brief.blank(noun, lambda dice: getattr(words.with_dice(dice), made)(), cue)


def _town(words: Words) -> brief.Blank:
    name, cue = words.dice.choice(_TOWNS)
    name = _key(words, (name,))
    return brief.place(name, cue) if words.dice.chance(0.5) else _proper(words, name, cue)


def _somebody(words: Words) -> brief.Blank:
    name = _key(words, _PEOPLE)
    cue = words.dice.choice(("for", "with", "to", "of", "by", "as", f"the {name} is", f"as {name}"))
    return brief.person(name, cue) if words.dice.chance(0.6) else _proper(words, name, cue)


def _proper(words: Words, name: str, cue: str) -> brief.Blank:
    return brief.blank(name, lambda dice: words.with_dice(dice).proper().title(), cue)


def _count(words: Words) -> brief.Blank:
    noun = f"{words.noun()}s"
    if words.dice.chance(0.2):
        return brief.number(words.dice.choice(("count", noun)), 2, 60, "{} times")
    cues = (f"with {{}} {noun}", f"for {{}} {noun}", f"with {noun} {{}}", f"in {{}} {noun}")
    cue = words.dice.choice((*cues, f"of {{}} {noun}", f"to {{}} {noun}", f"{{}} {noun}"))
    return brief.number(noun, 2, words.dice.choice((60, 300, 9000)), cue)


def _amount(words: Words) -> brief.Blank:
    name = _key(words, _AMOUNTS)
    unit = words.dice.choice(_UNITS)
    cue = words.dice.choice(("of {}", "for {}", f"of {{}} {unit}", f"to a {name} of {{}}"))
    return brief.amount(name, 900, words.dice.choice((cue, f"with the {name} {{}}")))


def _option(words: Words) -> brief.Blank:
    noun = words.noun()
    make = words.dice.choice((words.adjective, words.noun))
    drawn = dict.fromkeys(make() for _ in range(words.dice.between(2, 5)))
    if len(drawn) == 1:
        return _count(words)
    cues = (f"of the {{}} {noun}", f"with {noun} {{}}", f"with {{}} {noun}", f"as {{}} {noun}")
    cue = words.dice.choice(
        (*cues, f"in the {noun} of {{}}", "in {}", "in the {}", "with {}", "{}")
    )
    return brief.choice(noun, " ".join(drawn), cue)


def _day(words: Words) -> brief.Blank:
    days = words.dice.shuffled(_DAYS)[: words.dice.between(3, 6)]
    return brief.choice(_key(words, ("day", "weekday", "date")), " ".join(days), "on")


def _hour(words: Words) -> brief.Blank:
    return brief.clock(_key(words, ("time", "start", "hour")), words.dice.choice(_TIMES))


def _code(words: Words, key: str) -> brief.Blank:
    """Return the code that another tool gives out."""
    noun = key.removesuffix("_id")
    cues = (f"with {noun} {{}}", f"of {noun} {{}}", f"for (the |){noun} {{}}", "{}")
    cue = words.dice.choice((*cues, "(with (the |)number |){}", "with (the |)number {}"))
    return brief.known(key, key[0].upper(), cue)


_KINDS = (
    *(_text, _text, _text, _town, _town, _somebody, _somebody, _count, _count),
    *(_amount, _option, _option, _day, _hour),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TIMES = ("at {}", "for {}", "from {}", "to {}")
