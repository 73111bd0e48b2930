"""Quotas: shares of one, whole numbers, an order."""

from collections import Counter

import pytest

from synthesis.behaviours import BEHAVIOURS
from synthesis.mixtures import PLAIN
from synthesis.quotas import apportion, read_shares, schedule


def test_default_shares_are_those_of_the_table() -> None:
    shares = read_shares({}, PLAIN)
    others = dict.fromkeys(set(BEHAVIOURS) - set(PLAIN.shares), 0.0)
    assert shares == pytest.approx({**PLAIN.shares, **others})
    assert sum(shares.values()) == pytest.approx(1)


def test_a_given_share_is_kept_and_others_scale_proportionally() -> None:
    shares = read_shares({"small_talk": 0.53}, PLAIN)
    assert shares["small_talk"] == 0.53
    assert shares["single_call"] == pytest.approx(0.26 * 0.5)
    assert sum(shares.values()) == pytest.approx(1)
    assert read_shares({"single_call": 1}, PLAIN)["tool_error"] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"smalltalk": 0.1}, "no behaviour 'smalltalk'; did you mean small_talk"),
        ({"small_talk": 1.5}, "--quota.small_talk is 1.5, wanted a share from 0 to 1"),
        ({"small_talk": "much"}, "--quota.small_talk is 'much', wanted a share from 0 to 1"),
        ({"small_talk": True}, "--quota.small_talk is True"),
        ({"small_talk": 0.7, "single_call": 0.7}, "the quotas sum to 1.4, wanted at most 1"),
        (dict.fromkeys(PLAIN.shares, 0.1), "the quotas sum to 0.9, wanted 1"),
    ],
)
def test_impossible_shares_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_shares(given, PLAIN)


@pytest.mark.parametrize("count", [1, 7, 100, 9999])
def test_apportioned_numbers_are_within_one_of_their_shares(count: int) -> None:
    shares = read_shares({"tool_error": 1 / 3}, PLAIN)
    numbers = apportion(shares, count)
    assert sum(numbers.values()) == count
    assert all(abs(numbers[name] - shares[name] * count) < 1 for name in shares)


def test_a_schedule_is_shuffled_by_the_seed() -> None:
    numbers = apportion(read_shares({}, PLAIN), 1000)
    places = schedule(numbers, 3)
    names = list(BEHAVIOURS)
    assert Counter(names[place] for place in places) == +Counter(numbers)
    assert places == schedule(numbers, 3) != schedule(numbers, 4)
    assert len(set(places[:60])) == len(PLAIN.shares)
