"""Differences between models: paired, with wide intervals for few items, deterministic."""

from math import comb

import numpy as np
import pytest

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from evaluation.checkpoints.significance import differences
from evaluation.scoring.calls import Argument, Verdict, score


def right(*answers: int) -> list[Verdict]:
    return [Verdict(correct=bool(answer), should_call=True, called=True) for answer in answers]


def test_identical_answers_have_zero_difference_and_p_of_one() -> None:
    (same,) = differences("correct", {"a": right(1, 0, 1, 1), "b": right(1, 0, 1, 1)})
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_difference_is_positive_where_the_first_model_is_better() -> None:
    (found,) = differences("correct", {"a": right(1, 1, 1, 0), "b": right(0, 1, 0, 0)})
    assert (found.one, found.other, found.value) == ("a", "b", 0.5)
    assert found.low <= 0.5 <= found.high


@pytest.mark.parametrize("wins", [1, 3, 5, 8])
def test_p_value_matches_mcnemars_exact_test(wins: int) -> None:
    """McNemar's exact test: a fair coin for each item on which the two disagree."""
    one, other = right(*[1] * wins, *[0] * 1, *[1] * 20), right(*[0] * wins, *[1] * 1, *[1] * 20)
    (found,) = differences("correct", {"a": one, "b": other})
    disagreeing = wins + 1
    tail = sum(comb(disagreeing, k) for k in range(wins, disagreeing + 1)) / 2**disagreeing
    assert found.p == pytest.approx(min(1.0, 2 * tail), abs=0.02)


def test_paired_interval_detects_a_small_difference() -> None:
    """Items are hard or easy for both; one model answers a few more of them."""
    draw = np.random.default_rng(1)
    base = draw.integers(2, size=400)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:16]] = 1
    (found,) = differences("correct", {"better": right(*better), "base": right(*base)})
    assert found.value == pytest.approx(0.04)
    assert 0.02 < found.low < found.high < 0.065
    assert found.p < 0.001


def test_difference_intervals_cover_the_truth_95_percent() -> None:
    draw, held = np.random.default_rng(2), 0
    for _ in range(100):
        shared = draw.random(80)
        one, other = shared < 0.6, (shared + draw.normal(0, 0.2, 80)) < 0.5
        (found,) = differences("correct", {"a": right(*one), "b": right(*other)})
        # By the same law, from a million draws.
        held += found.low <= TRUE <= found.high
    assert 88 <= held <= 100


_many = np.random.default_rng(3)
_shared = _many.random(1_000_000)
TRUE = float(0.6 - ((_shared + _many.normal(0, 0.2, 1_000_000)) < 0.5).mean())


def test_argument_recall_weighs_items_by_argument_count() -> None:
    def with_arguments(*counts: tuple[int, int]) -> list[Verdict]:
        return [
            Verdict(
                correct=False,
                should_call=True,
                called=True,
                arguments=tuple(Argument("f", f"{i}", True, True, i < hits) for i in range(count)),
            )
            for hits, count in counts
        ]

    verdicts = {"a": with_arguments((9, 9), (0, 1)), "b": with_arguments((0, 9), (1, 1))}
    (found,) = differences("argument_recall", verdicts)
    assert found.value == pytest.approx(0.8)


def test_models_without_the_figure_are_left_out() -> None:
    silent = [Verdict(correct=False, should_call=True, called=False)] * 2
    loud = [Verdict(correct=False, should_call=True, called=True, readable=True)] * 2
    assert len(differences("correct", {"a": silent, "b": loud, "c": loud})) == 3
    found = differences("valid_json", {"a": silent, "b": loud, "c": loud})
    assert [(difference.one, difference.other) for difference in found] == [("b", "c")]
    assert differences("correct", {"a": silent}) == []


def test_differences_are_deterministic() -> None:
    verdicts = {"a": right(*[1, 0, 1] * 9), "b": right(*[0, 0, 1] * 9)}
    assert differences("correct", verdicts) == differences("correct", verdicts)


LYON, OSLO = ToolCall("weather", {"city": "Lyon"}), ToolCall("weather", {"city": "Oslo"})


def replies(called: int, told: int) -> list[Verdict]:
    """So many of 11 calls right, and so many texts of 29."""
    wanted = [score([LYON], [LYON])] * called + [score([LYON], Reply("Hello"))] * (11 - called)
    return wanted + [score([], Reply("Hello"))] * told + [score([], [OSLO])] * (29 - told)


def test_balanced_is_significant_where_correct_is_not() -> None:
    """Right as a whole are 62.5% and 80%, which these items do not tell apart."""
    texts = reversed(replies(0, 25)[11:])
    models = {"child": replies(8, 24), "base": [*replies(0, 0)[:11], *texts]}
    (correct,) = differences("correct", models)
    assert correct.value == pytest.approx(0.175) and correct.p > 0.05
    (balanced,) = differences("balanced", models)
    assert balanced.value == pytest.approx(2 / (11 / 8 + 29 / 24))
    assert 0.4 < balanced.low < balanced.high <= 1 and balanced.p < 0.05


def test_balanced_is_not_compared_where_a_side_is_missing() -> None:
    calls = {"a": replies(8, 0)[:11], "b": replies(3, 0)[:11]}
    assert differences("balanced", calls) == []
    assert len(differences("exact_match", calls)) == 1


@pytest.mark.parametrize("metric", ["correct", "balanced"])
def test_turns_of_a_conversation_are_resampled_together(metric: str) -> None:
    """Eight conversations of ten turns each: two models differ by luck in six of them."""
    wanted = [score([LYON], [LYON]), score([], Reply("Yes"))]
    wrong = [score([LYON], [OSLO]), score([], [OSLO])]
    wins = [1, 1, 1, 1, 1, 0, 1, 1]
    one, other = (
        [(wanted if win == side else wrong)[turn % 2] for win in wins for turn in range(10)]
        for side in (1, 0)
    )
    names = [str(index) for index in range(8) for _ in range(10)]
    (together,) = differences(metric, {"a": one, "b": other}, names)
    (alone,) = differences(metric, {"a": one, "b": other})
    assert together.value == alone.value == 0.75
    # Of 8 fair coins, 7 or more fall alike 18 times in 256.
    assert together.p == pytest.approx(18 / 256, abs=0.01) and alone.p < 0.001
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_order_of_items_does_not_change_differences() -> None:
    one, other = right(*[1, 0, 1] * 9), right(*[0, 0, 1] * 9)
    names = [str(index // 3) for index in range(27)]
    order = [*range(0, 27, 3), *range(1, 27, 3), *range(2, 27, 3)]
    mixed = {"a": [one[i] for i in order], "b": [other[i] for i in order]}
    assert differences("correct", mixed, [names[i] for i in order]) == differences(
        "correct", {"a": one, "b": other}, names
    )
