"""Which weights are best: by any figure, and over the same prompts where replies are compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import pytest

from evaluation.figures import MEANINGS
from training.best import LOWER_IS_BETTER, WITHOUT_REPLIES, improves
from training.progress import Progress
from training.sections import GeneratedMetric, MeasuredMetric, PreferenceMetric


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

    def counts(self, figure: str) -> list[tuple[int, ...]]:
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
    found = [improves({metric: value}, None, metric, progress) for value in (3.0, 2.0, 2.0, 2.5)]
    assert (found, progress.best) == ([True, True, False, False], 2.0)


def test_a_higher_accuracy_is_better_and_an_equal_one_not() -> None:
    progress = Progress()
    found = [
        improves({"loss": 9.0 - value, "token_accuracy": value}, None, "token_accuracy", progress)
        for value in (0.5, 0.4, 0.5, 0.6)
    ]
    assert (found, progress.best) == ([True, False, False, True], 0.6)


def test_nan_or_an_unmeasured_figure_is_never_best() -> None:
    progress = Progress()
    assert not improves({"loss": math.nan}, None, "loss", progress)
    assert not improves({"loss": 1.0}, None, "valid_json", progress)
    assert progress.best is None
    assert improves({"loss": 1.0}, None, "loss", progress)
    assert not improves({"loss": math.nan}, None, "loss", progress)


def test_replies_to_fewer_prompts_are_compared_on_those_prompts() -> None:
    found, progress = best_of([0, 1, 1, 1], [1, 0])
    assert found == [True, False], "both have one of the first two right"
    found, progress = best_of([0, 1, 1, 1], [1, 1])
    assert found == [True, True], "two of two instead of one of two"
    assert (progress.best, progress.best_counts) == (1.0, [[1, 1], [1, 1]])


def test_a_lower_share_may_win_on_the_same_prompts() -> None:
    found, progress = best_of([0, 0, 1, 1, 1, 1], [0, 1, 0])
    assert found == [True, False], "one of three each"
    found, progress = best_of([0, 0, 0, 1, 1, 1, 1, 1], [1, 0, 0])
    assert found == [True, True]
    assert progress.best == pytest.approx(1 / 3)


def test_arguments_are_pooled_over_prompts() -> None:
    progress = Progress()
    assert followed(progress, "argument_recall", [(1, 1), (0, 3)])
    assert (progress.best, progress.best_counts) == (0.25, [[1, 1], [0, 3]])
    assert not followed(progress, "argument_recall", [(0, 1), (1, 3)])
    assert followed(progress, "argument_recall", [(0, 1), (2, 3)])
    assert not followed(progress, "argument_recall", [(0, 0), (0, 0)]), "nothing is counted"


CALLED, NOT_CALLED = (1, 1, 0, 0), (0, 1, 0, 0)
TOLD, NOT_TOLD = (0, 0, 1, 1), (0, 0, 0, 1)


def followed(progress: Progress, metric: str, counts: list[tuple[int, ...]]) -> bool:
    """Let an evaluation with these counts follow; whether it is the best so far."""

    class Counted(Hits):
        def counts(self, figure: str) -> list[tuple[int, ...]]:
            return counts

    return improves({"loss": 1.0}, Counted([0] * len(counts)), metric, progress)


def test_balanced_follows_calls_and_texts_alike() -> None:
    progress = Progress()
    assert followed(progress, "balanced", [NOT_CALLED, NOT_CALLED, TOLD, TOLD, TOLD])
    assert progress.best == 0
    assert followed(progress, "balanced", [CALLED, NOT_CALLED, TOLD, NOT_TOLD, TOLD])
    assert progress.best == pytest.approx(2 / (2 + 3 / 2))
    assert not followed(progress, "balanced", [NOT_CALLED, CALLED, TOLD, TOLD, NOT_TOLD])
    assert followed(progress, "balanced", [NOT_CALLED, CALLED, TOLD, TOLD, TOLD])


def test_balanced_of_fewer_prompts_uses_those_prompts_and_sides() -> None:
    best = [CALLED, TOLD, NOT_TOLD, NOT_CALLED, CALLED]
    progress = Progress()
    assert followed(progress, "balanced", best)
    assert not followed(progress, "balanced", [CALLED, NOT_TOLD, TOLD]), "1 and 1/2 both"
    assert followed(progress, "balanced", [CALLED, TOLD, TOLD])
    assert progress.best_counts == [list(row) for row in (CALLED, TOLD, TOLD)]
    assert not followed(progress, "balanced", [CALLED]), "one side is left, and all right as before"
    calls = Progress()
    assert followed(calls, "balanced", [NOT_CALLED])
    assert followed(calls, "balanced", [CALLED])
    assert calls.best == 1


def test_the_best_figure_is_kept_as_it_was_reported() -> None:
    progress = Progress()
    assert improves({"correct": 2 / 3}, Hits([1, 1, 0]), "correct", progress)
    assert progress.best == 2 / 3


def test_best_metrics_are_those_of_validation_and_the_scorer() -> None:
    assert set(get_args(GeneratedMetric)) == set(MEANINGS)
    measured = {*get_args(MeasuredMetric), *get_args(PreferenceMetric)}
    assert set(LOWER_IS_BETTER) < measured == set(WITHOUT_REPLIES)


def test_weights_that_are_not_allowed_are_never_best() -> None:
    progress = Progress()
    assert not improves({"loss": 1.0}, None, "loss", progress, allowed=False)
    assert (progress.best, progress.without_improvement) == (None, 1)
    assert improves({"loss": 2.0}, None, "loss", progress)
