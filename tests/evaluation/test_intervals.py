"""Intervals cover the true value 95% of the time, also where turns are correlated."""

import numpy as np
import pytest

from evaluation.intervals import Array, by_conversation, interval, resampled, share, wilson


def ends(rows: object) -> tuple[float, float]:
    return interval(np.asarray(rows, dtype=np.float64))


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
def test_independent_answers_have_wilsons_published_interval(
    hits: int, count: int, low: float, high: float
) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)
    rows = [(1, 1)] * hits + [(0, 1)] * (count - hits) + [(0, 0)] * 5
    assert ends(rows) == wilson(hits, count)


def test_wilson_interval_of_none_or_all_ends_at_bounds() -> None:
    assert wilson(0, 7)[0] == 0.0
    assert wilson(7, 7)[1] == 1.0
    assert 0.6 < wilson(7, 7)[0] < 1


def test_unanimous_conversations_get_wilsons_interval_by_conversation_count() -> None:
    assert ends([(2, 2), (1, 1), (0, 0)]) == wilson(2, 2)
    assert ends([(0, 2), (0, 1)]) == wilson(0, 2)
    assert ends([(10, 10)]) == wilson(1, 1), "a single conversation"


def test_identical_conversations_get_wilsons_interval() -> None:
    assert ends([(1, 2)] * 10) == pytest.approx(wilson(5, 10))
    assert ends([(1, 2)]) == pytest.approx(wilson(0.5, 1))


def turns(draw: np.random.Generator, conversations: int, right: float) -> Array:
    """Counts of conversations of one to five turns that have much in common."""
    counts = draw.integers(1, 6, size=conversations)
    hits = draw.binomial(counts, draw.beta(2 * right, 2 * (1 - right), size=conversations))
    return np.stack([hits, counts], axis=1).astype(np.float64)


def test_resampled_intervals_cover_the_true_share_95_percent() -> None:
    draw, held, of_turns = np.random.default_rng(3), 0, 0
    for _ in range(100):
        rows = turns(draw, 60, 0.7)
        low, high = ends(rows)
        held += low <= 0.7 <= high
        low, high = wilson(*rows.sum(0))
        of_turns += low <= 0.7 <= high
    assert 89 <= held <= 100
    assert of_turns < 85, "as if turns were independent"


def test_balanced_intervals_cover_the_true_value_95_percent() -> None:
    draw, held = np.random.default_rng(4), 0
    for _ in range(100):
        first, second = turns(draw, 60, 0.6), turns(draw, 60, 0.9)
        low, high = ends(np.concatenate([first, second], axis=1))
        held += low <= 2 / (1 / 0.6 + 1 / 0.9) <= high
    assert 89 <= held <= 100


@pytest.mark.parametrize(
    ("called", "told", "low", "high"),
    [
        (0, 20, 0.0, 2 / (1 / wilson(0, 20)[1] + 1)),
        (20, 20, wilson(20, 20)[0], 1.0),
        (0, 0, 0.0, wilson(0, 20)[1]),
    ],
)
def test_balanced_interval_of_unanimous_sides_combines_their_ends(
    called: int, told: int, low: float, high: float
) -> None:
    wanted = [(1, 1, 0, 0)] * called + [(0, 1, 0, 0)] * (20 - called)
    none = [(0, 0, 1, 1)] * told + [(0, 0, 0, 1)] * (20 - told)
    assert ends([*wanted, *none]) == pytest.approx((low, high))


def test_balanced_share_is_zero_or_nan_by_its_sides() -> None:
    rows = np.asarray([(0, 3, 2, 2), (0, 3, 0, 2), (3, 3, 0, 0), (3, 4, 5, 6)], dtype=np.float64)
    assert share(rows) == pytest.approx([0, 0, np.nan, 2 / (4 / 3 + 6 / 5)], nan_ok=True)


def test_rows_are_summed_by_conversation_in_any_order() -> None:
    rows = [(1, 1), (0, 1), (1, 2), (3, 3)]
    assert by_conversation(rows, ["a", "b", "a", "c"]).tolist() == [[2, 3], [0, 1], [3, 3]]
    assert by_conversation(rows).tolist() == [list(row) for row in rows]


def test_resamples_do_not_depend_on_the_portion_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = turns(np.random.default_rng(5), 30, 0.5)
    first = resampled(rows, 100)
    monkeypatch.setattr("evaluation.intervals._AT_ONCE", 70)
    assert (resampled(rows, 100) == first).all()
    assert len({tuple(row) for row in first.tolist()}) > 50
