"""The objective of preferences: of two replies to a prompt, the better one becomes likelier.

Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, equation 7). Smoothed labels
are Mitchell's (2023, "A note on DPO with noisy preferences"); log-probabilities by token without a
reference are SimPO's (Meng et al. 2024, arXiv:2405.14734, without its constant margin); supervised
loss beside it is that of Pang et al. 2024, arXiv:2404.19733.

Shapes: C conversations of a batch, P = C / 2 pairs: conversation 2p is the chosen reply of pair p
and 2p + 1 the rejected one.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from data.batches import Batch
from model.lora.adapter import adapter_off
from training.backends import Backend
from training.feed import StepData
from training.loss import row_losses
from training.objective import batch_loss

if TYPE_CHECKING:
    from training.preference_section import PreferenceSection

GROUP_SIZE = 2
# What a batch has of each conversation where the reference is not the model with its adapter off.
REFERENCE = "reference"


class Preference:
    """The mean over a step's pairs of how surely the chosen reply is the better one.

    Figures are means over pairs: `margin`, beta times how much further the chosen reply moved from
    the reference than the rejected one; `accuracy`, the share of pairs whose margin is above 0; and
    the log-probabilities a token of both. The reference is the model with its adapter off, or what
    a batch has of it in its `values`.
    """

    names: tuple[str, ...] = (
        "margin",
        "accuracy",
        "chosen_log_probability",
        "rejected_log_probability",
    )

    def __init__(self, settings: "PreferenceSection") -> None:
        self.settings = settings

    def count(self, data: StepData) -> float:
        """Return the pairs of the step."""
        return data.groups

    def loss(self, backend: Backend, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the summed loss of a micro-batch's pairs, and the sums of their figures."""
        batch = batch.to(backend.device)
        reference = self._reference(backend, batch)
        own = log_probabilities(backend, batch)
        losses, figures = pair_losses(own, reference, batch.row_counts(), self.settings)
        return losses.sum().float(), figures.sum(0).float()

    def doubt(self, data: StepData, figures: Mapping[str, float]) -> str:
        """Return nothing: no figure is promised."""
        return ""

    @torch.no_grad()
    def validate(self, backend: Backend, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the loss and the figures over held-out pairs."""
        backend.model.eval()
        names = ("loss", *self.names)
        sums = torch.zeros(1 + len(names), dtype=torch.float64, device=backend.device)
        for batch in batches:
            loss, figures = self.loss(backend, batch)
            sums[:-1] += torch.cat([loss.view(1), figures])
            # A rank with less to validate gets batches of one token, which are no pair.
            sums[-1] += (len(batch.offsets) - 1) // GROUP_SIZE
        backend.model.train()
        *totals, pairs = backend.sum(sums).cpu().tolist()
        return {name: total / pairs for name, total in zip(names, totals, strict=True)}

    @torch.no_grad()
    def _reference(self, backend: Backend, batch: Batch) -> Tensor:
        """Return the reference's log-probability of each conversation, float64 [C]."""
        if self.settings.reference_free:
            return torch.zeros(len(batch.offsets) - 1, dtype=torch.float64, device=backend.device)
        if batch.values is not None:
            return batch.values[REFERENCE]
        with adapter_off(backend.model):
            return log_probabilities(backend, batch)


def log_probabilities(backend: Backend, batch: Batch) -> Tensor:
    """Return the log-probability of each conversation's trained tokens, float64 [C].

    The log-probabilities of pairs are far larger than what they are compared by.
    """
    batch = batch.to(backend.device)
    losses = batch_loss(backend, batch, row_losses).double()
    # No length is negative, and they add up to the rows: to check it the host would wait.
    return -torch.segment_reduce(losses, "sum", lengths=batch.row_counts(), unsafe=True)


def pair_losses(
    own: Tensor, reference: Tensor, counts: Tensor, settings: "PreferenceSection"
) -> tuple[Tensor, Tensor]:
    """Return each pair's loss [P] and its figures [P, 4], as in `Preference.names`.

    Of each conversation, `own` and `reference` [C] are log-probabilities and `counts` [C] trained
    tokens; what is left over after whole pairs is no pair.
    """
    pairs = len(own) // GROUP_SIZE * GROUP_SIZE
    own, reference, counts = (x[:pairs].view(-1, GROUP_SIZE) for x in (own, reference, counts))
    by_token = own / counts
    moved = own - reference
    if settings.length_normalised:
        moved = moved / counts
    margin = settings.beta * (moved[:, 0] - moved[:, 1])
    share = settings.label_smoothing
    losses = -(1 - share) * F.logsigmoid(margin) - share * F.logsigmoid(-margin)
    losses = losses - settings.supervised_weight * by_token[:, 0]
    figures = torch.stack([margin, margin > 0, by_token[:, 0], by_token[:, 1]], 1)
    return losses, figures.detach()
