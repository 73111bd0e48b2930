"""Which weights are the best so far: by a figure of validation, or of generated replies.

Figures of replies are compared over the same prompts. Where a later evaluation reaches fewer in
its time, the best one so far is measured again on those, from what each prompt added to it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import harmonic_mean
from typing import Protocol

from training.backends import Backend
from training.progress import Progress

LOWER_IS_BETTER = ("loss", "perplexity")
# The loss on the plain text of validation.gate.
TEXT_LOSS = "text_bits_per_byte"
# All others are figures of replies.
WITHOUT_REPLIES = (*LOWER_IS_BETTER, "token_accuracy", "margin", "accuracy")


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

    def counts(self, figure: str) -> Sequence[tuple[int, ...]]:
        """Return what each prompt adds to a figure: hits, and of how many, for each side of it."""


class Generated(Protocol):
    """Lets a model reply to a fixed sample; every rank calls it, with the same `most`."""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the prompts, of what is wanted of them, and of what a reply may be."""

    @property
    def warning(self) -> str:
        """What to say of the sample before training; empty for nothing."""

    def measures(self, figure: str) -> bool:
        """Return whether a figure can be computed of the replies to these prompts."""

    def __call__(
        self, backend: Backend, most: int | None, look: Callable[[], None] | None = None
    ) -> Outcome:
        """Reply to the first `most` prompts, None for all, as far as there is time.

        `look` is called between passes, equally often on every rank; what it raises ends this.
        """


def improves(
    figures: Mapping[str, float],
    outcome: Outcome | None,
    metric: str,
    progress: Progress,
    scheduled: bool = True,
    allowed: bool = True,
) -> bool:
    """Remember a new best figure; always finite, and never one that this validation has not.

    Of equal ones the first stays; weights that are not `allowed` are never best. Counts the
    validations since that measured the figure, but for one that is not `scheduled`, at the end of a
    run that may be resumed longer.
    """
    counts: Sequence[tuple[int, ...]] = ()
    found, before = figures.get(metric), progress.best
    if metric not in WITHOUT_REPLIES:
        counts = outcome.counts(metric) if outcome else ()
        found, before = share(counts), share(progress.best_counts[: len(counts)])
    if scheduled and (metric in WITHOUT_REPLIES or outcome):
        # A validation that did not measure the figure says nothing of it.
        progress.without_improvement += 1
    if not allowed or found is None or not math.isfinite(found):
        return False
    sign = -1 if metric in LOWER_IS_BETTER else 1
    if before is not None and not sign * found > sign * before:
        return False
    progress.without_improvement = 0
    # As reported, and not rounded in another way.
    progress.best = figures.get(metric, found)
    progress.best_counts = [list(row) for row in counts]
    return True


def share(counts: Sequence[Sequence[int]]) -> float | None:
    """Return the hits of all by what was counted, of several sides the harmonic mean.

    A side that no prompt is of is left out: of the same prompts, it is so for all weights. None
    where nothing was counted.
    """
    sums = [sum(column) for column in zip(*counts, strict=True)]
    pairs = zip(sums[0::2], sums[1::2], strict=True)
    shares = [hits / of for hits, of in pairs if of]
    return harmonic_mean(shares) if shares else None
