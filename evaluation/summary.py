"""Figures over many verdicts, each with its count and a 95% interval.

Shares of replies have Wilson's interval; shares of arguments, which come several to a reply, have
one from 1,000 resamples of the replies with a fixed seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
from rich.table import Table

from evaluation.tool_calls import Verdict

RESAMPLES = 1000
# Of the normal distribution, this many deviations leave 5% outside.
_Z = 1.959963984540054


@dataclass(frozen=True)
class Figure:
    """A share: `hits` of `count`, and the interval that holds the true one 95 times in 100."""

    value: float
    low: float
    high: float
    hits: int
    count: int


Figures = Mapping[str, Figure]


@dataclass(frozen=True)
class Summary:
    """The figures of all verdicts, and of those of each category."""

    all: Figures
    categories: Mapping[str, Figures]

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this summary."""
        return {
            "figures": records(self.all),
            "categories": {name: records(each) for name, each in self.categories.items()},
        }


# What is asked of every verdict; None where the question does not arise for it.
SHARES: Mapping[str, Callable[[Verdict], bool | None]] = {
    "correct": lambda verdict: verdict.correct,
    "call_or_not": lambda verdict: verdict.decided_right,
    "valid_json": lambda verdict: verdict.readable,
    "valid_schema": lambda verdict: verdict.schema_valid,
    "name": lambda verdict: verdict.names_right,
    "exact_match": lambda verdict: verdict.exact_match,
    "parallel_match": lambda verdict: verdict.exact_match if verdict.parallel else None,
    "irrelevance": lambda verdict: None if verdict.should_call else verdict.correct,
    "json_equal": lambda verdict: verdict.json_equal,
}
# What is counted over the arguments of all verdicts together: how many are right, of how many.
POOLED: Mapping[str, Callable[[Verdict], tuple[int, int]]] = {
    "argument_precision": lambda verdict: (verdict.arguments_right, verdict.arguments_found),
    "argument_recall": lambda verdict: (verdict.arguments_right, verdict.arguments_wanted),
}
MEANINGS: Mapping[str, str] = {
    "correct": "right as a whole",
    "call_or_not": "a call where one is wanted, none elsewhere",
    "valid_json": "calls that can be read",
    "valid_schema": "calls that fit the schema of an offered tool",
    "name": "the functions wanted, where a call is",
    "argument_precision": "arguments given that are right",
    "argument_recall": "arguments wanted that are given right",
    "exact_match": "the calls wanted, in any order",
    "parallel_match": "the same, where several calls are wanted",
    "irrelevance": "no call, where none is wanted",
    "json_equal": "the very JSON, calls in order",
}


def summarise(verdicts: Sequence[Verdict], categories: Sequence[str] = ()) -> Summary:
    """Return the figures of verdicts; `categories` names that of each, in the same order."""
    groups: dict[str, list[Verdict]] = {}
    for verdict, category in zip(verdicts, categories, strict=bool(categories)):
        groups.setdefault(category, []).append(verdict)
    return Summary(figures(verdicts), {name: figures(each) for name, each in groups.items()})


def figures(verdicts: Sequence[Verdict]) -> Figures:
    """Return every figure for which some verdict counts, in the order of MEANINGS."""
    found: dict[str, Figure] = {}
    for name in MEANINGS:
        counts = [count(name, each) for each in verdicts]
        hits, counted = [hit for hit, _ in counts], [of for _, of in counts]
        if any(counted):
            pooled = name in POOLED
            found[name] = pooled_share(hits, counted) if pooled else share(sum(hits), sum(counted))
    return found


def count(name: str, verdict: Verdict) -> tuple[int, int]:
    """Return what a verdict adds to a figure: its hits, and of how many; 0 of 0 where none arises.

    The figure of many verdicts is the sum of the first by the sum of the second.
    """
    if name in POOLED:
        return POOLED[name](verdict)
    answer = SHARES[name](verdict)
    return (0, 0) if answer is None else (int(answer), 1)


def share(hits: int, count: int) -> Figure:
    """Return a share of independent answers with Wilson's interval."""
    low, high = wilson(hits, count)
    return Figure(hits / count, low, high, hits, count)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share (Wilson 1927, equation for p); count is above 0."""
    observed, z2 = hits / count, _Z**2
    middle = (observed + z2 / (2 * count)) / (1 + z2 / count)
    spread = sqrt(observed * (1 - observed) / count + z2 / (4 * count**2))
    spread *= _Z / (1 + z2 / count)
    # Rounding would leave 1e-17 beyond the ends that the formula reaches exactly.
    low = 0.0 if hits == 0 else max(0.0, middle - spread)
    high = 1.0 if hits == count else min(1.0, middle + spread)
    return low, high


def pooled_share(hits: Sequence[int], counts: Sequence[int]) -> Figure:
    """Return sum(hits) / sum(counts) with the interval of resampled pairs.

    Where all or none are hits, every resample says the same, and Wilson's interval of the number
    of pairs says what so few leave open.
    """
    hit, counted = np.asarray(hits), np.asarray(counts)
    whole, total = int(hit.sum()), int(counted.sum())
    if whole in (0, total):
        pairs = int((counted > 0).sum())
        return Figure(whole / total, *wilson(pairs if whole else 0, pairs), whole, total)
    draw = np.random.default_rng(0)
    shares = []
    for _ in range(RESAMPLES):
        chosen = draw.integers(len(hit), size=len(hit))
        if drawn := counted[chosen].sum():
            shares.append(hit[chosen].sum() / drawn)
    low, high = np.quantile(shares, (0.025, 0.975)) if shares else (0.0, 1.0)
    return Figure(whole / total, float(low), float(high), whole, total)


def figures_table(found: Figures) -> Table:
    """Return a table of all figures: share, interval, counts."""
    table = Table()
    table.add_column("figure", no_wrap=True)
    table.add_column("share", justify="right")
    table.add_column("95% interval", justify="right")
    table.add_column("counted", justify="right")
    for name, figure in found.items():
        table.add_row(name, percent(figure.value), *cells(figure))
    return table


def categories_table(summary: Summary) -> Table:
    """Return a table of the categories: what is right as a whole, interval, counts."""
    table = Table()
    table.add_column("category", no_wrap=True)
    table.add_column("correct", justify="right")
    table.add_column("95% interval", justify="right")
    table.add_column("counted", justify="right")
    for name, found in [*sorted(summary.categories.items()), ("all", summary.all)]:
        figure = found["correct"]
        table.add_row(name, percent(figure.value), *cells(figure), end_section=name != "all")
    return table


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * share:.1f}%"


def cells(figure: Figure) -> tuple[str, str]:
    """Return the interval and the counts of a figure as texts."""
    interval = f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"
    return interval, f"{figure.hits:,} of {figure.count:,}"


def records(found: Figures) -> dict[str, Any]:
    """Return the JSON object of figures."""
    return {name: asdict(figure) for name, figure in found.items()}
