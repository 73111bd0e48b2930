"""A pattern as an automaton whose states know how many characters they are from a text that fits.

The states are those of Thompson's construction, followed as sets, so that a text of any length
takes linear time. A pattern is found anywhere in a text, as JSON Schema has it.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from itertools import accumulate
from typing import Any

from inference.constrain.kept import Kept
from inference.constrain.preparation import spend

# Python's own reader of regular expressions, which has no public name.
_READER: Any = import_module("re._parser")
# A pattern that needs more states, or names more letters beyond ASCII, has no automaton.
MOST_STATES = 10_000
MOST_NAMED = 256
# The length of the text that tells how wide an automaton gets.
_TRIED = 64
# How many states the steps that are kept lead to, of all automata: some 100 MB.
MOST_KEPT = 2_000_000
# What a step that is kept costs beside its states, in states.
STEP_WEIGHT = 8
# So many states are looked at in the time that a token takes to be tried.
_STATES_A_TRY = 4
# How many states the automata that are kept have, some 400 bytes each.
_MOST_AUTOMATA = 300_000
# What a text may be continued by, the first of several that serve equally.
_WRITABLE = "0a A1b-._/@:" + "".join(map(chr, range(0x21, 0x7F))) + "\n\t\r"
_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_NOT_DIGIT": lambda character: not character.isdecimal(),
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_NOT_SPACE": lambda character: not character.isspace(),
    "CATEGORY_WORD": lambda character: character.isalnum() or character == "_",
    "CATEGORY_NOT_WORD": lambda character: not (character.isalnum() or character == "_"),
}
FAR = 1 << 30

States = frozenset[int]


class Characters:
    """A set of characters: ranges of code points and categories, or all others."""

    def __init__(self, members: Iterable[tuple[Any, Any]]) -> None:
        self._others = False
        self._categories: list[Callable[[str], bool]] = []
        ranges: list[tuple[int, int]] = []
        for kind, value in members:
            if str(kind) == "NEGATE":
                self._others = True
            elif str(kind) == "CATEGORY":
                self._categories.append(_CATEGORIES[str(value)])
            else:
                ranges.append((value, value) if str(kind) == "LITERAL" else value)
        self._ranges = sorted(ranges)
        self._lows = [low for low, _ in self._ranges]
        # The highest end so far: ranges may lie within one another.
        self._highs = list(accumulate((high for _, high in self._ranges), max))

    def __contains__(self, character: str) -> bool:
        place = bisect_right(self._lows, ord(character))
        found = place > 0 and ord(character) <= self._highs[place - 1]
        return (found or any(is_in(character) for is_in in self._categories)) != self._others


class Automaton:
    """The states of one pattern; LookupError for syntax that has none.

    start: The states before any text. letters: Characters of which one serves wherever any does.
    """

    def __init__(self, pattern: str) -> None:
        self._moves: list[list[tuple[Characters, int]]] = []
        # Where one gets without a character: anywhere, at the start and at the end of a text.
        self._free: list[list[int]] = []
        self._at_start: list[list[int]] = []
        self._at_end: list[list[int]] = []
        anything = Characters([("NEGATE", None)])
        first = self._new()
        self._moves[first].append((anything, first))
        last = self._sequence(_READER.parse(pattern), first)
        self._moves[last].append((anything, last))
        # What is beyond ASCII can be written where the pattern names it.
        named = [letter for letter in dict.fromkeys(pattern) if letter > "\x7f"]
        if len(named) > MOST_NAMED:
            raise LookupError(f"more than {MOST_NAMED} letters beyond ASCII")
        self.letters = self._letters(_WRITABLE + "".join(named))
        self._far = self._distances(last)
        self.start = self._closed({first}, self._at_start)

    def distance(self, states: States) -> int:
        """Return how many characters are missing at least; `FAR` or more where none help."""
        return min((self._far[state] for state in states), default=FAR)

    def width(self, enough: int) -> int:
        """Return how many states are open at once in a text that keeps many open.

        Beyond `enough` it is not followed any further.
        """
        states, widest = self.start, len(self.start)
        for _ in range(_TRIED):
            if widest > enough:
                break
            states = max((self.step(states, letter) for letter in self.letters), key=len)
            widest = max(widest, len(states))
        return widest

    def step(self, states: States, character: str) -> States:
        """Return the states after one more character."""
        return _STEPS.find(
            (self, states, character),
            lambda: self._after(states, character),
            lambda after: STEP_WEIGHT + len(after),
        )

    def _after(self, states: States, character: str) -> States:
        spend(1 + len(states) // _STATES_A_TRY)
        moves = (move for state in states for move in self._moves[state])
        return self._closed({after for among, after in moves if character in among})

    def __len__(self) -> int:
        return len(self._moves)

    def _new(self) -> int:
        if len(self._moves) == MOST_STATES:
            raise LookupError(f"more than {MOST_STATES:,} states")
        for part in (self._moves, self._free, self._at_start, self._at_end):
            part.append([])
        return len(self._moves) - 1

    def _sequence(self, items: Iterable[tuple[Any, Any]], at: int) -> int:
        """Add the states of a sequence that begins at a state; return that of its end."""
        for kind, value in items:
            at = self._item(str(kind), value, at)
        return at

    def _item(self, kind: str, value: Any, at: int) -> int:
        if kind in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            after = self._new()
            self._moves[at].append((_characters(kind, value), after))
            return after
        if kind == "SUBPATTERN":
            return self._sequence(value[-1], at)
        if kind == "BRANCH":
            return self._joined([self._sequence(branch, self._behind(at)) for branch in value[1]])
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, items = value
            return self._repeated(least, most, items, at)
        edges = {"BEGINNING": self._at_start, "END": self._at_end}
        name = str(value).removeprefix("AT_").removesuffix("_STRING")
        if kind != "AT" or name not in edges:
            raise LookupError(f"{kind} {value}")
        after = self._new()
        edges[name][at].append(after)
        return after

    def _repeated(self, least: int, most: int, items: Any, at: int) -> int:
        for _ in range(least):
            before, at = at, self._sequence(items, at)
            if at == before:  # Nothing is repeated, perhaps a billion times.
                return at
        if most == _READER.MAXREPEAT:
            loop = self._behind(at)
            self._free[self._sequence(items, loop)].append(loop)
            return self._behind(loop)
        ends = [at]
        for _ in range(most - least):
            ends.append(self._sequence(items, ends[-1]))
            if ends[-1] == ends[-2]:
                break
        return self._joined(ends)

    def _behind(self, at: int) -> int:
        return self._joined([at])

    def _joined(self, ends: list[int]) -> int:
        after = self._new()
        for end in ends:
            self._free[end].append(after)
        return after

    def _closed(self, states: Collection[int], more: list[list[int]] | None = None) -> States:
        """Return these states with those that are reached without a character."""
        found, waiting = set(states), [*states]
        while waiting:
            state = waiting.pop()
            for after in (*self._free[state], *(more[state] if more else ())):
                if after not in found:
                    found.add(after)
                    waiting.append(after)
        return frozenset(found)

    def _letters(self, writable: str) -> str:
        """Return one writable character for each way of lying in the pattern's sets."""
        sets = {among for moves in self._moves for among, _ in moves}
        found: dict[tuple[bool, ...], str] = {}
        for character in writable:
            found.setdefault(tuple(character in among for among in sets), character)
        return "".join(found.values())

    def _distances(self, last: int) -> list[int]:
        """Return for each state how many characters lead to the end of a text that fits."""
        before: list[list[tuple[int, int]]] = [[] for _ in self._moves]
        for state, moves in enumerate(self._moves):
            for after in self._free[state]:
                before[after].append((state, 0))
            for among, after in moves:
                if any(letter in among for letter in self.letters):
                    before[after].append((state, 1))
        ends = self._reaching(last)
        far = [0 if state in ends else FAR for state in range(len(self._moves))]
        waiting = deque(sorted(ends))
        while waiting:
            state = waiting.popleft()
            for earlier, cost in before[state]:
                if far[state] + cost < far[earlier]:
                    far[earlier] = far[state] + cost
                    (waiting.append if cost else waiting.appendleft)(earlier)
        return far

    def _reaching(self, last: int) -> set[int]:
        """Return the states from which a text may end now."""
        before: list[list[int]] = [[] for _ in self._moves]
        for edges in (self._free, self._at_end):
            for state, after in enumerate(edges):
                for reached in after:
                    before[reached].append(state)
        found, waiting = {last}, [last]
        while waiting:
            for earlier in before[waiting.pop()]:
                if earlier not in found:
                    found.add(earlier)
                    waiting.append(earlier)
        return found


def _characters(kind: str, value: Any) -> Characters:
    if kind == "ANY":
        return Characters([("NEGATE", None), ("LITERAL", 0x0A)])
    if kind == "IN":
        return Characters(value)
    return Characters([("NEGATE", None)] * (kind == "NOT_LITERAL") + [("LITERAL", value)])


_STEPS = Kept[States](MOST_KEPT)
_AUTOMATA = Kept[Automaton | None](_MOST_AUTOMATA)


def automaton_of(pattern: str) -> Automaton | None:
    """Return the automaton of a pattern, None where its syntax or its size allows none."""

    def made() -> Automaton | None:
        try:
            return Automaton(pattern)
        except (LookupError, ValueError, RecursionError, OverflowError, _READER.error):
            return None

    return _AUTOMATA.find(pattern, made, lambda made: len(pattern) + (len(made) if made else 0))
