"""How many steps a run takes: epochs, steps or a budget of tokens, whichever ends first."""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from data.batches import Batches, epoch_order

if TYPE_CHECKING:
    from training.sections import TrainingSection


class Epochs(Protocol):
    """What a run counts its steps by; `Batches` are one."""

    @property
    def steps_per_epoch(self) -> int:
        """The steps of an epoch."""


def run_length(training: "TrainingSection", batches: Epochs) -> int:
    """Return the steps of a whole run, counted from its start, on any number of devices."""
    limits = []
    if training.epochs is not None:
        limits.append(training.epochs * batches.steps_per_epoch)
    if training.max_steps is not None:
        limits.append(training.max_steps)
    if training.max_tokens is not None:
        assert isinstance(batches, Batches), "tokens are counted before they are drawn"
        limits.append(steps_within(training.max_tokens, batches))
    return min(limits)


def steps_within(budget: int, batches: Batches) -> int:
    """Return the most steps whose conversations have together no more tokens than `budget`.

    Raises ValueError where the first step has more.
    """
    lengths = batches.lengths
    epochs, rest = divmod(budget, int(lengths.sum()))
    order = epoch_order(len(lengths), batches.seed, epochs)
    starts = np.arange(0, len(order), batches.batch_size)
    after = np.cumsum(np.add.reduceat(lengths[order], starts))
    steps = epochs * batches.steps_per_epoch + int(np.searchsorted(after, rest, side="right"))
    if steps == 0:
        raise ValueError(
            f"training.max_tokens is {budget}, and the first step alone has {after[0]} tokens; "
            f"set it to {after[0]} or more, or training.batch_size lower"
        )
    return steps
