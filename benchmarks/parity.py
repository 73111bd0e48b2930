"""Before anything is timed: do both sides compute the same, in float32.

The first loss and all gradients are compared, then the losses and gradient norms of steps that
repeat one batch, so that a wrong update shows.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.ours import Step, random_batches
from data.batches import Batches
from model.config import ModelConfig

LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
# After steps of an optimizer that divides by the gradient's size, rounding has grown.
STEPPED_TOLERANCE = 1e-4
NORM_TOLERANCE = 1e-3
# The first loss and its gradients are of so many conversations, in parts that fit beside two
# models; the steps repeat fewer.
CONVERSATIONS, REPEATED = 8, 2
TOKENS = 2048
COMPARED = (0, 1, 5)


class Side(Protocol):
    """What is compared: something that takes optimizer steps."""

    name: str
    batches: Batches

    def use(self, batches: Batches) -> None:
        """Take these batches from now on."""

    def begin(self, dtype: torch.dtype) -> None:
        """Start anew with the first weights, computing in `dtype`."""

    def step(self, number: int) -> Step:
        """Take optimizer step `number`."""

    def loss_and_gradients(self, batches: Batches) -> tuple[float, dict[str, Tensor]]:
        """Return the mean loss of the first step and its gradients, without an update."""


@dataclass(frozen=True)
class Parity:
    """The float32 check of a side beside ours: losses, the gradient's norm, the differences.

    gradient_difference: The norm of the difference of all gradients, as a share of their norm.
    losses, norms: Ours and theirs, before, after one and after five steps.
    """

    peer: str
    ours: float
    theirs: float
    gradient_norm: float
    gradient_difference: float
    losses: list[tuple[float, float]]
    norms: list[tuple[float, float]]

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this check."""
        return {
            "peer": self.peer,
            "losses": [self.ours, self.theirs],
            "gradient_norm": round(self.gradient_norm, 6),
            "gradient_difference": self.gradient_difference,
            "losses_after_steps": dict(zip(COMPARED, self.losses, strict=True)),
            "norms_after_steps": dict(zip(COMPARED, self.norms, strict=True)),
        }

    def sentence(self, size: str) -> str:
        """Say it in one line."""
        (before, _), (one, their_one), (five, their_five) = self.losses
        return (
            f"{size}: {self.peer}: in float32 losses {self.ours:.6f} and {self.theirs:.6f}, "
            f"gradients of norm {self.gradient_norm:.4f} that differ by "
            f"{self.gradient_difference:.1e} of it; from {before:.6f}, after one step {one:.6f} "
            f"and {their_one:.6f}, after five {five:.6f} and {their_five:.6f}"
        )


def check_parity(ours: Side, peers: Sequence[Side], config: ModelConfig) -> Iterator[Parity]:
    """Yield what was compared of each peer; ValueError where more than rounding differs."""
    if not peers:
        return
    mine = _Proof.of(ours, config)
    for peer in peers:
        found = mine.beside(_Proof.of(peer, config), peer.name)
        _check(found)
        yield found


@dataclass(frozen=True)
class _Proof:
    loss: float
    gradients: dict[str, Tensor]
    steps: list[Step]

    @staticmethod
    def of(side: Side, config: ModelConfig) -> "_Proof":
        own = side.batches
        side.begin(torch.float32)
        loss, gradients = side.loss_and_gradients(random_batches(config, CONVERSATIONS, TOKENS))
        side.use(random_batches(config, REPEATED, TOKENS))
        steps = [side.step(0) for _ in range(1 + COMPARED[-1])]
        side.use(own)
        return _Proof(loss, gradients, steps)

    def beside(self, other: "_Proof", name: str) -> Parity:
        assert self.gradients.keys() == other.gradients.keys()
        norm = _norm(other.gradients)
        differences = {n: self.gradients[n] - other.gradients[n] for n in self.gradients}
        pairs = [(self.steps[number], other.steps[number]) for number in COMPARED]
        losses = [(mine.loss, theirs.loss) for mine, theirs in pairs]
        norms = [(mine.gradient_norm, theirs.gradient_norm) for mine, theirs in pairs]
        difference = _norm(differences) / norm
        return Parity(name, self.loss, other.loss, norm, difference, losses, norms)


def _check(found: Parity) -> None:
    steps = f"before, after one and after five steps losses {found.losses}, norms {found.norms}"
    if not (
        abs(found.ours - found.theirs) <= LOSS_TOLERANCE
        and found.gradient_difference <= GRADIENT_TOLERANCE
        and all(abs(ours - theirs) <= STEPPED_TOLERANCE for ours, theirs in found.losses)
        and all(abs(ours / theirs - 1) <= NORM_TOLERANCE for ours, theirs in found.norms)
    ):
        raise ValueError(
            f"the two sides do not compute the same, so their speeds say nothing: {found.peer} "
            f"has the loss {found.theirs:.7f} and ours is {found.ours:.7f} (may differ by "
            f"{LOSS_TOLERANCE}), gradients differ by {found.gradient_difference:.1e} of their norm "
            f"{found.gradient_norm:.4f} (may by {GRADIENT_TOLERANCE}); {steps} (losses may differ "
            f"by {STEPPED_TOLERANCE}, norms by {NORM_TOLERANCE} of them)"
        )


def _norm(tensors: dict[str, Tensor]) -> float:
    return math.sqrt(sum(tensor.double().square().sum().item() for tensor in tensors.values()))
