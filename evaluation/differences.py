"""Whether one model is better than another on the same items, or only luckier.

The interval of a difference comes from resampling the items, each with the answers of all models
(the paired bootstrap). Its p is how often a difference at least as large appears when, item by
item, a coin decides which model gave which answer (the paired randomisation test): with few items
the bootstrap alone would be too sure of itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evaluation.summary import count
from evaluation.tool_calls import Verdict

DRAWS = 10_000
# How many numbers are drawn at once: 32 MB.
_AT_ONCE = 4_000_000
# Sums of the same numbers in another order may differ by this much.
_ROUNDING = 1e-12

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """By how much `one` scores above `other`, where this lies 95 times in 100, and p."""

    one: str
    other: str
    value: float
    low: float
    high: float
    p: float


def differences(metric: str, verdicts: Mapping[str, Sequence[Verdict]]) -> list[Difference]:
    """Compare every two models by a figure; their verdicts are on the same items in one order.

    Those for whom the figure does not arise are left out. A fixed seed: the same each time.
    """
    counts = {name: _counts(metric, each) for name, each in verdicts.items()}
    names = [name for name, each in counts.items() if each[:, 1].any()]
    pairs = list(combinations(names, 2))
    if not pairs:
        return []
    shares = _resampled([counts[name] for name in names])
    found = []
    for one, other in pairs:
        drawn = shares[:, names.index(one)] - shares[:, names.index(other)]
        low, high = np.nanquantile(drawn, (0.025, 0.975))
        value = _share(counts[one].sum(0)) - _share(counts[other].sum(0))
        p = _chance(counts[one], counts[other], abs(value))
        found.append(Difference(one, other, float(value), float(low), float(high), p))
    return found


def _counts(metric: str, verdicts: Sequence[Verdict]) -> Array:
    """Return hits and counts [items, 2]."""
    return np.asarray([count(metric, verdict) for verdict in verdicts], dtype=np.float64)


def _share(sums: Array) -> Array:
    """Divide the hits of [..., 2] by the counts; NaN where nothing counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Array = sums[..., 0] / sums[..., 1]
    return share


def _resampled(counts: Sequence[Array]) -> Array:
    """Return the shares [draws, models] of resampled items, the same items for all models."""
    items = len(counts[0])
    every = np.stack(counts, axis=1).reshape(items, -1)
    draw = np.random.default_rng(0)
    sums = []
    for size in _portions(items):
        chosen = draw.integers(items, size=(size, items)) + np.arange(size)[:, None] * items
        times = np.bincount(chosen.ravel(), minlength=size * items).reshape(size, items)
        sums.append((times.astype(np.float64) @ every).reshape(size, len(counts), 2))
    return _share(np.concatenate(sums))


def _chance(one: Array, other: Array, observed: Array) -> float:
    """Return how often exchanged answers differ at least as much; the real ones count as once."""
    differ = (one != other).any(1)
    gain = other[differ] - one[differ]
    draw = np.random.default_rng(0)
    reached = 0
    for size in _portions(max(1, len(gain))):
        moved = draw.integers(2, size=(size, len(gain))).astype(np.float64) @ gain
        drawn = np.abs(_share(one.sum(0) + moved) - _share(other.sum(0) - moved))
        reached += int((drawn >= observed - _ROUNDING).sum())
    return (reached + 1) / (DRAWS + 1)


def _portions(items: int) -> Iterator[int]:
    """Yield how many draws to make at a time."""
    left = DRAWS
    while left:
        size = min(left, max(1, _AT_ONCE // items))
        yield size
        left -= size
