"""The optimizer's step inside the backward pass: a gradient lives until its weight is updated.

Of all weights' gradients only one is there at a time, so nothing can look at all of them before the
first update: neither clipping nor a second micro-batch of the same step.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakMethod

import torch
from torch import Tensor, nn

from data.batches import Batches
from training.length import run_length

if TYPE_CHECKING:
    from training.config import Config


class StepInBackward:
    """Updates each parameter as soon as its whole gradient is there, and frees the gradient.

    A tied weight has one gradient, the sum of its uses', so it is updated once.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        self.optimizer = optimizer
        self.parameters = list(parameters.values())
        self.norms: dict[nn.Parameter, Tensor] = {}
        # Python's collector does not see what a tensor's hooks refer to: a strong reference to the
        # parameters, through `self`, would keep them forever.
        update = WeakMethod(self._update)
        for parameter in self.parameters:
            parameter.register_post_accumulate_grad_hook(lambda tensor: update()(tensor))  # type: ignore[misc]

    def begin_step(self, learning_rate: float, micro_batches: int) -> None:
        """Set the rate of the step to come; ValueError where it has several micro-batches."""
        if micro_batches > 1:
            raise ValueError(
                f"this step has {micro_batches} micro-batches, and optimizer.in_backward takes "
                "one; raise training.micro_batch_tokens, or add --optimizer.in_backward=false"
            )
        self.norms.clear()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def _update(self, parameter: Tensor) -> None:
        assert isinstance(parameter, nn.Parameter) and parameter.grad is not None
        self.norms[parameter] = nn.utils.get_total_norm([parameter.grad])
        # This is the only parameter with a gradient, so it is the only one that is updated.
        self.optimizer.step()
        parameter.grad = None

    def norm(self) -> Tensor:
        """Return the norm of all gradients of the step, on the device."""
        norms = [self.norms[p] for p in self.parameters if p in self.norms]
        return torch.linalg.vector_norm(torch.stack(norms))


def check_one_micro_batch(config: "Config", batches: Batches) -> None:
    """Raise ValueError where a step of the run would take more than the one micro-batch it may."""
    if not config.optimizer.in_backward:
        return
    total_steps = run_length(config.training, batches)
    split = [step for step in range(total_steps) if len(batches.indices(step)) > 1]
    if split:
        lengths = batches.dataset.lengths
        longest = max(int(lengths[batches.conversations(step)].sum()) for step in split)
        raise ValueError(
            f"{len(split)} of {total_steps} steps take more than one micro-batch of "
            f"{batches.micro_batch_tokens} tokens, and optimizer.in_backward takes one; add "
            f"--training.micro_batch_tokens={longest}, a smaller --training.batch_size, or "
            "--optimizer.in_backward=false"
        )
