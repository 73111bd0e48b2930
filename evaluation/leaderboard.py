"""The leaderboard's own figures of BFCL v4: groups of categories, and the overall figure.

Groups and weights are those of bfcl-eval 2026.3.23. Where a category is missing, that counts it as
0; here a group has a figure only where every row of it was answered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from evaluation.figures import Figures, percent

# How many rows each category has.
ROWS: Mapping[str, int] = {
    "simple_python": 400,
    "simple_java": 100,
    "simple_javascript": 50,
    "multiple": 200,
    "parallel": 200,
    "parallel_multiple": 200,
    "irrelevance": 240,
    "live_simple": 258,
    "live_multiple": 1053,
    "live_parallel": 16,
    "live_parallel_multiple": 24,
    "live_irrelevance": 884,
    "live_relevance": 16,
    "multi_turn_base": 200,
    "multi_turn_miss_func": 200,
    "multi_turn_miss_param": 200,
    "multi_turn_long_context": 200,
    "web_search_base": 100,
    "web_search_no_snippet": 100,
    "memory_kv": 155,
    "memory_vector": 155,
    "memory_rec_sum": 155,
}


@dataclass(frozen=True)
class Group:
    """A mean of categories and other groups.

    weights: Of each part; equal where there are none. With `by_rows`, the parts are categories
    that weigh as many as they have rows.
    """

    name: str
    parts: tuple["Group | str", ...]
    weights: tuple[int, ...] = ()
    by_rows: bool = False


_SIMPLE = Group("simple", ("simple_python", "simple_java", "simple_javascript"))
_LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
_PLAYED = ("base", "miss_func", "miss_param", "long_context")
_AGENTIC = (
    Group("web search", ("web_search_base", "web_search_no_snippet")),
    Group("memory", ("memory_kv", "memory_vector", "memory_rec_sum")),
)
GROUPS = (
    Group("non-live", (_SIMPLE, "multiple", "parallel", "parallel_multiple")),
    Group("live", _LIVE, by_rows=True),
    Group("irrelevance", ("irrelevance", "live_irrelevance")),
    Group("multi-turn", tuple(f"multi_turn_{name}" for name in _PLAYED)),
    Group("agentic", _AGENTIC),
)
RELEVANCE = Group("relevance", ("live_relevance",))
OVERALL = Group("overall", GROUPS, weights=(10, 10, 10, 30, 40))
# As they are shown; relevance counts in no other.
SHOWN = (*GROUPS, RELEVANCE, OVERALL)

TITLE = "By the leaderboard of BFCL v4"
HEAD = ("group", "weight", "share", "missing")
Counts = Mapping[str, tuple[int, int]]


def counts_of(categories: Mapping[str, Figures]) -> Counts:
    """Return right and answered rows of each category."""
    return {
        name: (figures["correct"].hits, figures["correct"].count)
        for name, figures in categories.items()
        if "correct" in figures
    }


def share_of(part: Group | str, counts: Counts) -> float | None:
    """Return the share of a category or a group; None where not all of its rows were answered."""
    if isinstance(part, str):
        right, answered = counts.get(part, (0, 0))
        return right / answered if answered == ROWS[part] else None
    weights = part.weights or (1,) * len(part.parts)
    if part.by_rows:
        weights = tuple(ROWS[name] for name in part.parts if isinstance(name, str))
    total = 0.0
    for weight, inner in zip(weights, part.parts, strict=True):
        share = share_of(inner, counts)
        if share is None:
            return None
        total += weight * share
    return total / sum(weights)


def missing(part: Group | str, counts: Counts) -> Iterator[str]:
    """Yield what a group lacks: categories, with their rows where some were answered."""
    if isinstance(part, Group):
        for inner in part.parts:
            yield from missing(inner, counts)
        return
    _, answered = counts.get(part, (0, 0))
    if answered != ROWS[part]:
        yield f"{part} ({answered:,} of {ROWS[part]:,})" if answered else part


def leaderboard_record(counts: Counts) -> dict[str, Any]:
    """Return the JSON object of the figures: a share, or what is missing for it."""
    return {
        group.name: {"share": share_of(group, counts), "missing": list(missing(group, counts))}
        for group in SHOWN
    }


def leaderboard_rows(counts: Counts) -> Iterator[tuple[str, str, str, str]]:
    """Yield each figure as texts: its name, its weight in the overall one, share, what is missing.

    The overall figure lacks groups, and groups lack categories.
    """
    weights = dict(zip((group.name for group in GROUPS), OVERALL.weights, strict=True))
    for group in SHOWN:
        share = share_of(group, counts)
        weight = f"{weights[group.name]}%" if group.name in weights else ""
        lacks: Iterator[str] = missing(group, counts)
        if group is OVERALL:
            lacks = (part.name for part in GROUPS if share_of(part, counts) is None)
        yield group.name, weight, "none" if share is None else percent(share), ", ".join(lacks)


def leaderboard_table(counts: Counts) -> Table:
    """Return a table of the groups and the overall figure."""
    table = Table(title=TITLE)
    table.add_column(HEAD[0], no_wrap=True)
    table.add_column(HEAD[1], justify="right")
    table.add_column(HEAD[2], justify="right")
    table.add_column(HEAD[3], overflow="fold")
    for row in leaderboard_rows(counts):
        table.add_row(*row, end_section=row[0] == RELEVANCE.name)
    return table
