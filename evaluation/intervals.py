"""Shares over conversations, and the 95% intervals that resampled conversations give them.

Turns of one conversation are not independent, so whole conversations are drawn. A row of counts
holds hits and of how many, once for a share, once for each side of a figure that balances two.
Shapes: C conversations, D draws, N numbers of a row.
"""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 1000
# Of the normal distribution, this many deviations leave 5% outside.
_Z = 1.959963984540054
# How many numbers are drawn at once: 32 MB.
_AT_ONCE = 4_000_000


def by_conversation(rows: Sequence[Sequence[float]], conversations: Sequence[str] = ()) -> Array:
    """Return the sums [C, N] of the rows of each conversation, in order of their first rows.

    `conversations` names that of each row; without it every row is its own conversation.
    """
    values = np.asarray(rows, dtype=np.float64)
    if not conversations:
        return values
    places = {name: place for place, name in enumerate(dict.fromkeys(conversations))}
    sums = np.zeros((len(places), values.shape[1]))
    chosen = [places[name] for _, name in zip(rows, conversations, strict=True)]
    np.add.at(sums, chosen, values)
    return sums


def resampled(sums: Array, draws: int) -> Array:
    """Return the sums [D, N] over as many conversations, drawn with a fixed seed."""
    count = len(sums)
    draw = np.random.default_rng(0)
    drawn = []
    for size in portions(draws, count):
        chosen = draw.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(chosen.ravel(), minlength=size * count).reshape(size, count)
        drawn.append(times.astype(np.float64) @ sums)
    return np.concatenate(drawn)


def portions(draws: int, numbers: int) -> Iterator[int]:
    """Yield how many draws of so many numbers to make at a time."""
    while draws:
        size = min(draws, max(1, _AT_ONCE // numbers))
        yield size
        draws -= size


def share(sums: Array) -> Array:
    """Return the hits of [..., N] by the counts, of two sides the harmonic mean.

    NaN where nothing counts, on either side.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return _harmonic_mean(sums[..., 0::2] / sums[..., 1::2])


def interval(sums: Array) -> tuple[float, float]:
    """Return the interval of the figure of [C, N], from the conversations that count for it.

    Where each conversation counts at most once, the answers are independent: Wilson's interval.
    Where all resamples give the same share (all or none are right), a share has Wilson's interval
    for as many answers as conversations, and a balance of two combines the ends of its sides.
    """
    sums = sums[sums[:, 1::2].any(1)]
    sides = [sums[:, start : start + 2] for start in range(0, sums.shape[1], 2)]
    if len(sides) == 1 and sums[:, 1].max() <= 1:
        return wilson(*sums.sum(0))
    drawn = resampled(sums, RESAMPLES)
    if all(_varies(share(drawn[:, 2 * i : 2 * i + 2])) for i in range(len(sides))):
        low, high = np.nanquantile(share(drawn), (0.025, 0.975))
    elif len(sides) == 1:
        low, high = wilson(len(sums) * float(share(sums.sum(0))), len(sums))
    else:
        low, high = _harmonic_mean(np.asarray([interval(side) for side in sides]).T)
    return float(low), float(high)


def wilson(hits: float, count: float) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share (Wilson 1927, equation for p); count is above 0."""
    observed, z2 = hits / count, _Z**2
    middle = (observed + z2 / (2 * count)) / (1 + z2 / count)
    spread = sqrt(observed * (1 - observed) / count + z2 / (4 * count**2))
    spread *= _Z / (1 + z2 / count)
    # Rounding would leave 1e-17 beyond the ends that the formula reaches exactly.
    low = 0.0 if hits == 0 else max(0.0, middle - spread)
    high = 1.0 if hits == count else min(1.0, middle + spread)
    return float(low), float(high)


def _harmonic_mean(shares: Array) -> Array:
    """Return the mean over the last axis: 0 where one of the shares is, the share if it is one."""
    if shares.shape[-1] == 1:
        return shares[..., 0]
    with np.errstate(divide="ignore"):
        mean: Array = shares.shape[-1] / (1 / shares).sum(-1)
    return mean


def _varies(shares: Array) -> bool:
    known = shares[~np.isnan(shares)]
    return bool(known.size) and bool(known.max() > known.min())
