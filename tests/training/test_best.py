"""Which weights are best: by any figure, and over the same prompts where replies are compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import pytest

from evaluation.summary import MEANINGS
from training.best import LOWER_IS_BETTER, improves
from training.checkpoint import Progress
from training.config import GeneratedMetric, MeasuredMetric


@dataclass(frozen=True)
class Hits:
    """Replies to prompts, each right or not, that the figure `correct` is of."""

    right: Sequence[int]
    line: str = ""

    @property
    def reached(self) -> int:
        return len(self.right)

    @property
    def figures(self) -> Mapping[str, float]:
        return {"correct": sum(self.right) / len(self.right)}

    @property
    def texts(self) -> Mapping[str, str]:
        return {}

    def counts(self, figure: str) -> list[tuple[int, int]]:
        assert figure == "correct"
        return [(hit, 1) for hit in self.right]


def best_of(*evaluations: Sequence[int]) -> tuple[list[bool], Progress]:
    """Let evaluations follow one another; return which were the best so far."""
    progress = Progress()
    outcomes = [Hits(right) for right in evaluations]
    found = [improves({"loss": 1.0, **o.figures}, o, "correct", progress) for o in outcomes]
    return found, progress


@pytest.mark.parametrize("metric", ["loss", "perplexity"])
def test_a_lower_loss_is_better(metric: str) -> None:
    progress = Progress()
    found = [improves({metric: each}, None, metric, progress) for each in (3.0, 2.0, 2.0, 2.5)]
    assert (found, progress.best) == ([True, True, False, False], 2.0)


def test_a_higher_accuracy_is_better_and_the_first_of_equals_stays() -> None:
    progress = Progress()
    found = [
        improves({"loss": 9.0 - each, "token_accuracy": each}, None, "token_accuracy", progress)
        for each in (0.5, 0.4, 0.5, 0.6)
    ]
    assert (found, progress.best) == ([True, False, False, True], 0.6)


def test_what_is_no_number_or_was_not_measured_is_never_best() -> None:
    progress = Progress()
    assert not improves({"loss": math.nan}, None, "loss", progress)
    assert not improves({"loss": 1.0}, None, "valid_json", progress)
    assert progress.best is None
    assert improves({"loss": 1.0}, None, "loss", progress)
    assert not improves({"loss": math.nan}, None, "loss", progress)


def test_replies_to_fewer_prompts_are_compared_with_the_best_ones_on_those() -> None:
    found, progress = best_of([0, 1, 1, 1], [1, 0])
    assert found == [True, False], "both have one of the first two right"
    found, progress = best_of([0, 1, 1, 1], [1, 1])
    assert found == [True, True], "two of two instead of one of two"
    assert (progress.best, progress.best_counts) == (1.0, [[1, 1], [1, 1]])


def test_a_share_of_all_that_is_lower_may_be_the_better_one_on_the_same_prompts() -> None:
    found, progress = best_of([0, 0, 1, 1, 1, 1], [0, 1, 0])
    assert found == [True, False], "one of three each"
    found, progress = best_of([0, 0, 0, 1, 1, 1, 1, 1], [1, 0, 0])
    assert found == [True, True]
    assert progress.best == pytest.approx(1 / 3)


def test_arguments_are_pooled_over_prompts() -> None:
    class Arguments(Hits):
        def counts(self, figure: str) -> list[tuple[int, int]]:
            return [(1, 1), (0, 3)]

    progress = Progress()
    assert improves({"correct": 0.25}, Arguments([1, 0]), "correct", progress)
    assert progress.best_counts == [[1, 1], [0, 3]]
    assert not improves({"correct": 0.25}, Arguments([0, 1]), "correct", progress)
    assert improves({"correct": 0.3}, Arguments([0, 1]), "correct", progress)


def test_the_figures_one_may_follow_are_those_of_validation_and_of_the_scorer() -> None:
    assert set(get_args(GeneratedMetric)) == set(MEANINGS)
    assert set(LOWER_IS_BETTER) < set(get_args(MeasuredMetric))
