"""The words that tell one argument in a request to a user's own tool: " on {date}"."""

from collections.abc import Callable, Mapping

from synthesis.declaration import Parameter
from synthesis.dice import Dice
from synthesis.grammar import slot_of
from synthesis.names import words_of
from synthesis.pools import listed
from synthesis.roles import PEOPLE, TIMES, is_plural, role, with_article
from synthesis.wording import CHANGING, harmless

_TOWARDS = frozenset(listed("to target recipient receiver assignee destination"))
_AWAY = frozenset(listed("from source sender author origin departure"))
_BEGIN, _END = frozenset(listed("since from start begin")), frozenset(listed("until to end"))
_FLAG_VERBS = CHANGING | frozenset(
    listed("allow archive compress confirm force ignore include keep notify overwrite show warn")
)
_ADJECTIVE = ("al", "ive", "ed", "ble", "ous", "ic", "less", "ful", "ent", "ary", "ct", "nt")


def cue(parameter: Parameter) -> str:
    """Return the part of a request that tells one argument, a template with a space before."""
    words = words_of(parameter.name)
    return _BY_ROLE[role(parameter)](words, _slot(parameter), harmless(parameter.kind.noun))


def _slot(parameter: Parameter) -> str:
    """Return the place of the value, in quotes where it is a text or a name of a file."""
    slot = slot_of(parameter.name)
    return f"'{slot}'" if is_quoted(parameter) else slot


def is_quoted(parameter: Parameter) -> bool:
    """Return whether the values are texts or names of files, which stand in quotes."""
    if role(parameter) in ("text", "title", "query", "file", "folder"):
        return True
    if role(parameter) not in ("other", "choice"):
        return False
    dice = Dice("example", parameter.name)
    values = [parameter.kind.draw(dice) for _ in range(8)]
    return any(isinstance(value, str) and value.count(" ") > 1 for value in values)


def _date(words: list[str], slot: str, noun: str) -> str:
    if _BEGIN.intersection(words):
        return f" (from|starting) {slot}"
    if "deadline" in words or "due" in words:
        return f" by {slot}"
    return f" until {slot}" if _END.intersection(words) else f" on {slot}"


def _time(words: list[str], slot: str, noun: str) -> str:
    return f" until {slot}" if _END.intersection(words) else f" at {slot}"


def _towards(words: list[str], slot: str, noun: str, other: str) -> str:
    if _TOWARDS.intersection(words):
        return f" to {slot}"
    return f" from {slot}" if _AWAY.intersection(words) else other


def _number_of(words: list[str], slot: str, noun: str) -> str:
    return f" for {slot}" if words[-1] in TIMES | PEOPLE else f" with {slot}"


def _bound(words: list[str], slot: str, noun: str) -> str:
    most = words[0].startswith("max")
    rest = " ".join(words[1:])
    if not rest or is_plural(words[-1]):
        return f" with at {'most' if most else 'least'} {slot} {rest}".rstrip()
    return f" with a {'maximum' if most else 'minimum'} {harmless(rest)} of {slot}"


def _flag(words: list[str], slot: str, noun: str) -> str:
    name, said = slot[1:-1], " ".join(words)
    if words[0] in ("is", "can", "has", "should", "must", "will") and len(words) > 1:
        rest = " ".join(words[1:])
        yes, no = {
            "is": (f"it is {rest}", f"it is not {rest}"),
            "has": (f"it has {rest}", f"it has no {rest}"),
            "can": (f"with the right to {rest}", f"without the right to {rest}"),
        }.get(words[0], (f"it {said}", f"it {words[0]} not {rest}"))
    elif words[0] in _FLAG_VERBS and len(words) > 1:
        yes, no = f"and {said}", f"but (do not|don't) {said}"
    elif words[-1].endswith(_ADJECTIVE) or words[-1] == "express":
        yes, no = f"(make it|it should be) {said}", f"(not|but not) {said}"
    else:
        yes, no = f"with {said}", f"without {said}"
    return f"[?{name} , {yes}][-{name} , {no}]"


def _code(words: list[str], slot: str, noun: str) -> str:
    what = " ".join(words[:-1])
    return f"( with the {noun}|, {what}) {slot}" if what else f" with the {noun} {slot}"


def _choice(words: list[str], slot: str, noun: str) -> str:
    if words[-1] in ("reason", "cause"):
        return f", (reason:|the reason is) {slot}"
    return f" (with the {noun} {slot}|with {slot} as the {noun})"


def _plain(words: list[str], slot: str, noun: str) -> str:
    return f" with the {noun} {slot}"


_BY_ROLE: Mapping[str, Callable[[list[str], str, str], str]] = {
    "date": _date,
    "moment": lambda words, slot, noun: f" at {slot}",
    "time": _time,
    "email": lambda words, slot, noun: _towards(words, slot, noun, f" (with|using) {slot}"),
    "person": lambda words, slot, noun: _towards(words, slot, noun, f" for {slot}"),
    "place": lambda words, slot, noun: _towards(words, slot, noun, f" in {slot}"),
    "address": lambda words, slot, noun: _towards(words, slot, noun, f" at {slot}"),
    "url": lambda words, slot, noun: f" (at|from) {slot}",
    "text": lambda words, slot, noun: f" (saying|that says|with the {noun}) {slot}",
    "title": lambda words, slot, noun: f" (called|named|with the {noun}) {slot}",
    "query": lambda words, slot, noun: f" for {slot}",
    "file": lambda words, slot, noun: f" for the file {slot}",
    "folder": lambda words, slot, noun: f" in the folder {slot}",
    "manner": lambda words, slot, noun: _towards(words, slot, noun, f" in {slot}"),
    "measure": lambda words, slot, noun: f" with {slot} {noun}",
    "code": _code,
    "bound": _bound,
    "length": lambda words, slot, noun: f" for {slot}",
    "count": _number_of,
    "measured": lambda words, slot, noun: f" with {with_article(noun)} of {slot}",
    "amount": lambda words, slot, noun: f" with {with_article(noun)} of {slot}",
    "year": lambda words, slot, noun: f" in {slot}",
    "flag": _flag,
    "choice": _choice,
    "array": _plain,
    "object": _plain,
    "other": _plain,
}
