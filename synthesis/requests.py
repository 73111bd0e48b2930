"""Requests to a user's own tool: its description and name, with its arguments put in.

    "Give an issue to a colleague." -> "give issue {issue_number} to {assignee}"

What the description leaves open ("an issue", "a colleague") is where a value goes first; the
others follow after it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from synthesis.cues import cue, is_quoted
from synthesis.declaration import Parameter, SyntheticTool
from synthesis.grammar import slot_name, slot_of
from synthesis.names import words_of
from synthesis.pools import listed
from synthesis.roles import is_plural, role, singular, with_article
from synthesis.wording import CHANGING, harmless, imperative

# First words of the names of tools that look something up.
LOOKING = frozenset(
    listed(
        "calculate check compare compute convert count describe download estimate fetch find get "
        "list look lookup measure plan query read recommend retrieve search show suggest summarize "
        "summarise tell track translate validate verify view"
    )
)
_DEVELOPER_WORDS = (
    (r"^(return|output|provide|yield) ", "tell me "),
    (r"^(retrieve|fetch|obtain) ", "get "),
    (r"\bfor (the|a) user\b", "for me"),
    (r"\b(the|a) user's\b", "my"),
    (r"\b(the|a) user\b", "me"),
    (r" (by|given|using|with|from) (its|their|the|an?) ([\w-]+ )?(id|identifier|number|code)$", ""),
    (r" (given|based on) .*$", ""),
)
# Such a sentence speaks of the tool and says nothing that a user would.
_NO_REQUEST = frozenset(
    listed("a allows an api enables endpoint function given helper that the this tool used utility")
)
# A longer description is shortened to the tool's name.
_MOST_LETTERS = 70
# Nouns of a description that a value of a role may take the place of.
_STAND_INS: Mapping[str, tuple[str, ...]] = {
    "person": listed("colleague somebody someone person user customer contact member employee"),
    "email": listed("somebody someone person user customer colleague contact recipient"),
    "place": listed("city town place location"),
    "date": listed("date day"),
    "file": listed("file document"),
    "folder": listed("folder directory"),
    "url": listed("page website url link"),
}
_ARTICLE = r"(?:an?|the|any|some|one) (?:given |specific |specified |certain |particular )?"


@dataclass(frozen=True)
class Request:
    """Words of a request while values are put in; `rest` are the parameters not told yet."""

    words: str
    rest: tuple[Parameter, ...]


def requests(tool: SyntheticTool, found: Iterable[str] = ()) -> tuple[str, ...]:
    """Return templates of requests; what is `found` by an earlier tool is told as that one."""
    found = frozenset(found)
    request = Request(task(tool), ())
    for parameter in tool.parameters:
        request = _placed(request, parameter, parameter.name in found)
    words = _of_one_known(tool, request, found)
    # Yes and no come last: ", but don't notify guests".
    flags = "".join(cue(p) for p in request.rest if role(p) == "flag")
    cues = [
        _linked(p) if p.name in found else f"[{cue(p)}]" for p in request.rest if role(p) != "flag"
    ]
    orders = (cues, cues[::-1])
    return tuple(dict.fromkeys(words + "".join(order) + flags for order in orders))


def _of_one_known(tool: SyntheticTool, request: Request, found: frozenset[str]) -> str:
    """Let what a code follows that tells which one it is be "the": the meeting, event E-91215."""
    for parameter in request.rest:
        what, slot = " ".join(words_of(parameter.name)[:-1]), slot_name(parameter.name)
        is_it = role(parameter) == "code" and subject(tool) == f"the {what}"
        if is_it and parameter.name not in found:
            return re.sub(r"^(\w+) (an?) ", rf"\1 [?{slot} the][!{slot} \2] ", request.words)
    return request.words


def questions(templates: Iterable[str]) -> tuple[str, ...]:
    """Return the requests that can be asked as questions, so: what are the meetings of a day."""
    asked = []
    for template in templates:
        match = re.match(r"(get|show|list|tell me|look up) (the|my) (.+)", template)
        if match and not match[3].startswith("["):
            head = re.split(r" (?:of|in|on|for|from|with|at|to|by)\b|[\[{,]", match[3])[0].split()
            verb = "are" if head and is_plural(head[-1]) else "is"
            asked.append(f"what {verb} {match[2]} {match[3]}")
    return tuple(asked)


def task(tool: SyntheticTool) -> str:
    """Return what a user asks for, without arguments: 'put a meeting into the calendar'."""
    words = words_of(tool.name)
    known = words[0] in CHANGING | LOOKING
    about = harmless(re.split(r"[;:]|\. ", tool.tool.description)[0])
    first = imperative(about).partition(" ")[0]
    usable = about and about.partition(" ")[0].lower() not in _NO_REQUEST
    if not usable or (len(about) > _MOST_LETTERS and known):
        return _of_name(words, known)
    text = imperative(about) if first else about
    for pattern, instead in _DEVELOPER_WORDS:
        text = re.sub(pattern, instead, text, count=1)
    # "an issue that is settled" is then one with a number, of which nothing more is said.
    return re.sub(r"^(\w+ \w+ .*?),? (that|which|whose) .*$", r"\1", text).rstrip(" ,")


def _of_name(words: list[str], known: bool) -> str:
    rest = " ".join(words[1:])
    if not known:
        return " ".join(words) if len(words) == 1 else f"tell me the {' '.join(words)}"
    if not rest or words[0] in ("look", "turn", "switch"):
        return " ".join(words)
    many = is_plural(words[-1])
    return f"{words[0]} {f'the {rest}' if words[0] in LOOKING or many else with_article(rest)}"


def subject(tool: SyntheticTool) -> str:
    """Return what a tool's result is about: 'the issue' of create_issue."""
    words = words_of(tool.name)
    if words[0] in ("turn", "switch") and words[1:2] in (["on"], ["off"]) and len(words) > 2:
        words = [words[0], *words[2:]]
    if words[0] in CHANGING | LOOKING and len(words) > 1:
        return f"the {' '.join(words[1:])}"
    match = re.match(r"\w+ (?:an?|the|my) ((?:new )?\w+)", task(tool))
    return f"the {match[1].removeprefix('new ')}" if match else "that"


def nouns_of(parameter: Parameter) -> tuple[str, ...]:
    """Return what may stand before a value: its name's words, and those that mean such a thing."""
    return (*parameter.kind.noun.split(), *_STAND_INS.get(role(parameter), ()))


def _placed(request: Request, parameter: Parameter, is_found: bool) -> Request:
    """Put a value where the words leave it open, or keep the parameter for a phrase of its own."""
    for pattern, told in _places(parameter, is_found):
        match = re.search(rf"(?<=\w ){pattern}(?![\w'-])(?![^\[]*\])", request.words)
        if match:
            part = told if is_found else f"[{told}][!{slot_name(parameter.name)} {match[0]}]"
            words = request.words[: match.start()] + part + request.words[match.end() :]
            return Request(words, request.rest)
    return Request(request.words, (*request.rest, parameter))


def _places(parameter: Parameter, is_found: bool) -> list[tuple[str, str]]:
    """Return patterns of places for a value, each with what stands there instead."""
    words, what, slot = words_of(parameter.name), role(parameter), slot_of(parameter.name)
    shown = f"'{slot}'" if is_quoted(parameter) else slot
    if what == "code":
        noun = " ".join(words[:-1]) or r"(\w+)"
        told = f"that {noun}" if is_found else f"{noun} {slot}"
        return [(_ARTICLE + re.escape(noun), told)] if words[:-1] else []
    if is_found or what in ("flag", "bound", "measured", "amount"):
        return []
    if what in ("length", "count"):
        return [(rf"(?:{_ARTICLE})?{words[-1]}", slot)] if len(words) == 1 else []
    own = re.escape(" ".join(words))
    if what in ("person", "place", "date", "email"):
        stand_ins = "|".join(dict.fromkeys((own, *_STAND_INS[what])))
        somebody = r"|some(?:body|one)" if what in ("person", "email") else ""
        return [(rf"(?:{_ARTICLE}(?:{stand_ins}){somebody})", shown)]
    if what in _STAND_INS:
        nouns = "|".join(dict.fromkeys((own, *_STAND_INS[what])))
        return [(rf"{_ARTICLE}(?:{noun})", f"the {noun} {shown}") for noun in nouns.split("|")]
    if what in ("text", "title", "other"):
        named = "" if is_quoted(parameter) and what == "other" else f"the {words[-1]} "
        return [(rf"{_ARTICLE}{own}", named + shown), (own, shown)]
    if what == "array":
        return [(rf"(?:{_ARTICLE})?{own}", f"the {' '.join(words)} {slot}")]
    return [(rf"{_ARTICLE}{own}", f"the {' '.join(words)} {shown}")]


def _linked(parameter: Parameter) -> str:
    """Say that an argument is what the tool before gave."""
    words = words_of(parameter.name)
    what = " ".join(words[:-1]) if role(parameter) == "code" and words[:-1] else " ".join(words)
    return f" (for|with|using) that {singular(what) if ' ' not in what else what}"
