"""The pairs have the largest sum of gains among all pairings."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from evaluation.scoring.matching import best_pairs

GAINS = st.integers(1, 5).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 9), min_size=width, max_size=width), min_size=1, max_size=5
    )
)


@given(GAINS)
def test_best_pairs_have_the_largest_sum_of_gains(gains: list[list[int]]) -> None:
    pairs = best_pairs(gains)
    rows, columns = len(gains), len(gains[0])
    assert len(pairs) == min(rows, columns)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    wide = gains if rows <= columns else [list(column) for column in zip(*gains, strict=True)]
    best = max(
        sum(row[column] for row, column in zip(wide, chosen, strict=True))
        for chosen in permutations(range(len(wide[0])), len(wide))
    )
    assert sum(gains[row][column] for row, column in pairs) == best


def test_empty_gains_give_no_pairs() -> None:
    assert best_pairs([]) == best_pairs([[], []]) == []


def test_three_rows_pair_with_3000_columns_quickly() -> None:
    gains = [[(row * column) % 7 for column in range(3000)] for row in range(3)]
    assert sum(gains[row][column] for row, column in best_pairs(gains)) == 12
