"""What each step trains on, on its device: made and sent while the step before it is computed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

import torch

from data.batches import Batch, Batches


class StepData(NamedTuple):
    """This rank's micro-batches of a step; all counts are those of all ranks.

    trained, tokens: The tokens to be predicted, and all.
    groups: The conversations, or where several belong together, the groups.
    figures, texts: What was measured and seen while the step was made, reported with it.
    seconds: What making it took, by what for.
    rows: Reads the ids of its conversations.
    fresh: Whether the weights are those that drew what it trains on; no step was taken since.
    """

    batches: list[Batch]
    trained: int
    tokens: int
    groups: int
    figures: Mapping[str, float] = MappingProxyType({})
    texts: Mapping[str, str] = MappingProxyType({})
    seconds: Mapping[str, float] = MappingProxyType({})
    rows: Callable[[], Sequence[str]] = list
    fresh: bool = False


class Steps(Protocol):
    """What the loop asks for the steps of a run."""

    @property
    def steps_per_epoch(self) -> int:
        """The steps of an epoch."""

    def step(self, number: int) -> StepData:
        """Return step `number`, counted from 0."""

    def prepare(self, number: int) -> None:
        """Make what can be made of step `number` while the one before it is computed."""


class Feed:
    """The steps of a run over a dataset in their order, as one rank trains them on `device`.

    `prepare` is called when the work of a step has been given to the device and before its results
    are read: there the host would do nothing but wait. `id_of` returns a conversation's id.
    """

    def __init__(
        self, batches: Batches, device: torch.device, id_of: Callable[[int], str] = str
    ) -> None:
        self.batches, self.device, self.id_of = batches, device, id_of
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
            trained, tokens = self.batches.counts(number)
            groups, rows = len(self.batches.groups(number)), partial(self._rows, number)
            self._ahead = {number: StepData(batches, trained, tokens, groups, rows=rows)}

    def _rows(self, number: int) -> list[str]:
        return [self.id_of(index) for index in self.batches.conversations(number)]
