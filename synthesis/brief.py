"""Tools of a line each, whose announcement is short: a name, a purpose, a request, and blanks.

    tool("book_table", "Book a table.", "(book|reserve) a table",
         called("restaurant", "at"), number("people", 1, 12, "for {} people"), gives="booking:code")

What runs is made from that: the result follows from the arguments, and a code that nobody gave
out is an error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chat.conversation import Tool
from synthesis import kinds, pools
from synthesis.declaration import Parameter, SyntheticTool, enum_kind
from synthesis.dice import Dice
from synthesis.kinds import Kind
from synthesis.names import in_words
from synthesis.world import code, exists, fact, pick

STATES = pools.listed("open closed ready full late done free busy low high")


@dataclass(frozen=True)
class Blank:
    """A parameter, and the phrase with one {} that tells its value.

    known: Whether only some of its values exist, so that others are an error.
    """

    name: str
    kind: Kind
    schema: Mapping[str, Any]
    cue: str
    required: bool = True
    known: bool = False

    @property
    def phrase(self) -> str:
        """The phrase as an optional part of a request."""
        return f"[ {self.cue.replace('{}', f'{{{self.name}}}')}]"

    @property
    def parameter(self) -> Parameter:
        """What a tool declares."""
        return Parameter(self.name, self.kind, self.required, None, self.schema)


def blank(name: str, draw: Callable[[Dice], Any], cue: str, type: str = "string") -> Blank:
    """Return a blank for values that are said as they are."""
    return Blank(name, Kind(in_words(name), draw), {"type": type}, _with_place(cue))


def called(name: str, cue: str) -> Blank:
    """Return a blank for a name of two words: a song, a team, a restaurant."""
    return blank(name, _title, cue)


def person(name: str, cue: str) -> Blank:
    """Return a blank for a person's name."""
    return blank(name, pools.person, cue)


def place(name: str, cue: str) -> Blank:
    """Return a blank for a town."""
    return blank(name, pools.city, cue)


def number(name: str, least: int, most: int, cue: str) -> Blank:
    """Return a blank for a whole number."""
    return blank(name, lambda dice: dice.between(least, most), cue, "integer")


def amount(name: str, most: int, cue: str) -> Blank:
    """Return a blank for a number with decimals."""
    return blank(name, lambda dice: dice.between(11, 100 * most) / 100, cue, "number")


def clock(name: str, cue: str) -> Blank:
    """Return a blank for a time of day, said as it is written."""
    return blank(name, kinds.TIME.draw, cue)


def choice(name: str, options: str, cue: str) -> Blank:
    """Return a blank for one of the `options`, with spaces between."""
    values = tuple(options.split())
    instead = tuple(word for word in _NEVER if word not in values)
    kind = enum_kind(in_words(name), values, instead)
    return Blank(name, kind, {"type": "string", "enum": list(values)}, _with_place(cue))


def known(name: str, prefix: str, cue: str) -> Blank:
    """Return a blank for a code such as P-48213; of ten, eight exist."""
    kind = Kind(in_words(name), lambda dice: f"{prefix}-{dice.between(10000, 99999)}")
    return Blank(name, kind, {"type": "string"}, _with_place(cue), known=True)


def optional(blank: Blank) -> Blank:
    """Return the blank as one that may be left out."""
    return Blank(blank.name, blank.kind, blank.schema, blank.cue, False, blank.known)


def tool(name: str, about: str, do: str, *blanks: Blank, gives: str = "state") -> SyntheticTool:
    """Return a tool that runs; `gives` names the entry of its result.

    `gives` is "name" for a word, "name:least-most" for a number, "name:PREFIX" for a code.
    """
    parameters = tuple(blank.parameter for blank in blanks)
    schema = {
        "type": "object",
        "properties": {blank.name: dict(blank.schema) for blank in blanks},
        "required": [blank.name for blank in blanks if blank.required],
    }
    told, back = (do + "".join(blank.phrase for blank in order) for order in (blanks, blanks[::-1]))
    templates = (told, back) if len(blanks) > 1 else (told,)
    slips = tuple(blank.name for blank in blanks if blank.known)
    run = _runner(name, slips, gives)
    return SyntheticTool(Tool(name, about, schema), run, parameters, templates, (), (), (), slips)


def _runner(tool: str, codes: Sequence[str], gives: str) -> Callable[..., dict[str, Any]]:
    key, _, what = gives.partition(":")

    def run(**arguments: Any) -> dict[str, Any]:
        for name in codes:
            # Codes that end in 0 were given out by another tool, and exist.
            value = arguments.get(name, "")
            if not value.endswith("0") and not exists(name, value):
                raise ValueError(f"unknown {in_words(name)} {value}")
        about = (tool, *sorted(map(str, arguments.items())))
        if not what:
            return {key: pick(STATES, *about)}
        if "-" in what:
            least, most = map(int, what.split("-"))
            return {key: fact(least, most, *about)}
        return {key: f"{code(what, *about)[:-1]}0"}

    return run


_NEVER = pools.listed("purple huge Martian none")


def _with_place(cue: str) -> str:
    return cue if "{}" in cue else f"{cue} {{}}"


def _title(dice: Dice) -> str:
    first = dice.choice(pools.COLOURS + pools.MATERIALS + pools.ADJECTIVES)
    return f"{first} {dice.choice(pools.CREATURES)}".title()
