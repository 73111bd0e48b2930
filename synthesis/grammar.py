"""Phrase templates: text with slots, alternatives and optional parts.

    "(check|look up) the weather in {city}[ on {date}][?detailed  in detail]"

    {slot}          the value of a slot; {events.title} walks into results and joins lists
    (a|b|)          one of the alternatives, by chance; an empty one is allowed
    [ on {date}]    only when every slot inside has a value
    [?slot text]    only when the slot's value is true (one space after the name is dropped)
    [!slot text]    only when it is false or missing
    [-slot text]    only when it is given and false

A value that a user says is wrapped by `marked`, so that a text's skeleton can be compared with
others once `plain` has written the text itself.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from synthesis.dice import Dice
from synthesis.names import in_words

_OPEN, _CLOSE = "\ue000", "\ue001"
_MARKED = re.compile(f"{_OPEN}[^{_OPEN}{_CLOSE}]*{_CLOSE}")
_SENTENCE_START = re.compile(r"(^|(?<=[.!?] ))[a-z]")
_TOKEN = re.compile(r"[()|\[\]]|\{[\w.]+\}|[^()|\[\]{}]+")
_CONDITION = re.compile(r"([?!-])([\w.]+) ?")
# In the name of a slot, other characters stand as their number between two of these letters.
_AS_NUMBER = "\ua78f"
_NUMBER = re.compile(f"{_AS_NUMBER}([0-9]+){_AS_NUMBER}")


@dataclass(frozen=True)
class Slot:
    """A place for a value."""

    path: str


@dataclass(frozen=True)
class Choice:
    """Alternatives, each a sequence of nodes."""

    options: tuple["Nodes", ...]


@dataclass(frozen=True)
class Optional:
    """A part that stands only when `test` holds: "given", or "?", "!" or "-" for `path`."""

    nodes: "Nodes"
    test: str = "given"
    path: str = ""


Node = str | Slot | Choice | Optional
Nodes = tuple[Node, ...]


def slot_of(name: str) -> str:
    """Return the place of a value in a template, such as {city}, whatever characters it has."""
    return f"{{{slot_name(name)}}}"


def slot_name(name: str) -> str:
    """Return a name as it stands in a slot or a condition of a template."""
    return re.sub(r"\W", lambda found: f"{_AS_NUMBER}{ord(found[0])}{_AS_NUMBER}", name)


def _path(name: str) -> str:
    return _NUMBER.sub(lambda found: chr(int(found[1])), name)


def expand(template: str, values: Mapping[str, Any], dice: Dice) -> str:
    """Write a template with these values; KeyError names a slot without one."""
    pieces: list[str] = []
    _write(parse(template), values, dice, pieces)
    return "".join(pieces)


@lru_cache(maxsize=8192)
def parse(template: str) -> Nodes:
    """Read a template; ValueError shows one whose brackets do not match."""
    tokens = _TOKEN.findall(template)
    if "".join(tokens) != template:
        raise ValueError(f"a brace without its partner in the template {template!r}")
    nodes, rest = _parse(tokens, 0, "")
    if rest != len(tokens):
        raise ValueError(f"a bracket without its partner in the template {template!r}")
    return nodes[0] if len(nodes) == 1 else (Choice(tuple(nodes)),)


def _parse(tokens: list[str], at: int, closing: str) -> tuple[list[Nodes], int]:
    """Read alternatives up to `closing`; return them and the place after it."""
    options: list[Nodes] = []
    current: list[Node] = []
    while at < len(tokens) and tokens[at] not in (")", "]"):
        token, at = tokens[at], at + 1
        if token == "(":
            inner, at = _parse(tokens, at, ")")
            current.append(Choice(tuple(inner)))
        elif token == "[":
            inner, at = _parse(tokens, at, "]")
            current.append(_optional(inner[0] if len(inner) == 1 else (Choice(tuple(inner)),)))
        elif token == "|":
            options.append(tuple(current))
            current = []
        else:
            current.append(Slot(_path(token[1:-1])) if token[0] == "{" else token)
    if closing and (at == len(tokens) or tokens[at] != closing):
        raise ValueError(f"a bracket without its partner in the template {''.join(tokens)!r}")
    return [*options, tuple(current)], at + bool(closing)


def _optional(nodes: Nodes) -> Optional:
    found = _CONDITION.match(nodes[0]) if nodes and isinstance(nodes[0], str) else None
    if found is None:
        return Optional(nodes)
    return Optional((found.string[found.end() :], *nodes[1:]), found[1], _path(found[2]))


def _write(nodes: Nodes, values: Mapping[str, Any], dice: Dice, pieces: list[str]) -> None:
    for node in nodes:
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, Slot):
            value = look_up(values, node.path)
            if _is_missing(value):
                raise KeyError(node.path)
            pieces.append(spoken(value))
        elif isinstance(node, Choice):
            _write(dice.choice(node.options), values, dice, pieces)
        elif _stands(node, values):
            _write(node.nodes, values, dice, pieces)


def _stands(node: Optional, values: Mapping[str, Any]) -> bool:
    if node.test == "-":
        return look_up(values, node.path) is False
    if node.test != "given":
        return bool(look_up(values, node.path)) == (node.test == "?")
    return all(not _is_missing(look_up(values, path)) for path in _direct_slots(node.nodes))


def _direct_slots(nodes: Nodes) -> Iterable[str]:
    """Yield the slots of an optional part, without those of optional parts inside it."""
    for node in nodes:
        if isinstance(node, Slot):
            yield node.path
        elif isinstance(node, Choice):
            for option in node.options:
                yield from _direct_slots(option)


def shown(template: str, given: frozenset[str]) -> frozenset[str] | None:
    """Return which of the `given` slots a template is sure to tell; None when it wants another."""
    return _shown(parse(template), given)


@lru_cache(maxsize=8192)
def telling(templates: tuple[str, ...], path: str) -> tuple[str, ...]:
    """Return the templates that always name the slot `path`; all of them where none does."""
    found = tuple(template for template in templates if _names(parse(template), path))
    return found or templates


def _names(nodes: Nodes, path: str) -> bool:
    return any(
        (isinstance(node, Slot) and node.path == path)
        or (isinstance(node, Choice) and all(_names(option, path) for option in node.options))
        for node in nodes
    )


def _shown(nodes: Nodes, given: frozenset[str]) -> frozenset[str] | None:
    told: set[str] = set()
    for node in nodes:
        inner: frozenset[str] | None = frozenset()
        if isinstance(node, Slot):
            inner = frozenset({node.path}) if node.path in given else None
        elif isinstance(node, Choice):
            shown_sets = [_shown(option, given) for option in node.options]
            known = [slots for slots in shown_sets if slots is not None]
            inner = frozenset.intersection(*known) if len(known) == len(shown_sets) else None
        elif isinstance(node, Optional):
            inner = _shown_optional(node, given)
        if inner is None:
            return None
        told |= inner
    return frozenset(told)


def _shown_optional(node: Optional, given: frozenset[str]) -> frozenset[str] | None:
    if node.test == "given":
        stands = given.issuperset(_direct_slots(node.nodes))
        return _shown(node.nodes, given) if stands else frozenset()
    inner = _shown(node.nodes, given)
    return None if inner is None else inner | ({node.path} & given)


@lru_cache(maxsize=8192)
def denies(templates: tuple[str, ...], path: str) -> bool:
    """Return whether a template has words for a slot that is false."""
    return any(_denies(parse(template), path) for template in templates)


def _denies(nodes: Nodes, path: str) -> bool:
    return any(
        (isinstance(node, Choice) and any(_denies(option, path) for option in node.options))
        or (
            isinstance(node, Optional)
            and ((node.test in "!-" and node.path == path) or _denies(node.nodes, path))
        )
        for node in nodes
    )


def look_up(values: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, a list of them where it leads through a list.

    A name that has dots itself is no path.
    """
    if path in values:
        return values[path]
    found: Any = values
    for step in path.split("."):
        if isinstance(found, list):
            found = [item.get(step) for item in found if isinstance(item, dict)]
        else:
            found = found.get(step) if isinstance(found, Mapping) else None
    return found


def spoken(value: Any) -> str:
    """Write a value as it is read in a sentence."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return joined([spoken(item) for item in value])
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{in_words(key)} {spoken(item)}" for key, item in value.items())
    return "none" if value is None else str(value)


def joined(parts: list[str], word: str = "and") -> str:
    """Write parts as a list in a sentence: a, b and c."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def marked(value: Any) -> str:
    """Return a value's text, marked as a slot's."""
    return f"{_OPEN}{spoken(value)}{_CLOSE}"


def in_plural(text: str, plurals: Mapping[str, str]) -> str:
    """Let nouns that stand before a list of values be plural: orders A, B and C."""
    nouns = "|".join(map(re.escape, plurals))
    value = f"'?{_OPEN}[^{_CLOSE}]*{_CLOSE}'?"
    listed = rf"\b({nouns}) (?={value}(?:,| and) '?{_OPEN})"
    return re.sub(listed, lambda found: f"{plurals[found[1]]} ", text)


def plain(text: str) -> str:
    """Return a finished text: sentences begin in capitals, marks are gone."""
    text = _SENTENCE_START.sub(lambda found: found[0].upper(), text)
    return bare(text)


def parted(text: str) -> list[tuple[str, bool]]:
    """Return the pieces of a text, each with whether it is a marked value."""
    pieces, at = [], 0
    for found in _MARKED.finditer(text):
        pieces += [(text[at : found.start()], False), (found[0], True)]
        at = found.end()
    return [*pieces, (text[at:], False)]


def bare(text: str) -> str:
    """Return a text without marks, its letters as they are."""
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def skeleton(text: str) -> str:
    """Return what is left of a text when marked values and digits are masked."""
    return re.sub(r"\d+", "#", _MARKED.sub("_", text)).lower()


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value == []
