"""Chance from a key: fixed for all machines, and fair enough."""

from collections import Counter

from synthesis.dice import Dice


def test_a_key_gives_the_same_choices_on_every_python() -> None:
    """These numbers were drawn once; another Python that draws others breaks every seed."""
    dice = Dice("seed", 3, 7)
    assert [dice.below(1000) for _ in range(5)] == [845, 679, 848, 972, 450]
    assert dice.shuffled("abcdef") == ["e", "f", "d", "a", "c", "b"]


def test_another_key_gives_other_choices() -> None:
    first, second = Dice(1, 2), Dice(12)
    assert [first.below(10**6) for _ in range(4)] != [second.below(10**6) for _ in range(4)]


def test_every_choice_comes_about_as_often() -> None:
    dice = Dice("fair")
    counts = Counter(dice.between(1, 6) for _ in range(6000))
    assert sorted(counts) == [1, 2, 3, 4, 5, 6]
    assert min(counts.values()) > 850


def test_a_sample_repeats_no_place_and_is_at_most_everything() -> None:
    dice = Dice("sample")
    assert sorted(dice.sample([1, 2, 3], 5)) == [1, 2, 3]
    assert len(set(dice.sample(range(100), 50))) == 50
