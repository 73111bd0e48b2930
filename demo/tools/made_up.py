"""A thousand tools with names that mean little, so that a model learns to read what is offered."""

from collections.abc import Iterator
from pathlib import Path

from data.pretraining.choices import draw_aims
from data.pretraining.lexicon import SEEN
from data.pretraining.names import Words
from data.synthesis.brief import Blank, amount, blank, choice, clock, known, number, person, place
from data.synthesis.brief import tool as brief_tool
from data.synthesis.custom import read_tools_file
from data.synthesis.declaration import Domain, SyntheticTool
from data.synthesis.dice import Dice

FIELDS = 50
TOOLS_IN_A_FIELD = 20


def tools_of(words: Words) -> Iterator[SyntheticTool]:
    """Yield the tools of one field; each fourth takes a code that the one before gives out."""
    aims = draw_aims(words, TOOLS_IN_A_FIELD)
    handed: str | None = None
    for place_in_field, (verb, thing, about, name) in enumerate(aims):
        blanks = {each.name: each for each in (a_blank(words) for _ in range(words.dice.below(3)))}
        gives = "state"
        if place_in_field % 4 == 2:
            handed = f"{words.noun()}_id"
            gives = f"{handed}:{handed[0].upper()}"
        elif place_in_field % 4 == 3 and handed:
            noun = handed.removesuffix("_id")
            cue = words.dice.choice((f"with {noun} {{}}", f"of {noun} {{}}", f"for {noun} {{}}"))
            blanks = {handed: known(handed, handed[0].upper(), cue), **blanks}
        if gives == "state" and not blanks:
            blanks = {each.name: each for each in [a_blank(words)]}
        do = f"{verb} (the|my|this|{'an' if thing[0] in 'aeiou' else 'a'}) {thing}"
        yield brief_tool(name, about, do, *blanks.values(), gives=gives)


def a_blank(words: Words) -> Blank:
    """Draw one of nine kinds of blanks."""
    return words.dice.choice((text, text, text, town, somebody, count, count, price, option, hour))(
        words
    )


def text(words: Words) -> Blank:
    """Return a blank for a name of any kind."""
    noun = words.noun()
    cues = (f"with the {noun} {{}}", f"for the {noun} {{}}", f"and {{}} as the {noun}")
    kinds = (words.proper, words.proper, words.unknown, words.invented, words.code)
    made = words.dice.choice(kinds).__name__
    return blank(noun, lambda dice: getattr(Words(dice, SEEN), made)(), words.dice.choice(cues))


def town(words: Words) -> Blank:
    name, cue = words.dice.choice(
        (
            ("city", "in"),
            ("town", "near"),
            ("origin", "from"),
            ("destination", "to"),
            ("place", "at"),
        )
    )
    return place(name, cue)


def somebody(words: Words) -> Blank:
    name = words.dice.choice(("name", "guest", "customer", "recipient", "contact", "author"))
    return person(name, words.dice.choice(("for", "with", "to", "of", f"the {name} is")))


def count(words: Words) -> Blank:
    noun = words.noun()
    cue = words.dice.choice((f"with {{}} {noun}s", f"for {{}} {noun}s", f"with {noun} {{}}"))
    return number(f"{noun}s", 2, words.dice.choice((60, 300, 9000)), cue)


def price(words: Words) -> Blank:
    name = words.dice.choice(("price", "amount", "weight", "distance", "value", "budget"))
    return amount(name, 900, words.dice.choice(("of {}", "for {}", f"with the {name} {{}}")))


def option(words: Words) -> Blank:
    noun = words.noun()
    drawn = dict.fromkeys(words.adjective() for _ in range(words.dice.between(3, 4)))
    cue = (f"of the {{}} {noun}", f"with {noun} {{}}", f"with {{}} {noun}", f"as {{}} {noun}")
    return choice(noun, " ".join(drawn), words.dice.choice(cue))


def hour(words: Words) -> Blank:
    return clock(words.dice.choice(("time", "start", "hour")), words.dice.choice(("at", "for")))


def _domains() -> Iterator[Domain]:
    # A name that stands in the other files would be no new one there.
    others = (read_tools_file(Path(__file__).with_name(f)) for f in ("everyday.py", "unseen.py"))
    taken = {tool.name for domains in others for domain in domains for tool in domain.tools}
    for field in range(FIELDS):
        drawn = tools_of(Words(Dice("made up", field), SEEN))
        tools = [each for each in drawn if each.name not in taken]
        taken |= {each.name for each in tools}
        yield Domain(f"made_up_{field}", tuple(tools))


DOMAINS = list(_domains())
