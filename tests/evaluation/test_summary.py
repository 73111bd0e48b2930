"""Figures have the right counts, and intervals that hold what they promise."""

import numpy as np
import pytest
from rich.console import Console

from chat.conversation import ToolCall
from chat.tool_syntax import Reply
from evaluation.summary import (
    categories_table,
    figures,
    figures_table,
    pooled_share,
    share,
    summarise,
    wilson,
)
from evaluation.tool_calls import Verdict, score

LYON = ToolCall("weather", {"city": "Lyon", "days": 2})
NEAR = ToolCall("weather", {"city": "Lyon", "days": 3})


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        # Newcombe 1998, table I, method 3: Wilson's score interval.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(
    hits: int, count: int, low: float, high: float
) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_or_all_ends_at_the_border() -> None:
    assert share(0, 7).low == 0.0
    assert share(7, 7).high == 1.0
    assert 0.6 < share(7, 7).low < 1


def test_resampled_intervals_hold_the_true_share_about_95_times_in_100() -> None:
    draw = np.random.default_rng(3)
    inside = 0
    for _ in range(60):
        counts = draw.integers(1, 6, size=80)
        hits = draw.binomial(counts, 0.7)
        figure = pooled_share(hits.tolist(), counts.tolist())
        inside += figure.low <= 0.7 <= figure.high
    assert 51 <= inside <= 60


def test_resampling_gives_the_same_figure_each_time() -> None:
    assert pooled_share([1, 2, 0], [2, 2, 1]) == pooled_share([1, 2, 0], [2, 2, 1])


def test_where_all_or_none_are_right_few_replies_still_leave_much_open() -> None:
    whole, none = pooled_share([2, 1, 0], [2, 1, 0]), pooled_share([0, 0], [2, 1])
    assert (whole.value, whole.hits, whole.count) == (1.0, 3, 3)
    assert (whole.low, whole.high) == wilson(2, 2)
    assert (none.value, none.low, none.high) == (0.0, *wilson(0, 2))


def verdicts() -> list[Verdict]:
    return [
        score([LYON], [LYON]),
        score([LYON], [NEAR]),
        score([LYON, NEAR], [NEAR, LYON]),
        score([LYON], Reply("", problem="no JSON")),
        score([], Reply("hello")),
        score([], [LYON]),
    ]


def test_every_figure_counts_only_what_it_is_of() -> None:
    counted = {name: (each.hits, each.count) for name, each in figures(verdicts()).items()}
    assert counted == {
        "correct": (3, 6),
        "call_or_not": (5, 6),
        "valid_json": (4, 5),
        "valid_schema": (0, 4),
        "name": (3, 4),
        "argument_precision": (7, 8),
        "argument_recall": (7, 10),
        "exact_match": (2, 4),
        "parallel_match": (1, 1),
        "irrelevance": (1, 2),
        "json_equal": (1, 4),
    }


def test_categories_are_summed_apart_and_recorded() -> None:
    summary = summarise(verdicts(), ["call"] * 4 + ["no_call"] * 2)
    record = summary.to_record()
    assert record["categories"]["call"]["correct"]["count"] == 4
    assert "irrelevance" not in record["categories"]["call"]
    assert record["categories"]["no_call"]["irrelevance"]["value"] == 0.5
    assert record["figures"]["correct"]["low"] < 0.5 < record["figures"]["correct"]["high"]
    assert summarise(verdicts()).all == summary.all


def test_tables_show_counts_and_intervals_within_80_columns() -> None:
    summary = summarise(verdicts(), ["a_category_with_a_long_name"] * 6)
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(figures_table(summary.all))
        console.print(categories_table(summary))
    text = captured.get()
    assert "argument_precision" in text and "7 of 8" in text and "50.0%" in text
    assert "18.8 to 81.2" in text
    assert "…" not in text
