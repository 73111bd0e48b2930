"""Differences between models on the same items: their intervals and p-values.

The interval comes from resampling whole conversations, each with the answers of all models (the
paired bootstrap), because turns of one conversation are not independent. The p-value is how often
a difference at least as large appears when the answers of the two models are exchanged at random,
conversation by conversation (the paired randomisation test): with few conversations the bootstrap
interval is too narrow. Shapes: C conversations, N numbers of a row of counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evaluation.figures import count
from evaluation.intervals import Array, by_conversation, portions, resampled, share
from evaluation.scoring.calls import Verdict

DRAWS = 10_000
# A difference with a smaller p is called significant.
SIGNIFICANCE_LEVEL = 0.05
# Of n that differ, p is at least 0.5 ** (n - 1): with fewer than these no p is below the level.
LEAST_DIFFERING = 6
# Sums of the same numbers in another order may differ by this much.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """By how much `one` scores above `other`, with the 95% interval and the p-value.

    differing: In how many conversations the two have other counts.
    """

    one: str
    other: str
    value: float
    low: float
    high: float
    p: float
    differing: int


def differences(
    metric: str, verdicts: Mapping[str, Sequence[Verdict]], conversations: Sequence[str] = ()
) -> list[Difference]:
    """Compare every two models by a figure; their verdicts are on the same items in one order.

    `conversations` names that of each item; without it each item is its own conversation. Models
    for which the figure has no counts are left out. The seed is fixed.
    """
    return count_differences(
        {
            name: by_conversation([count(metric, verdict) for verdict in answered], conversations)
            for name, answered in verdicts.items()
            if answered
        }
    )


def count_differences(counts: Mapping[str, Array]) -> list[Difference]:
    """Compare every two models by the shares of their counts [C, N], of the same conversations."""
    names = [name for name, count in counts.items() if count.sum(0)[1::2].all()]
    pairs = list(combinations(names, 2))
    if not pairs:
        return []
    sums = resampled(np.concatenate([counts[name] for name in names], axis=1), DRAWS)
    shares = share(sums.reshape(len(sums), len(names), -1))
    found = []
    for one, other in pairs:
        drawn = shares[:, names.index(one)] - shares[:, names.index(other)]
        low, high = np.nanquantile(drawn, (0.025, 0.975))
        value = share(counts[one].sum(0)) - share(counts[other].sum(0))
        p = _p_value(counts[one], counts[other], abs(value))
        differing = int((counts[one] != counts[other]).any(1).sum())
        found.append(Difference(one, other, float(value), float(low), float(high), p, differing))
    return found


def _p_value(one: Array, other: Array, observed: Array) -> float:
    """Return the share of random exchanges that differ at least as much as `observed`.

    `one` and `other` are [C, N]. The observed assignment counts as one of the exchanges.
    """
    differ = (one != other).any(1)
    gain = other[differ] - one[differ]
    draw = np.random.default_rng(0)
    reached = 0
    for size in portions(DRAWS, max(1, len(gain))):
        moved = draw.integers(2, size=(size, len(gain))).astype(np.float64) @ gain
        drawn = np.abs(share(one.sum(0) + moved) - share(other.sum(0) - moved))
        reached += int((drawn >= observed - _ROUNDING).sum())
    return (reached + 1) / (DRAWS + 1)


def format_p_value(p: float) -> str:
    """Return p with the digits that 10,000 draws give it."""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"
