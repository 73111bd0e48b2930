"""The objective of rewards: what was better than its group becomes likelier, within a clip.

Each token that the model drew has the advantage of its reply. Its loss is that of group-relative
policy optimisation (DeepSeekMath, arXiv:2402.03300, section 4.1), summed over tokens and divided by
all tokens of the step that are trained, as training/loss.py does it for supervised training: a long
reply weighs more than a short one, and no group or rank weighs more than its tokens.

Shapes: N drawn tokens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from data.batches import Batch
from model.lora.adapter import adapter_off
from model.lora.vocabulary import Widened
from training.backends import Backend
from training.feed import StepData
from training.loss import row_losses
from training.objective import batch_loss, measured

if TYPE_CHECKING:
    from training.reward_section import RewardSection


# How far trainer and generator may be apart, a mean over tokens; docs/rewards.md states it.
MISMATCH_BOUNDS = {"float32": 1e-5, "bfloat16": 3e-2, "float16": 3e-2}


@dataclass(frozen=True)
class Clip:
    """How far a probability may move from that at its draw: from 1 - low to 1 + high times."""

    low: float
    high: float


def token_losses(
    logprobs: Tensor, old: Tensor, advantages: Tensor, clip: Clip
) -> tuple[Tensor, Tensor]:
    """Return the loss of each token, and whether the clip holds it, all [N].

    A token that is held teaches nothing: its probability has moved as far as its draw allows, the
    way its advantage points.
    """
    ratio = (logprobs - old).exp()
    clipped = ratio.clamp(1 - clip.low, 1 + clip.high)
    free, held = ratio * advantages, clipped * advantages
    return -torch.minimum(free, held), held < free


def distances(logprobs: Tensor, reference: Tensor) -> Tensor:
    """Return an estimate of each token's distance from the reference's distribution, [N].

    It is never negative, and its mean over draws is the Kullback-Leibler divergence
    (Schulman, "Approximating KL divergence", the third estimator).
    """
    difference = reference - logprobs
    return difference.exp() - difference - 1


class Reward:
    """Clipped ratios of drawn tokens by their advantages; with `kl`, held near the base.

    A batch has `values` of each row: its `advantage`, and `old`, the log-probability that the
    generator gave it at `temperature`. Of the figures, `mismatch` is how far the trainer's
    log-probability is from that (where no step was taken since the draw, rounding alone), and
    `clipped` the share of tokens that the clip holds.
    """

    def __init__(
        self, clip: Clip, kl: float = 0.0, temperature: float = 1.0, dtype: str = "float32"
    ) -> None:
        self.clip, self.kl, self.temperature, self.dtype = clip, kl, temperature, dtype
        self.names: tuple[str, ...] = ("mismatch", "clipped", *(("kl",) if kl else ()))

    @staticmethod
    def of(settings: "RewardSection", dtype: str) -> "Reward":
        """Return the objective of a run's settings, computed in the dtype of this name."""
        above = settings.clip if settings.clip_above is None else settings.clip_above
        return Reward(Clip(settings.clip, above), settings.kl, settings.temperature, dtype)

    def count(self, data: StepData) -> float:
        """Return the drawn tokens of the step, 1 where there are none."""
        return max(data.trained, 1)

    def loss(self, backend: Backend, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the summed loss of a micro-batch, and the sums of `names`."""
        batch = batch.to(backend.device)
        assert batch.values is not None, "a batch of drawn replies has values"
        old, advantages = batch.values["old"], batch.values["advantage"]
        reference = self._reference(backend, batch) if self.kl else None
        logprobs = self._logprobs(backend, batch)
        losses, held = token_losses(logprobs, old, advantages, self.clip)
        sums = [(logprobs.detach() - old).abs().sum(), held.sum()]
        if reference is not None:
            apart = distances(logprobs, reference)
            losses = losses + self.kl * apart
            sums.append(apart.detach().sum())
        return losses.sum(), torch.stack([value.float() for value in sums])

    def doubt(self, data: StepData, figures: Mapping[str, float]) -> str:
        """Return that `mismatch` is above its bound where rounding alone can have made it."""
        bound, found = MISMATCH_BOUNDS[self.dtype], figures["mismatch"]
        if not data.fresh or found <= bound:
            return ""
        return (
            f"mismatch is {found:.2g} on replies just drawn, wanted at most {bound:g} in "
            f"{self.dtype}: generator and trainer do not compute the same model; "
            "docs/rewards.md tells what it means"
        )

    def validate(self, backend: Backend, batches: Iterable[Batch]) -> dict[str, float]:
        """Return loss, perplexity and token accuracy of the recorded conversations."""
        return measured(batches, backend)

    def _logprobs(self, backend: Backend, batch: Batch) -> Tensor:
        return -batch_loss(backend, batch, partial(_losses_at, temperature=self.temperature))

    @torch.no_grad()
    def _reference(self, backend: Backend, batch: Batch) -> Tensor:
        with adapter_off(backend.model):
            return self._logprobs(backend, batch)


def _losses_at(
    hidden: Tensor, weight: Tensor | Widened, targets: Tensor, temperature: float
) -> Tensor:
    """Return `row_losses` of logits divided by a temperature."""
    return row_losses(hidden if temperature == 1 else hidden / temperature, weight, targets)
