"""How the text or the number that a reply is writing can be made to fit soon.

The grammar says which byte may come next, and not which leads to an end: all bytes may follow in a
text in which `[0-9]{3}` has yet to be found. What the schemas say of texts and numbers leads there.
Every proposal is tried on the grammar before it counts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from inference.constrain.automaton import (
    FAR,
    MOST_KEPT,
    STEP_WEIGHT,
    Automaton,
    States,
    automaton_of,
)
from inference.constrain.kept import Kept
from inference.constrain.schemas import subschemas

# A search is given up after this many steps; where it ended is kept.
MOST_SEARCHED = 5000
# So many states the texts may have that a search remembers.
_MOST_REMEMBERED = 500_000
# Of more rules than these the first are followed, of all tools as far as their automata have no
# more states together.
MOST_RULES = 64
MOST_RULE_STATES = 100_000
# How many states the automata have of the rules that are kept.
_MOST_RULES_KEPT = 300_000
# How many digits may be missing to the next multiple.
_MOST_DIGITS = 20
_TIME = r"T(\d+H(\d+M(\d+S)?)?|\d+M(\d+S)?|\d+S)"
_DURATION = rf"^P((\d+D|\d+M(\d+D)?|\d+Y(\d+M(\d+D)?)?)({_TIME})?|{_TIME}|\d+W)$"
_FORMATS = {"duration": _DURATION}
_ESCAPED = {0x6E: 0x0A, 0x72: 0x0D, 0x74: 0x09, 0x62: 0x08, 0x66: 0x0C}


# Where a text under way stands in a rule: the states of each pattern, and its length.
TextState = tuple[tuple[States, ...], int]


class TextRule:
    """The patterns and lengths that one schema asks of a text."""

    def __init__(self, automata: Sequence[Automaton], least: int, most: int | None) -> None:
        self._automata, self._least, self._most = automata, least, most
        letters = dict.fromkeys(letter for automaton in automata for letter in automaton.letters)
        self._letters = "".join(letters)
        self.start: TextState = tuple(automaton.start for automaton in automata), 0

    def step(self, state: TextState, character: str) -> TextState:
        """Return where the text stands after one more character."""
        return _STEPS.find((self, state, character), lambda: self._after(state, character), _weight)

    def _after(self, state: TextState, character: str) -> TextState:
        pairs = zip(self._automata, state[0], strict=True)
        # Of a length that no rule looks at, nothing is kept.
        length = min(state[1] + 1, self._least if self._most is None else self._most + 1)
        return tuple(automaton.step(own, character) for automaton, own in pairs), length

    def shortest(self, state: TextState) -> str | None:
        """Return the characters that make the text fit, None where none were found."""
        if not self._missing(state):
            return ""
        return _ENDINGS.find((self, state), lambda: self._search(state), lambda _: _weight(state))

    def _search(self, state: TextState) -> str | None:
        """Search the texts that may follow, those first that may be the shortest (A*)."""
        waiting, seen, tried = [(self._missing(state), 0, 0, state, "")], {state}, 0
        remembered = 0
        while waiting and tried < MOST_SEARCHED and remembered < _MOST_REMEMBERED:
            missing, _, _, state, text = heappop(waiting)
            if missing >= FAR:
                return None
            if missing == len(text):
                return text
            for letter in self._letters:
                after = self.step(state, letter)
                if after not in seen:
                    seen.add(after)
                    tried += 1
                    remembered += _weight(after)
                    far = len(text) + 1 + self._missing(after)
                    # Of several that may be as short, the longest text is closest to its end.
                    heappush(waiting, (far, -len(text), tried, after, text + letter))
        return None

    def _missing(self, state: TextState) -> int:
        """Return how many characters are missing at least."""
        pairs = zip(self._automata, state[0], strict=True)
        missing = max(automaton.distance(own) for automaton, own in pairs)
        if self._most is not None and state[1] + missing > self._most:
            return FAR
        return max(missing, self._least - state[1])


def _weight(state: TextState) -> int:
    return STEP_WEIGHT + sum(map(len, state[0]))


# Of the rules of all requests; threads share them.
_STEPS = Kept[TextState](MOST_KEPT)
_ENDINGS = Kept[str | None](MOST_KEPT)


class Completions:
    """The rules of all texts and numbers in the schemas of some tools.

    weight: How many states their automata have.
    """

    def __init__(self, schemas: Iterable[Any]) -> None:
        rules: dict[tuple[Any, ...], None] = {}
        multiples: dict[int, None] = {}
        for schema in schemas:
            for inner in subschemas(schema):
                patterns = tuple(dict.fromkeys(_patterns(inner)))
                if patterns:
                    rules[patterns, inner.get("minLength", 0), inner.get("maxLength")] = None
                if (multiple := inner.get("multipleOf")) and float(multiple).is_integer():
                    multiples[abs(int(multiple))] = None
        self.texts = list[TextRule]()
        self.weight = 0
        for (patterns, least, most), _ in zip(rules, range(MOST_RULES), strict=False):
            automata = [found for pattern in patterns if (found := automaton_of(pattern))]
            weight = sum(map(len, automata))
            if automata and self.weight + weight <= MOST_RULE_STATES:
                self.texts.append(TextRule(automata, least, most))
                self.weight += weight
        self._multiples = list(multiples)[:MOST_RULES]

    def numbers(self, written: str) -> Iterator[bytes]:
        """Yield digits that make a whole number under way a multiple of what a schema names."""
        if written.removeprefix("-").isdecimal():
            for multiple in self._multiples:
                value = int(written.removeprefix("-"))
                for missing in range(1, _MOST_DIGITS + 1):
                    value *= 10
                    if -value % multiple < 10**missing:
                        yield b"%0*d" % (missing, -value % multiple)
                        break


class TextUnderWay:
    """The text that a reply is writing, as far as the rules follow it."""

    def __init__(self, rules: Sequence[TextRule]) -> None:
        self._rules = rules
        self._states = [rule.start for rule in rules]
        self._escaped = False
        self._cut = b""

    def copy(self) -> "TextUnderWay":
        """Return an independent text at the same point."""
        other = TextUnderWay(self._rules)
        other._states = [*self._states]
        other._escaped, other._cut = self._escaped, self._cut
        return other

    def feed(self, value: int) -> None:
        """Go on by one byte of the text as JSON writes it, without its quotes."""
        if self._escaped:
            value = _ESCAPED.get(value, value)
        elif value == 0x5C:
            self._escaped = True
            return
        self._escaped = False
        self._cut += bytes([value])
        try:
            character = self._cut.decode()
        except UnicodeDecodeError:
            # The other bytes of the character are still to come.
            return
        self._cut = b""
        pairs = zip(self._rules, self._states, strict=True)
        self._states = [rule.step(state, character) for rule, state in pairs]

    def completions(self) -> Iterator[bytes]:
        """Yield, for each rule, what makes the text fit, as JSON writes it with its end."""
        if self._escaped or self._cut:
            return
        found = (
            rule.shortest(state) for rule, state in zip(self._rules, self._states, strict=True)
        )
        texts = {text for text in found if text is not None}
        for text in sorted(texts, key=lambda text: (len(text), text)):
            yield json.dumps(text, ensure_ascii=False).encode()[1:]


def _patterns(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the patterns that a schema asks of one text."""
    if isinstance(pattern := schema.get("pattern"), str):
        yield pattern
    if (form := schema.get("format")) in _FORMATS:
        yield _FORMATS[form]
    for inner in schema.get("allOf", ()):
        if isinstance(inner, Mapping):
            yield from _patterns(inner)


_COMPLETIONS = Kept[Completions](_MOST_RULES_KEPT)


def completions_of(schemas: tuple[str, ...]) -> Completions:
    """Return the rules of schemas, each given as JSON; kept, because the same come again."""
    return _COMPLETIONS.find(
        schemas,
        lambda: Completions(map(json.loads, schemas)),
        lambda found: found.weight + sum(map(len, schemas)) // 50,
    )
