"""Chance that follows from a key alone: the same on every machine and Python version."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Dice:
    """A seeded source of choices.

    Only `Random.random` is used: its sequence alone is promised to stay the same from one
    version of Python to the next.
    """

    def __init__(self, *key: object) -> None:
        self._next = Random("/".join(map(str, key))).random

    def below(self, count: int) -> int:
        """Return a whole number from 0 up to but not including `count`."""
        return int(self._next() * count)

    def between(self, least: int, most: int) -> int:
        """Return a whole number from `least` to `most`, both included."""
        return least + self.below(most - least + 1)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._next() < probability

    def choice(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[int(self._next() * len(items))]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """Return `count` different places of `items` in random order (all, if there are fewer)."""
        rest = list(items)
        for place in range(min(count, len(rest))):
            other = place + self.below(len(rest) - place)
            rest[place], rest[other] = rest[other], rest[place]
        return rest[:count]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Return the items in random order."""
        return self.sample(items, len(items))
