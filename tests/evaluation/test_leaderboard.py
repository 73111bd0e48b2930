"""The leaderboard's figures: its own weights, and none where a row is missing."""

import pytest

from evaluation.leaderboard import (
    GROUPS,
    OVERALL,
    RELEVANCE,
    ROWS,
    leaderboard_record,
    leaderboard_table,
    missing,
    share_of,
)

NON_LIVE, LIVE, IRRELEVANCE, MULTI_TURN, AGENTIC = GROUPS


def counts(**right: int) -> dict[str, tuple[int, int]]:
    """Return all categories whole, with so many right rows, by default all."""
    return {name: (right.get(name, rows), rows) for name, rows in ROWS.items()}


@pytest.mark.parametrize(
    ("group", "right", "share"),
    [
        # Three kinds of simple questions are one part of four, whatever their rows.
        (NON_LIVE, {"simple_java": 0}, 1 - 1 / 12),
        (NON_LIVE, {"parallel": 100, "irrelevance": 0}, 1 - 1 / 8),
        (LIVE, {"live_multiple": 0, "live_irrelevance": 0}, (258 + 16 + 24) / 1351),
        (IRRELEVANCE, {"live_irrelevance": 221}, (1 + 1 / 4) / 2),
        (MULTI_TURN, {"multi_turn_base": 0, "multi_turn_miss_func": 100}, 2.5 / 4),
        (AGENTIC, {"memory_kv": 0}, 1 - 1 / 6),
        (RELEVANCE, {"live_relevance": 4}, 1 / 4),
        (OVERALL, {"live_relevance": 0}, 1.0),
        (
            OVERALL,
            {"parallel": 0, "multi_turn_base": 0, "memory_kv": 0},
            1 - 0.025 - 0.075 - 0.2 / 3,
        ),
    ],
)
def test_groups_weigh_categories_as_the_leaderboard(
    group: object, right: dict[str, int], share: float
) -> None:
    assert share_of(group, counts(**right)) == pytest.approx(share)  # type: ignore[arg-type]


def test_group_without_all_rows_has_no_figure() -> None:
    found = counts() | {"parallel": (150, 199)}
    del found["memory_kv"], found["memory_vector"]
    assert share_of(NON_LIVE, found) is None and share_of(LIVE, found) == 1
    assert list(missing(NON_LIVE, found)) == ["parallel (199 of 200)"]
    assert list(missing(AGENTIC, found)) == ["memory_kv", "memory_vector"]
    record = leaderboard_record(found)
    assert record["overall"]["share"] is None and record["multi-turn"]["share"] == 1
    cells = list(leaderboard_table(found).columns[3].cells)
    assert cells[-1] == "non-live, agentic"
