"""A tool that was used: how a user says its arguments, and an assistant what came out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthesis.declaration import SyntheticTool
from synthesis.dice import Dice
from synthesis.grammar import expand, marked, spoken, telling
from synthesis.names import words_of
from synthesis.phrasing import describe
from synthesis.results import say_result
from synthesis.roles import role
from synthesis.wording import is_changing


@dataclass(frozen=True)
class Use:
    """A tool with arguments that work, and the result they give."""

    tool: SyntheticTool
    arguments: Mapping[str, Any]
    result: Any

    def said(self, dice: Dice) -> dict[str, Any]:
        """Return the arguments as a user says them; true and false stay what they are."""
        return {
            name: value
            if isinstance(value, bool)
            else marked(self.tool.parameter(name).kind.say(value, dice))
            for name, value in self.arguments.items()
        }

    def known(self, dice: Dice) -> dict[str, Any]:
        """Return what an answer may speak of: the result, the arguments, and their defaults."""
        values = {
            parameter.name: parameter.default
            for parameter in self.tool.parameters
            if not parameter.required
        }
        values |= self.arguments
        result = self.result if isinstance(self.result, dict) else {"result": self.result}
        # Beside a time of the result, one of the user is told on the same clock.
        clocks = any(map(_is_clock, result.values()))
        spoken = {
            name: value
            if isinstance(value, bool) or (clocks and _is_clock(value))
            else self.tool.parameter(name).kind.say(value, dice)
            for name, value in values.items()
            if value is not None
        }
        # Where the result gives an argument's name another value, the answer tells the result's.
        news = {name for name, value in result.items() if values.get(name, value) != value}
        return {**result, **{name: text for name, text in spoken.items() if name not in news}}


def tell(uses: Sequence[Use], naming: str, dice: Dice) -> str:
    """Return what came out of each use, `naming` an argument where the tool's words allow."""
    way = _way_of_naming(uses, dice)
    return " ".join(_tell(use, naming, way, dice) for use in uses)


def _way_of_naming(uses: Sequence[Use], dice: Dice) -> str:
    """Return how each of several results is begun; tools with words of their own need none."""
    if len(uses) == 1 or not any(use.tool.subject for use in uses):
        return ""
    return dice.choice(("as for {about}, ", "{about}: ", "for {about}: "))


def _tell(use: Use, naming: str, way: str, dice: Dice) -> str:
    if use.tool.subject:
        named = expand(way, {"about": _named(use, naming, dice)}, dice)
        return say_result(use.tool.subject, is_changing(use.tool), use.result, dice, named)
    if not use.tool.answer:
        named = f"{spoken(use.arguments[naming])}: " if naming in use.arguments else ""
        return named + describe(use.result, dice)
    answers = telling(use.tool.answer, naming) if naming else use.tool.answer
    return expand(dice.choice(answers), use.known(dice), dice)


def _is_clock(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d\d:\d\d", value) is not None


def _named(use: Use, naming: str, dice: Dice) -> str:
    """Return what a result is about: issue 4398 by its number, or the argument `naming` it."""
    subject = use.tool.subject.removeprefix("the ")
    for parameter in use.tool.parameters:
        name, what = parameter.name, role(parameter)
        is_code = what == "code"
        noun = " ".join(words_of(name)[:-1]) if is_code else what
        is_it = naming == name and is_code if naming else noun == subject
        if name in use.arguments and noun and is_it:
            return f"{'' if is_code else 'the '}{noun} {spoken(use.arguments[name])}"
    if naming not in use.arguments:
        return use.tool.subject
    return use.tool.parameter(naming).kind.say(use.arguments[naming], dice)
