"""How many conversations of each behaviour a run makes, exactly; and which comes when."""

import difflib
from collections.abc import Collection, Mapping

from synthesis.behaviours import BEHAVIOURS
from synthesis.dice import Dice
from synthesis.mixtures import Mixture


def read_shares(
    given: Mapping[str, object], mixture: Mixture, possible: Collection[str] = tuple(BEHAVIOURS)
) -> dict[str, float]:
    """Return every behaviour's share of one: those `given`, the `possible` others as mixed.

    ValueError names an unknown behaviour, a share outside 0 to 1, or a sum that cannot be.
    """
    for name, share in given.items():
        if name not in BEHAVIOURS:
            close = difflib.get_close_matches(name, BEHAVIOURS, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ValueError(f"no behaviour {name!r}; {hint}there are {', '.join(BEHAVIOURS)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"--quota.{name} is {share!r}, wanted a share from 0 to 1")
    fixed = {name: float(share) for name, share in given.items() if isinstance(share, int | float)}
    mixed = {
        name: mixture.shares.get(name, 0.0) if name in possible else 0.0 for name in BEHAVIOURS
    }
    others = {name: share for name, share in mixed.items() if name not in fixed}
    left = 1 - sum(fixed.values())
    if left < -1e-9 or (left > 1e-9 and not sum(others.values())):
        wanted = "at most 1" if sum(others.values()) else "1"
        raise ValueError(f"the quotas sum to {sum(fixed.values()):g}, wanted {wanted}")
    scale = max(left, 0.0) / sum(others.values()) if sum(others.values()) else 0.0
    return {name: fixed[name] if name in fixed else others[name] * scale for name in BEHAVIOURS}


def apportion(shares: Mapping[str, float], count: int) -> dict[str, int]:
    """Return whole numbers that sum to `count`, each less than one away from its share.

    Largest remainders first; of equal ones, the behaviour that comes first.
    """
    exact = {name: round(share * count, 6) for name, share in shares.items()}
    numbers = {name: int(value) for name, value in exact.items()}
    rest = count - sum(numbers.values())
    by_remainder = sorted(exact, key=lambda name: numbers[name] - exact[name])
    for name in by_remainder[:rest]:
        numbers[name] += 1
    return numbers


def schedule(numbers: Mapping[str, int], seed: int) -> bytes:
    """Return the behaviours in random order, each as its place in BEHAVIOURS."""
    names = list(BEHAVIOURS)
    places = bytearray()
    for name, number in numbers.items():
        places += bytes([names.index(name)]) * number
    dice = Dice("schedule", seed)
    for place in range(len(places) - 1, 0, -1):
        other = dice.below(place + 1)
        places[place], places[other] = places[other], places[place]
    return bytes(places)
