"""Checks that a conversation says nothing that it cannot know.

Values of calls come from the dialogue or from results; names, numbers and dates of replies too.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from chat.conversation import Conversation, Message
from data.conversations import read_conversations
from synthesis import pools
from synthesis.kinds import MONTHS

_MONTH = "|".join(f"{name}|{name[:3]}" for name in MONTHS)
_DATES = (
    re.compile(rf"\b(?P<m>{_MONTH}) (?P<d>\d{{1,2}}), (?P<y>\d{{4}})\b", re.IGNORECASE),
    re.compile(rf"\b(?P<d>\d{{1,2}}) (?P<m>{_MONTH}) (?P<y>\d{{4}})\b", re.IGNORECASE),
)
_ISO_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_TIME = re.compile(r"\b(\d{1,2})(?::(\d\d))? ?([ap]m)\b", re.IGNORECASE)
_CLOCK = re.compile(r"\b\d{1,2}:\d\d\b")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NAMED = frozenset((*pools.FIRST_NAMES, *pools.LAST_NAMES, *pools.CITIES))
_WORD = re.compile(r"[^\W\d_]+")
# What a rating is given out of.
_SCALES = re.compile(r"out of 5\b")


def check_facts(source_file: Path | str) -> None:
    """Raise ValueError at the first conversation of a file that says what it cannot know."""
    for conversation in read_conversations(source_file):
        for problem in problems(conversation):
            raise ValueError(f"{conversation.id}: {problem}")


def problems(conversation: Conversation) -> Iterator[str]:
    """Yield what is said without being known, each as a line; nothing where all is.

    Answers to general questions, which need no tool, are knowledge and not looked at.
    """
    known = _Known()
    for tool in conversation.tools:
        known.note(tool.json_text)
    knows_more = "-no_suitable_tool-" in conversation.id
    for message in conversation.messages:
        if message.role == "assistant":
            for call in message.tool_calls:
                yield from _unfounded(call.name, call.arguments, known)
                known.note(call.arguments_json_text)
            if not knows_more:
                yield from _invented(message, known)
        known.note(message.content)


class _Known:
    """What was said and found so far."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.dates: set[str] = set()
        self.times: set[str] = set()
        # The hours of a day are nobody's secret.
        self.numbers: set[float] = {0.0, 23.0, 24.0}

    def note(self, text: str) -> None:
        lowered, dates, times, numbers = _read(text)
        self.texts.append(lowered)
        self.dates |= dates
        self.times |= times
        self.numbers |= numbers

    def says(self, text: str) -> bool:
        return any(text in said for said in self.texts)


def _unfounded(tool: str, value: Any, known: _Known) -> Iterator[str]:
    """Yield the texts and numbers among arguments that nobody has said."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _unfounded(tool, inner, known)
    elif isinstance(value, list):
        for inner in value:
            yield from _unfounded(tool, inner, known)
    elif isinstance(value, str):
        forms = {value.lower(), value.lower().replace("_", " "), json.dumps(value).lower()[1:-1]}
        is_said = any(map(known.says, forms))
        if not (is_said or value in known.dates or _padded(value) in known.times):
            yield f"{tool} is called with {value!r}, which was not said"
    elif _is_number(value) and abs(float(value)) not in known.numbers:
        yield f"{tool} is called with {value!r}, which was not said"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _invented(message: Message, known: _Known) -> Iterator[str]:
    """Yield the names, dates, times and numbers of a reply that were neither said nor found."""
    text = _SCALES.sub("", message.content)
    for name in sorted(_NAMED.intersection(_WORD.findall(text))):
        if not known.says(name.lower()):
            yield f"the name {name} in {text!r}"
    for what, found, there in (
        ("date", dates_in(text), known.dates),
        ("time", times_in(text), known.times),
        ("number", numbers_in(text), known.numbers),
    ):
        for value in sorted(found - there, key=str):
            yield f"the {what} {value} in {text!r}"


# Tools stand in many conversations.
@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[str, set[str], set[str], set[float]]:
    return text.lower(), dates_in(text), times_in(text), numbers_in(text)


def dates_in(text: str) -> set[str]:
    """Return the dates of a text, however they are written, as ISO dates."""
    found = set(_ISO_DATE.findall(text))
    for pattern in _DATES:
        for match in pattern.finditer(text):
            found.add(f"{match['y']}-{_month(match['m']):02}-{int(match['d']):02}")
    return found


@cache
def _month(name: str) -> int:
    return [month[:3] for month in MONTHS].index(name.capitalize()[:3]) + 1


def times_in(text: str) -> set[str]:
    """Return the times of day of a text as HH:MM on a 24-hour clock."""
    spoken = set()
    for hour, minute, half in _TIME.findall(text):
        after_noon = half.lower() == "pm"
        spoken.add(f"{int(hour) % 12 + 12 * after_noon:02}:{minute or '00'}")
    return spoken | {_padded(time) for time in _CLOCK.findall(_TIME.sub(" ", text))}


def _padded(time: str) -> str:
    return time.rjust(5, "0")


def numbers_in(text: str) -> set[float]:
    """Return the numbers of a text that belong to no date and no time."""
    for pattern in (*_DATES, _ISO_DATE, _TIME, _CLOCK):
        text = pattern.sub(" ", text)
    return {float(number) for number in _NUMBER.findall(text)}
