"""Values that a mistaken call may plausibly hold: those of other calls, or near the right one."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from chat.conversation import Conversation, Tool, ToolCall, to_sorted_json
from evaluation.scoring.calls import same_value
from synthesis.dice import Dice

# How many different values of a parameter are remembered.
MOST = 64
_DIGITS = re.compile(r"\d")
_WORD = re.compile(r"\w[\w'-]{2,}")


class SeenValues:
    """The values that calls gave the parameters of tools, each under its name too."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def note(self, conversations: Iterable[Conversation]) -> None:
        """Remember the values of all calls of these conversations."""
        for conversation in conversations:
            for message in conversation.messages:
                for call in message.tool_calls:
                    self._note(call)

    def _note(self, call: ToolCall) -> None:
        for name, value in call.arguments.items():
            for tool in (call.name, ""):
                known = self._known.setdefault((tool, name), {})
                if len(known) < MOST:
                    known.setdefault(to_sorted_json(value), value)

    def of(self, tool: str, parameter: str) -> list[Any]:
        """Return what calls gave this parameter of this tool, or of others where none did."""
        found = self._known.get((tool, parameter)) or self._known.get(("", parameter)) or {}
        return list(found.values())


def properties_of(tool: Tool) -> Mapping[str, Any]:
    """Return the schemas of a tool's parameters."""
    found = tool.parameters.get("properties")
    return found if isinstance(found, Mapping) else {}


def required_of(tool: Tool) -> list[str]:
    """Return the parameters that a call must have, as far as the schema declares them."""
    found = tool.parameters.get("required")
    declared = properties_of(tool)
    return [name for name in found if name in declared] if isinstance(found, list) else []


def other_value(old: Any, options: Iterable[Any], dice: Dice) -> Any:
    """Return one of the options that is another value of the same type; None where none is."""
    others = [value for value in options if _alike(old, value) and not same_value(old, value)]
    return dice.choice(others) if others else None


def _alike(one: Any, other: Any) -> bool:
    numbers = (int, float)
    if isinstance(one, bool) or isinstance(other, bool):
        return type(one) is type(other)
    return type(one) is type(other) or (isinstance(one, numbers) and isinstance(other, numbers))


def varied(old: Any, schema: Any, dice: Dice) -> Any:
    """Return a value near the right one, as one who misreads would write it; None for no idea."""
    options = schema.get("enum") if isinstance(schema, Mapping) else None
    if isinstance(options, list):
        return other_value(old, options, dice)
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return old + dice.choice((-10, -2, -1, 1, 2, 10))
    if isinstance(old, float):
        return round(old + dice.choice((-1, -0.5, 0.5, 1)), 6)
    if isinstance(old, list) and len(old) > 1:
        left_out = dice.below(len(old))
        return [value for place, value in enumerate(old) if place != left_out]
    return _with_another_digit(old, dice) if isinstance(old, str) else None


def _with_another_digit(text: str, dice: Dice) -> str | None:
    places = [match.start() for match in _DIGITS.finditer(text)]
    if not places:
        return None
    place = dice.choice(places)
    digit = str((int(text[place]) + dice.between(1, 9)) % 10)
    return text[:place] + digit + text[place + 1 :]


def made_up(schema: Any, text: str, dice: Dice) -> Any:
    """Return a value of a schema's type, words of `text` where it wants some; None for no idea."""
    schema = schema if isinstance(schema, Mapping) else {}
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return dice.choice(schema[key])
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else kind if isinstance(kind, list) else []
    if "boolean" in kinds:
        return dice.chance(0.5)
    if "integer" in kinds or "number" in kinds:
        least = schema.get("minimum", 1)
        return int(least) + dice.below(9) if isinstance(least, int | float) else None
    if "array" in kinds:
        member = made_up(schema.get("items"), text, dice)
        return None if member is None else [member]
    words = _WORD.findall(text[-2000:])
    return dice.choice(words) if "string" in kinds and words else None
