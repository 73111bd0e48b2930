"""Values that come again, kept as long as all of them together are not too large."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key; all are forgotten when together they would weigh more than `most`.

    Threads share one: what one of them forgets, another makes again.
    """

    def __init__(self, most: int) -> None:
        self.weight = 0
        self._most = most
        self._values: dict[Hashable, Value] = {}

    def find(
        self, key: Hashable, make: Callable[[], Value], weigh: Callable[[Value], int]
    ) -> Value:
        """Return the value of a key; it is made and kept by its weight where it is not there."""
        try:
            return self._values[key]
        except KeyError:
            value = make()
        weight = weigh(value)
        if self.weight + weight > self._most:
            self._values.clear()
            self.weight = 0
        self._values[key] = value
        self.weight += weight
        return value
