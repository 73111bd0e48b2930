"""Which weights are the best so far: by a figure of validation, or of generated replies.

Figures of replies are compared over the same prompts. Where a later evaluation reaches fewer in
its time, the best one so far is measured again on those, from what each prompt added to it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from training.backends import Backend
from training.checkpoint import Progress

LOWER_IS_BETTER = ("loss", "perplexity")


class Outcome(Protocol):
    """What was made of the replies to a sample's first prompts; the same on every rank."""

    @property
    def figures(self) -> Mapping[str, float]:
        """The scorer's figures, and how many prompts were replied to."""

    @property
    def reached(self) -> int:
        """How many prompts were replied to."""

    @property
    def line(self) -> str:
        """The figures in a line of the console."""

    @property
    def texts(self) -> Mapping[str, str]:
        """Some replies as Markdown, by a name that is the same each time."""

    def counts(self, figure: str) -> Sequence[tuple[int, int]]:
        """Return what each prompt adds to a figure: hits, and of how many."""


class Generated(Protocol):
    """Lets a model reply to a fixed sample; every rank calls it, with the same `most`."""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the prompts, of what is wanted of them, and of what a reply may be."""

    def __call__(self, backend: Backend, most: int | None) -> Outcome:
        """Reply to the first `most` prompts, None for all, as far as there is time."""


def improves(
    figures: Mapping[str, float], outcome: Outcome | None, metric: str, progress: Progress
) -> bool:
    """Remember a new best figure; never NaN, and never one that this validation has not.

    Of equal ones the first stays.
    """
    counts: Sequence[tuple[int, int]] = ()
    before = progress.best
    if outcome is not None and metric in outcome.figures:
        counts = outcome.counts(metric)
        before = share(progress.best_counts[: outcome.reached])
    found = figures.get(metric, math.nan)
    sign = -1 if metric in LOWER_IS_BETTER else 1
    if math.isnan(found) or (before is not None and not sign * found > sign * before):
        return False
    progress.best, progress.best_counts = found, [list(each) for each in counts]
    return True


def share(counts: Sequence[Sequence[int]]) -> float | None:
    """Return the hits of all by what was counted; None where nothing was."""
    counted = sum(of for _, of in counts)
    return sum(hits for hits, _ in counts) / counted if counted else None
