"""What an assistant says of the result of a user's own tool, entry by entry, in plain words."""

import re
from collections.abc import Mapping
from typing import Any

from synthesis.dice import Dice
from synthesis.grammar import expand, joined
from synthesis.names import words_of
from synthesis.phrasing import describe, empty_lists, scalars, told
from synthesis.pools import listed
from synthesis.roles import CODES, TIMES, UNITS, is_plural, singular

_STATES = frozenset(listed("status state result outcome"))
_DONE = frozenset(listed("done ok success successful completed complete finished"))
_WORKED = frozenset(listed("success ok done succeeded successful"))
_LEFT = frozenset(listed("free left available remaining open"))
_COUNTED = frozenset(listed("found sent removed deleted"))
_TEXTS = frozenset(listed("text message content body summary note"))


def say_result(subject: str, changes: bool, result: Any, dice: Dice, about: str = "") -> str:
    """Return sentences about a result, `about` what where there are several results."""
    entries = [(_full_name(subject, name), value) for name, value in told(result)]
    empty = empty_lists(result)
    if not entries and not empty:
        return about + describe(result, dice)
    state = [(name, value) for name, value in entries if _is_state(name, value)][:1]
    sentences = [
        _say_state(subject, changes, name, value, dice, bool(about)) for name, value in state
    ]
    parts = [_say(name, value, dice) for name, value in entries if (name, value) not in state]
    parts += [f"there are no {' '.join(words_of(name))}" for name in empty]
    # Many entries in one sentence are hard to read.
    groups = [parts[at : at + 3] for at in range(0, len(parts), 3)]
    sentences += [joined(group) for group in groups]
    if not state and subject in about and subject.removeprefix("the ") in sentences[0]:
        about = ""
    return f"{about}{'. '.join(sentences)}."


def _full_name(subject: str, name: str) -> str:
    """Return the name of an entry, with what was found where that is the subject: issues found."""
    things = subject.removeprefix("the ")
    return f"{things}_{name}" if name in _COUNTED and is_plural(things.split()[-1]) else name


def later_questions(result: Any) -> list[tuple[str, str]]:
    """Return questions about entries of a result, and their answers, as templates."""
    return [
        (question, re.sub(r"([{?!])value", rf"\g<1>{name}", statement))
        for name, value in told(result)
        # Other names are no slots of a template.
        if re.fullmatch(r"\w+", name)
        for question, statement in [_words(name, value)]
    ]


def codes_in(result: Any, arguments: Mapping[str, Any]) -> set[Any]:
    """Return the codes that a result gives, of which those that the call gave are none."""
    return {
        value
        for name, value in scalars(result).items()
        if words_of(name)[-1] in CODES and value not in arguments.values()
    }


def _is_state(name: str, value: Any) -> bool:
    return name.lower() in _STATES | _WORKED and isinstance(value, str | bool)


def _say_state(
    subject: str, changes: bool, name: str, value: Any, dice: Dice, is_named: bool
) -> str:
    """Say a state; where it `is_named` what it is about, that is "it"."""
    done = value is True or str(value).lower() in _DONE
    if value is False or (value is True and not changes):
        return "it worked" if value else "it did not work"
    if not changes or (" " in str(value) and not done):
        return _say(name, value, dice)
    verb = "are" if is_plural(words_of(subject)[-1]) else "is"
    short = "they are" if verb == "are" else "it is"
    if is_named:
        return "that is done" if done else f"{short} {value}"
    frames = f"({short}|that is|{subject} {verb}|{subject} {verb} now) {{value}}"
    if done:
        # Hours that were noted are not done themselves.
        it = "" if verb == "are" else "it is done|"
        frames = f"({it}that is done|all done|done, as you asked|everything went well)"
    return expand(frames, {"value": value}, dice)


def _say(name: str, value: Any, dice: Dice) -> str:
    return expand(_words(name, value)[1], {"value": value}, dice)


def _words(name: str, value: Any) -> tuple[str, str]:
    """Return the question for an entry, and the statement of it with {value} in it."""
    words = words_of(name)
    noun = re.sub(r"[^\w ]", "", " ".join(words)) or "result"
    if isinstance(value, bool):
        return _yes_or_no(words, noun)
    if isinstance(value, int | float):
        return _number(words, noun, value)
    if isinstance(value, list):
        if len(value) == 1:
            noun = " ".join([*words[:-1], singular(words[-1])])
        verb = "are" if len(value) > 1 and is_plural(words[-1]) else "is"
        return f"(what {verb}|tell me) the {noun}", f"the {noun} {verb} {{value}}"
    if len(words) > 1 and words[-1] == "at":
        rest = " ".join(words[:-1])
        verb = "was" if words[-2].endswith("ed") else "is"
        return f"when {verb} it {rest}", f"it {verb} {rest} at {{value}}"
    if words[-1] in CODES:
        what = " ".join(words[:-1])
        of = f"|the {words[-1]} of the {what} is {{value}}" if what else ""
        return f"(what is|what's) the {noun}", f"(the {noun} is {{value}}{of})"
    if value.count(" ") > 3:
        says = "it says" if words[-1] in _TEXTS else f"the {noun} is"
        return f"(what does it say|what is the {noun})", f"{says} '{{value}}'"
    verb = "are" if is_plural(words[-1]) else "is"
    return f"(what {verb}|what was) the {noun}", f"the {noun} {verb} {{value}}"


def _yes_or_no(words: list[str], noun: str) -> tuple[str, str]:
    rest = " ".join(words[1:])
    if words[0] == "has" and rest:
        return f"does it have {rest}", f"[?value it has {rest}][!value it has no {rest}]"
    if words[0] == "is" and rest:
        noun = rest
    elif not words[-1].endswith(("ed", "ble", "open", "valid", "ready", "full", "free")):
        return f"what about the {noun}", f"the {noun}: {{value}}"
    return f"is it {noun}", f"[?value it is {noun}][!value it is not {noun}]"


def _number(words: list[str], noun: str, value: float) -> tuple[str, str]:
    last, head = words[-1], " ".join(words[:-1])
    if last in _LEFT or (last in _COUNTED and (not head or is_plural(words[-2]))):
        verb = "is" if last in _LEFT else "was"
        many = {"is": "are", "was": "were"}[verb]
        thing = f" {head}" if head else ""
        one = f" {' '.join([*words[:-2], singular(words[-2])])}" if head else ""
        said = f"{{value}}{one} {verb} {last}" if value == 1 else f"{{value}}{thing} {many} {last}"
        return f"how many{thing} {many} {last}", said
    if last in UNITS and head:
        return f"(what is|what's) the {head}", f"the {head} is {{value}} {UNITS[last]}"
    if last in CODES:
        return f"(what is|what's) the {noun}", f"the {noun} is {{value}}"
    if last in TIMES and head:
        return f"(what is|what's) the {head}", f"the {head} is {{value}} {last}"
    if is_plural(last):
        return f"how many {noun} (is that|are there)", f"the number of {noun} is {{value}}"
    return f"(what is|what's|what was) the {noun}", f"the {noun} is {{value}}"
