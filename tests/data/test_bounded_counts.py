"""Counts by name: many names take no more room than the first thousand."""

from data.bounded_counts import MOST_NAMED, OTHERS, add_count


def test_names_beyond_the_limit_are_counted_as_others() -> None:
    counts: dict[str, int] = {}
    for number in range(3 * MOST_NAMED):
        add_count(counts, f"row-{number}")
    assert len(counts) == MOST_NAMED + 1 and counts[OTHERS] == 2 * MOST_NAMED


def test_known_names_are_counted_past_the_limit() -> None:
    counts = {f"row-{number}": 1 for number in range(MOST_NAMED)}
    add_count(counts, "row-7", 2)
    add_count(counts, "another")
    assert counts["row-7"] == 3 and counts[OTHERS] == 1
