"""A small fixed world: facts that follow from names alone, without a clock or a network."""

from collections.abc import Container, Mapping, Sequence
from typing import Any, TypeVar
from zlib import crc32

from synthesis import pools

Item = TypeVar("Item")


def fact(least: int, most: int, *about: Any) -> int:
    """Return a whole number from `least` to `most` that follows from what it is about."""
    # The low bits of a CRC are close for close texts: multiplying spreads them.
    mixed = crc32("|".join(map(str, about)).encode()) * 2654435761 % 2**32
    return least + (mixed >> 8) % (most - least + 1)


def pick(choices: Sequence[Item], *about: Any) -> Item:
    """Return the choice that follows from what it is about."""
    return choices[fact(0, len(choices) - 1, *about)]


def code(prefix: str, *about: Any) -> str:
    """Return an identifier such as R-48213 that follows from what it is about."""
    return f"{prefix}-{fact(10000, 99999, prefix, *about)}"


def check_known(
    what: str, name: str, known: Container[str], other_names: Mapping[str, str]
) -> None:
    """Raise ValueError unless `name` is known; `other_names` lead to the one to use."""
    if name not in known:
        right = other_names.get(name)
        hint = f"; did you mean {right!r}?" if right else ""
        raise ValueError(f"unknown {what} {name!r}{hint}")


def exists(what: str, name: str, of_ten: int = 8) -> bool:
    """Return whether a thing of that name exists; `of_ten` out of ten names do."""
    return fact(1, 10, "exists", what, name) <= of_ten


def known_city(name: str) -> str:
    """Return the name of a city; ValueError for one that is not on the map."""
    check_known("city", name, pools.KNOWN_CITIES, pools.CITY_NICKNAMES)
    return name
