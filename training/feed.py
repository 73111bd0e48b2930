"""What each step trains on, on its device: made and sent while the step before it is computed."""

from typing import NamedTuple

import torch

from data.batches import Batch, Batches


class StepData(NamedTuple):
    """This rank's micro-batches of a step; the counts of tokens are those of all ranks."""

    batches: list[Batch]
    trained: int
    tokens: int


class Feed:
    """The steps of a run in their order, as one rank trains them on `device`.

    `prepare` is called when the work of a step has been given to the device and before its results
    are read: there the host would do nothing but wait.
    """

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self.batches, self.device = batches, device
        self._ahead: dict[int, StepData] = {}

    @property
    def steps_per_epoch(self) -> int:
        """The steps of an epoch."""
        return self.batches.steps_per_epoch

    def step(self, number: int) -> StepData:
        """Return step `number`, counted from 0; it is made now unless it was prepared."""
        self.prepare(number)
        return self._ahead.pop(number)

    def prepare(self, number: int) -> None:
        """Make step `number` and send it to the device, without waiting until it is there."""
        if number not in self._ahead:
            batches = [batch.to(self.device) for batch in self.batches.step(number)]
            # One step is ahead, no more; another that was prepared is not going to be taken.
            self._ahead = {number: StepData(batches, *self.batches.counts(number))}
