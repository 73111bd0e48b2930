"""The charts of an inspection as rows of a label and a number, for a terminal and for a page."""

from collections import Counter
from dataclasses import replace

import numpy as np

from console.charts import Bar, Chart
from data.inspection.statistics import Statistics

# Bars a chart has at most; a tail is summed up in the last one.
BARS = 16


def charts(figures: Statistics) -> list[Chart]:
    """Return all charts of a split, without those that have nothing to show."""
    some = figures.decoded < len(figures.lengths)
    of = f", of {figures.decoded:,} conversations" if some else ""
    calls = {f"{number}": count for number, count in sorted(figures.calls.items())}
    turns = {f"{number}": count for number, count in sorted(figures.turns.items())}
    every = [
        Chart("length in tokens", _histogram(figures.lengths)),
        Chart("trained tokens by conversation", _histogram(figures.trained)),
        Chart(f"tokens by role, and the share of them that is trained{of}", _roles(figures)),
        Chart(f"conversations by number of calls{of}", _counted(calls)),
        Chart(f"conversations by number of trained turns{of}", _counted(turns)),
        Chart(f"calls by tool, {len(figures.tools)} tools{of}", _most(figures.tools)),
        Chart(f"conversations by behaviour, told by their ids{of}", _most(figures.behaviours)),
        Chart(f"conversations by source{of}", _most(figures.sources)),
    ]
    return [chart for chart in every if chart.bars]


def _histogram(values: np.ndarray) -> tuple[Bar, ...]:
    """Count values in bins of equal width; the last bin holds all greater values too."""
    width = _round_up(float(np.percentile(values, 99)) / (BARS - 1))
    places = np.minimum(values // width, BARS - 1)
    counts = np.bincount(places, minlength=BARS).tolist()
    first = next(i for i, count in enumerate(counts) if count)
    last = max(i for i, count in enumerate(counts) if count)
    total = len(values)
    bars = []
    for i in range(first, last + 1):
        label = f"{i * width:,}+" if i == BARS - 1 else f"{i * width:,}-{(i + 1) * width - 1:,}"
        bars.append(_bar(label, counts[i], total))
    return tuple(bars)


def _round_up(number: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50, ... for bins that are easy to read."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if number <= factor * step:
                return factor * step
        step *= 10


def _roles(figures: Statistics) -> tuple[Bar, ...]:
    whole = sum(tokens for tokens, _ in figures.roles.values())
    return tuple(
        Bar(
            role or "begin",
            tokens,
            f"{tokens:,} ({tokens / whole:.1%}), {trained / tokens:.1%} trained",
        )
        for role, (tokens, trained) in figures.roles.items()
    )


def _counted(counts: dict[str, int]) -> tuple[Bar, ...]:
    whole = sum(counts.values())
    return tuple(_bar(label, count, whole) for label, count in counts.items())


def _most(counts: Counter[str]) -> tuple[Bar, ...]:
    """Return the most frequent labels, and the rest as one bar."""
    shown = dict(counts.most_common(BARS - 1 if len(counts) > BARS else BARS))
    bars = tuple(_bar(label, count, counts.total()) for label, count in shown.items())
    rest = counts.total() - sum(shown.values())
    if not rest:
        return bars
    # A value of 0 draws no bar: the sum is often many times greater than the single ones.
    others = replace(_bar(f"{len(counts) - len(shown)} others", rest, counts.total()), value=0)
    return (*bars, others)


def _bar(label: str, count: int, whole: int) -> Bar:
    return Bar(label, count, f"{count:,} ({count / whole:.1%})")
