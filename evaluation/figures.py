"""Figures over many verdicts, each with its counts and a 95% interval.

The leading figure is `balanced`: it is 0 for a model that never calls, for one that always calls
and for one that replies nothing. The intervals are computed in evaluation/intervals.py.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from evaluation.intervals import Array, by_conversation, interval, share
from evaluation.scoring.calls import Verdict

BALANCED = "balanced"
# What `balanced` is the harmonic mean of: where calls are wanted, and where none is.
SIDES = ("exact_match", "irrelevance")
# The first of these that exists is the leading figure; the text says why `balanced` is missing.
_LEADS = {
    BALANCED: "",
    "exact_match": "every item wants a call",
    "irrelevance": "no item names the calls it wants",
    "correct": "no item names the calls it wants",
}


@dataclass(frozen=True)
class Figure:
    """A share with its 95% interval.

    It is `hits` / `count`, except for `balanced`: there `sides` holds the hits and the count of
    each side, and `hits` and `count` are their sums.
    """

    value: float
    low: float
    high: float
    hits: int
    count: int
    sides: tuple[tuple[int, int], ...] = ()


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
            "categories": {name: records(category) for name, category in self.categories.items()},
        }


# Shares over verdicts; None for a verdict that does not count.
SHARES: Mapping[str, Callable[[Verdict], bool | None]] = {
    "correct": lambda verdict: verdict.correct,
    "call_or_not": lambda verdict: verdict.decided_right,
    "valid_json": lambda verdict: verdict.readable,
    "valid_schema": lambda verdict: verdict.schema_valid,
    "name": lambda verdict: verdict.names_right,
    "exact_match": lambda verdict: verdict.exact_match,
    "parallel_match": lambda verdict: verdict.exact_match if verdict.parallel else None,
    "irrelevance": lambda verdict: (
        None if verdict.should_call else verdict.correct and not verdict.empty
    ),
    "json_equal": lambda verdict: verdict.json_equal,
}
# Shares over the arguments of all verdicts together: right ones, and their count.
POOLED: Mapping[str, Callable[[Verdict], tuple[int, int]]] = {
    "argument_precision": lambda verdict: (verdict.arguments_right, verdict.arguments_found),
    "argument_recall": lambda verdict: (verdict.arguments_right, verdict.arguments_wanted),
}
MEANINGS: Mapping[str, str] = {
    BALANCED: "the harmonic mean of exact_match and irrelevance",
    "correct": "right as a whole",
    "call_or_not": "a call where one is wanted, none elsewhere",
    "valid_json": "calls that can be read",
    "valid_schema": "calls that fit the schema of an offered tool",
    "name": "the functions wanted, where a call is",
    "argument_precision": "arguments given that are right",
    "argument_recall": "arguments wanted that are given right",
    "exact_match": "the calls wanted, in any order",
    "parallel_match": "the same, where several calls are wanted",
    "irrelevance": "text and no call, where none is wanted",
    "json_equal": "the very JSON, calls in order",
}


def summarise(
    verdicts: Sequence[Verdict], categories: Sequence[str] = (), conversations: Sequence[str] = ()
) -> Summary:
    """Return the figures of verdicts; `categories` and `conversations` hold a name for each.

    Without `conversations` each verdict is its own conversation.
    """
    groups: dict[str, list[int]] = {}
    for index, (_, category) in enumerate(zip(verdicts, categories, strict=bool(categories))):
        groups.setdefault(category, []).append(index)
    return Summary(
        figures(verdicts, conversations),
        {
            name: figures(
                [verdicts[index] for index in chosen],
                [conversations[index] for index in chosen] if conversations else (),
            )
            for name, chosen in groups.items()
        },
    )


def figures(verdicts: Sequence[Verdict], conversations: Sequence[str] = ()) -> Figures:
    """Return every figure for which some verdict counts, in the order of MEANINGS."""
    counts = {name: [count(name, verdict) for verdict in verdicts] for name in MEANINGS}
    return figures_of(counts, conversations)


def figures_of(
    counts: Mapping[str, Sequence[tuple[int, ...]]], conversations: Sequence[str] = ()
) -> Figures:
    """Return the figures of the counts of every item; a figure without counts is left out.

    `conversations` names that of each item; without it each item is its own conversation.
    """
    sums = {name: by_conversation(rows, conversations) for name, rows in counts.items() if rows}
    return {name: _figure(rows) for name, rows in sums.items() if rows.sum(0)[1::2].all()}


def _figure(sums: Array) -> Figure:
    whole = sums.sum(0)
    pairs = [(int(hits), int(of)) for hits, of in whole.reshape(-1, 2)]
    return Figure(
        float(share(whole)),
        *interval(sums),
        hits=sum(hits for hits, _ in pairs),
        count=sum(of for _, of in pairs),
        sides=tuple(pairs) if len(pairs) > 1 else (),
    )


def count(name: str, verdict: Verdict) -> tuple[int, ...]:
    """Return the hits and the count of one verdict for a figure; 0 of 0 where it does not count.

    The figure of many verdicts is the sum of hits divided by the sum of counts; `balanced` has one
    such pair for each of SIDES.
    """
    if name == BALANCED:
        return tuple(number for side in SIDES for number in count(side, verdict))
    if name in POOLED:
        return POOLED[name](verdict)
    answer = SHARES[name](verdict)
    return (0, 0) if answer is None else (int(answer), 1)


def headline(names: Collection[str]) -> str:
    """Return the leading figure among `names`: `balanced`, or that of the only side."""
    return next((name for name in _LEADS if name in names), BALANCED)


def why(leading: str) -> str:
    """Return as a sentence why `balanced` is missing; empty where it leads."""
    return f"There is no {BALANCED} figure: {_LEADS[leading]}." if _LEADS[leading] else ""


def headline_text(found: Figures) -> str:
    """Return the leading figure and `correct`, and why if `balanced` does not lead."""
    if not found:
        return "Nothing was judged."
    leading = headline(found)
    names = dict.fromkeys((leading, "correct"))
    figures = "; ".join(f"{name} {format_figure(found[name])}" for name in names) + "."
    return f"{figures} {why(leading)}".rstrip()


def format_figure(figure: Figure) -> str:
    """Return a figure as text: its value, the interval in brackets, what was counted."""
    ends, counts = cells(figure)
    return f"{percent(figure.value)} ({ends}), {counts}"


def figures_table(found: Figures) -> Table:
    """Return a table of all figures: share, interval, counts."""
    table = Table()
    table.add_column("figure", no_wrap=True)
    table.add_column("share", justify="right")
    table.add_column("95% interval", justify="right")
    table.add_column("counted", justify="right")
    for name, figure in found.items():
        table.add_row(name, percent(figure.value), *cells(figure, "\n"))
    return table


def categories_table(summary: Summary) -> Table:
    """Return a table of the categories: the figure that leads in each, interval, counts."""
    table = Table()
    table.add_column("category", overflow="fold")
    table.add_column("figure", no_wrap=True)
    table.add_column("share", justify="right")
    table.add_column("95% interval", justify="right", no_wrap=True)
    table.add_column("counted", justify="right", no_wrap=True)
    for name, found in [*sorted(summary.categories.items()), ("all", summary.all)]:
        if found:
            leading = headline(found)
            row = percent(found[leading].value), *cells(found[leading], "\n")
            table.add_row(name, leading, *row, end_section=name != "all")
    return table


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * share:.1f}%"


def cells(figure: Figure, between: str = " and ") -> tuple[str, str]:
    """Return the interval and the counts of a figure as texts; `between` counts of two sides."""
    ends = f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"
    pairs = figure.sides or ((figure.hits, figure.count),)
    return ends, between.join(f"{hits:,} of {of:,}" for hits, of in pairs)


def records(found: Figures) -> dict[str, Any]:
    """Return the JSON object of figures; `sides` is of `balanced` alone."""
    return {
        name: {key: value for key, value in asdict(figure).items() if key != "sides" or value}
        for name, figure in found.items()
    }
