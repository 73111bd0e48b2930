"""Cross entropy at the trained positions, in chunks, with its gradient made on the way forward.

Shapes: N trained positions, D width, V vocabulary, C rows of a chunk. Memory is the chunk's
logits (C V float32 and C V in the model's dtype) and the gradient [N, D]; never N V.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_BYTES = {"cpu": 32 * 2**20, "cuda": 512 * 2**20}


def summed_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return the summed loss, a float32 scalar, of hidden [N, D] and weight [V, D].

    Bind `targets` [N] with functools.partial to use it as a model's `head`.
    """
    return _SummedCrossEntropy.apply(hidden, weight, targets)  # type: ignore[no-any-return]


def loss_and_hits(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return [summed loss, positions whose most likely token is the target], float32 [2]."""
    sums = torch.zeros(2, device=hidden.device)
    for rows, goals in _chunks(hidden, weight, targets):
        logits = F.linear(rows, weight).float()
        sums[0] += F.cross_entropy(logits, goals, reduction="sum")
        sums[1] += (logits.argmax(-1) == goals).sum()
    return sums


class _SummedCrossEntropy(torch.autograd.Function):
    """The gradient of the logits is at hand when the loss is: d hidden = (softmax - 1_target) W.

    Making it in the forward pass saves computing the logits twice or keeping them.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        wants_hidden, wants_weight, _ = ctx.needs_input_grad
        loss = torch.zeros((), device=hidden.device)
        hidden_gradients = []
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        for rows, goals in _chunks(hidden, weight, targets):
            logits = F.linear(rows, weight)
            log_probabilities = F.log_softmax(logits, dim=-1, dtype=torch.float32)
            loss -= log_probabilities.gather(1, goals[:, None]).sum()
            if not (wants_hidden or wants_weight):
                continue
            gradient = log_probabilities.exp_()
            gradient.scatter_add_(1, goals[:, None], gradient.new_full((len(goals), 1), -1.0))
            gradient = gradient.to(logits.dtype)
            hidden_gradients.append(gradient @ weight.to(logits.dtype))
            if weight_gradient is not None:
                weight_gradient += gradient.t() @ rows.to(logits.dtype)
        ctx.shape_and_dtype = hidden.shape, hidden.dtype
        ctx.save_for_backward(
            torch.cat(hidden_gradients) if hidden_gradients else None, weight_gradient
        )
        ctx.weight_dtype = weight.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        shape, dtype = ctx.shape_and_dtype
        if hidden_gradient is None:
            hidden_gradient = incoming[0].new_zeros(shape)
        if weight_gradient is not None:
            weight_gradient = (weight_gradient * incoming[0]).to(ctx.weight_dtype)
        return (hidden_gradient * incoming[0]).to(dtype), weight_gradient, None


def _chunks(hidden: Tensor, weight: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Split the rows so that one chunk's float32 logits stay within the device's budget."""
    size = max(1, CHUNK_BYTES[hidden.device.type] // (4 * weight.shape[0]))
    if not len(targets):
        return []
    return list(zip(hidden.split(size), targets.split(size), strict=True))
