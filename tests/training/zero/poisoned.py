"""A loss that is not finite in some steps, on one rank."""

from typing import Any

from torch import Tensor

from training.feed import Feed, StepData
from training.objective import Supervised
from training.zero.ranks import Ranks

STEPS = (2, 5)  # one before the step that is resumed from, one after it


class Poisoned:
    """Makes the first micro-batch of each of STEPS not finite on the last rank."""

    def __init__(self, ranks: Ranks) -> None:
        self.last = ranks.rank == ranks.world_size - 1
        self.step, self.batch = 0, 0
        self.take, self.loss = Feed.step, Supervised.loss

    def taken(self, feed: Feed, number: int) -> StepData:
        self.step, self.batch = number + 1, 0
        return self.take(feed, number)

    def poisoned(self, objective: Supervised, *given: Any) -> tuple[Tensor, Tensor]:
        loss, figures = self.loss(objective, *given)
        self.batch += 1
        bad = self.last and self.step in STEPS and self.batch == 1
        return loss * float("nan") if bad else loss, figures
