"""Which split a conversation belongs to: by its content, its prompt, or its tools.

A conversation has a place in [0, 1); those below the share of validation validate. By content the
place is a hash, so that copies fall into one split wherever they stand. By prompts, conversations
that are the same up to the first reply share their place. By tools, those share it whose tools have
a name or a definition in common, directly or through others.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from itertools import takewhile
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from chat.conversation import Conversation, Tool
from data.conversations import content_sha256, fraction

SplitBy = Literal["conversation", "prompt", "tools"]
SPLITS_BY: tuple[str, ...] = get_args(SplitBy)


def place_by_content(conversation: Conversation) -> float:
    """Return a place that follows from what is said and declared alone."""
    return fraction(content_sha256(conversation))


def place_by_prompt(conversation: Conversation) -> float:
    """Return a place that follows from tools and messages before the assistant's first."""
    opening = takewhile(lambda message: message.role != "assistant", conversation.messages)
    return place_by_content(Conversation(tuple(opening), conversation.tools))


def place_by_tools(conversation: Conversation, places: Mapping[int, float]) -> float:
    """Return the place of a conversation's tools; without tools, that of its content."""
    if not conversation.tools:
        return place_by_content(conversation)
    return places[next(_keys(conversation.tools[0]))]


class ToolGroups:
    """Tools that must stay together, gathered from all conversations before any is placed.

    Keeps about 200 bytes for each different tool, and nothing of the conversations.
    """

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.parents: list[int] = []
        self.rows: Counter[int] = Counter()

    def add(self, tools: Sequence[Tool]) -> None:
        """Keep the tools of one conversation together from now on."""
        numbers = [self._number(key) for tool in tools for key in _keys(tool)]
        for number in numbers:
            self.parents[self._root(number)] = self._root(numbers[0])
        if numbers:
            self.rows[numbers[0]] += 1

    def places(self, val_ratio: float) -> dict[int, float]:
        """Return the place of each tool, such that about `val_ratio` of the conversations validate.

        ValueError when the tools hang together so that one of the splits would be empty.
        """
        sizes: Counter[int] = Counter()
        for number, count in self.rows.items():
            sizes[self._root(number)] += count
        names: dict[int, int] = {}
        for key, number in self.numbers.items():
            root = self._root(number)
            names[root] = min(key, names.get(root, key))
        validating = set(_chosen(sizes, names, val_ratio))
        if self.rows and not 0 < len(validating) < len(sizes):
            raise ValueError(
                f"all {sum(sizes.values())} conversations with tools share them, directly or "
                "through others, so no split can keep tools apart; use --split-by conversation"
            )
        return {
            key: _place(names[self._root(number)], self._root(number) in validating, val_ratio)
            for key, number in self.numbers.items()
        }

    def _number(self, key: int) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.parents)
            self.parents.append(len(self.parents))
        return self.numbers[key]

    def _root(self, number: int) -> int:
        while self.parents[number] != number:
            # Halving the path keeps it short.
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number


def group_tools(conversations: Iterable[Conversation]) -> ToolGroups:
    """Gather the tools of conversations into groups."""
    groups = ToolGroups()
    for conversation in conversations:
        groups.add(conversation.tools)
    return groups


def save_places(path: Path, places: Mapping[int, float]) -> None:
    """Write places so that every process can read them."""
    with path.open("wb") as file:
        np.save(file, np.fromiter(places, np.uint64, len(places)), allow_pickle=False)
        np.save(file, np.fromiter(places.values(), np.float64, len(places)), allow_pickle=False)


@cache
def load_places(path: Path) -> dict[int, float]:
    """Read what save_places wrote, once in each process."""
    with path.open("rb") as file:
        keys, places = (np.load(file, allow_pickle=False).tolist() for _ in range(2))
    return dict(zip(keys, places, strict=True))


def _keys(tool: Tool) -> Iterator[int]:
    """Yield what makes two tools one: their name, and their definition where they have one."""
    yield _digest("name", tool.name)
    if tool.description or tool.parameters.get("properties"):
        yield _digest("definition", [tool.description, tool.parameters])


def _digest(kind: str, value: object) -> int:
    text = json.dumps([kind, value], sort_keys=True)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _chosen(sizes: Mapping[int, int], names: Mapping[int, int], val_ratio: float) -> Iterator[int]:
    """Yield groups for validation, in the order of a hash, as long as they fit into its share."""
    room = val_ratio * sum(sizes.values())
    order = sorted(sizes, key=lambda root: fraction(f"split {names[root]}"))
    fits = False
    for root in order:
        if sizes[root] <= room:
            room -= sizes[root]
            fits = True
            yield root
    if not fits and sizes:
        # No group fits into the share of validation: take the smallest.
        yield min(order, key=lambda root: sizes[root])


def _place(name: int, validates: bool, val_ratio: float) -> float:
    within = fraction(f"place {name}")
    return within * val_ratio if validates else val_ratio + within * (1 - val_ratio)


def ratio_between(least: float, greatest: float) -> str:
    """Return a short ratio that puts the least place into validation, the greatest into train."""
    for digits in range(1, 17):
        step = 10**-digits
        ratio = (int(least / step) + 1) * step
        if least < ratio < greatest:
            return f"{ratio:.{digits}f}"
    return repr(greatest)
