"""What a tuned model may lose: which items show each ability, by the records of verdicts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.behaviours import ASK_FIRST
from evaluation.items import Item

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Ability:
    """Which items show it, and whether a reply does; replies are records of verdicts."""

    meaning: str
    counts: Callable[[Item, Record], bool]
    right: Callable[[Record], bool]


def _calls(verdict: Record) -> bool:
    # Where any call is wanted and none is named, there is no exact match.
    return bool(verdict.get("exact_match", verdict["verdict"]))


def _says_something(verdict: Record) -> bool:
    return bool(verdict["verdict"] and not verdict.get("empty"))


def _asks(item: Item) -> bool:
    """Return whether the wanted reply asks the user something instead of calling."""
    source, *rest = item.id.split("-")
    if source == "synthetic" and len(rest) == 2:
        return rest[0] in ASK_FIRST
    wanted = item.expected
    return item.category == "no_call" and isinstance(wanted, str) and wanted.rstrip().endswith("?")


def _is_later_turn(item: Item) -> bool:
    roles = {message.role for message in item.conversation.messages}
    return "assistant" in roles or item.task is not None


ABILITIES: Mapping[str, Ability] = {
    "calls": Ability(
        "the calls wanted, in any order",
        lambda item, v: v["should_call"] and item.task is None,
        _calls,
    ),
    "irrelevance": Ability(
        "text and no call, where none is wanted", lambda _, v: not v["should_call"], _says_something
    ),
    "asking": Ability(
        "text and no call, where the wanted reply asks the user",
        lambda item, v: not v["should_call"] and _asks(item),
        _says_something,
    ),
    "multi-turn": Ability(
        "right as a whole, after an earlier reply",
        lambda item, _: _is_later_turn(item),
        _says_something,
    ),
}
