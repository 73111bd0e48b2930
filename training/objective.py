"""What a run trains: the loop asks its objective for losses and for figures, and knows no other.

An objective says what a step's loss is a mean over, so that the result does not depend on how the
step was split; training/loss.py gives it one value for each trained position.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from data.batches import Batch
from model.attention import Documents
from training.backends import Backend
from training.feed import StepData
from training.loss import loss_and_hits, summed_cross_entropy


class Objective(Protocol):
    """What the loop asks of whatever is trained; `names` are the figures beside a step's loss."""

    names: tuple[str, ...]

    def count(self, data: StepData) -> float:
        """Return what a step's sums are divided by: of all ranks, and known to each."""

    def loss(self, backend: Backend, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the summed loss of a micro-batch, a scalar, and the sums of `names`.

        A batch without a target has a loss too, 0, whose backward pass other ranks may wait for.
        """

    def doubt(self, data: StepData, figures: Mapping[str, float]) -> str:
        """Return why the figures of a step say that something is wrong; empty where they do not."""

    def validate(self, backend: Backend, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the figures of held-out batches, of all ranks together; one of them is loss."""


class Supervised:
    """Each trained token counts the same: the mean cross entropy over those of the whole step."""

    names: tuple[str, ...] = ()

    def count(self, data: StepData) -> float:
        """Return the trained tokens of the step."""
        return data.trained

    def loss(self, backend: Backend, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the summed cross entropy, and no figures."""
        loss = batch_loss(backend, batch, summed_cross_entropy)
        return loss, loss.new_empty(0)

    def doubt(self, data: StepData, figures: Mapping[str, float]) -> str:
        """Return nothing: no figure is promised."""
        return ""

    def validate(self, backend: Backend, batches: Iterable[Batch]) -> dict[str, float]:
        """Return loss, perplexity and token accuracy."""
        return measured(batches, backend)


def batch_loss(backend: Backend, batch: Batch, head: Callable[..., Tensor]) -> Tensor:
    """Run the model over a batch, with `head` in place of the vocabulary projection."""
    batch = batch.to(backend.device)
    return backend.forward(
        batch.tokens,
        batch.positions,
        Documents(batch.offsets, backend.device, batch.starts),
        output_positions=batch.rows,
        head=partial(head, targets=batch.targets),
    )


@torch.no_grad()
def measured(batches: Iterable[Batch], backend: Backend) -> dict[str, float]:
    """Return loss, perplexity and token accuracy over batches, of all ranks together."""
    backend.model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=backend.device)
    for batch in batches:
        sums[:2] += batch_loss(backend, batch, loss_and_hits)
        sums[2] += len(batch.targets)
    backend.model.train()
    loss, hits, count = backend.sum(sums).cpu().tolist()
    return {
        "loss": loss / count,
        "perplexity": math.exp(min(loss / count, 700)),
        "token_accuracy": hits / count,
    }
