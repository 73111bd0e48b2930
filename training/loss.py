"""Cross entropy at the trained positions, part by part, with its gradient made on the way forward.

The gradient of a row's loss with respect to its hidden state is the softmax's mean of the
vocabulary's vectors minus the target's vector: an attention of the row over the vocabulary, with
the weight as keys and values. So it is computed as one, with a running maximum and total, and
neither logits nor probabilities of a whole row are ever held.

Shapes: N trained positions, D width, V vocabulary, R rows of a block, P vocabulary of a part.
Memory is R P logits (float32 and the model's dtype) and the gradient [N, D], whatever N and V.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Rows and vocabulary entries at once: on CPU what stays in the last cache, on CUDA what keeps the
# matrix products large (0.5 GiB of logits).
BLOCK = {"cpu": (512, 2048), "cuda": (8192, 8192)}


def summed_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return the summed loss, a float32 scalar, of hidden [N, D] and weight [V, D].

    Bind `targets` [N] with functools.partial to use it as a model's `head`.
    """
    return _SummedCrossEntropy.apply(hidden, weight, targets)  # type: ignore[no-any-return]


def loss_and_hits(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return [summed loss, positions whose most likely token is the target], float32 [2]."""
    sums = torch.zeros(2, device=hidden.device)
    for rows, goals in _blocks(hidden, targets):
        softmax = _RunningSoftmax(rows)
        best, likeliest = rows.new_full((len(rows),), float("-inf")), torch.zeros_like(goals)
        for start, part in _parts(weight):
            logits = F.linear(rows, part)
            softmax.add(logits)
            top, index = logits.max(1)
            likeliest = torch.where(top > best, index + start, likeliest)
            best = torch.maximum(top, best)
        sums[0] += (softmax.log_total() - _logits_at(goals, rows, weight)).sum()
        sums[1] += (likeliest == goals).sum()
    return sums


class _RunningSoftmax:
    """The maximum and the sum of exponentials of each row's logits, over the parts seen so far."""

    def __init__(self, rows: Tensor) -> None:
        self.maximum = rows.new_full((len(rows), 1), float("-inf"), dtype=torch.float32)
        self.total = torch.zeros_like(self.maximum)

    def add(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Take in logits [R, P]; return their exponentials over the new maximum, float32 [R, P].

        Also return what to multiply earlier sums of exponentials by, [R, 1].
        """
        maximum = torch.maximum(self.maximum, logits.amax(1, keepdim=True))
        exponentials = (logits - maximum).exp_()
        shrink = (self.maximum - maximum).exp_()
        self.total = self.total * shrink + exponentials.sum(1, keepdim=True)
        self.maximum = maximum
        return exponentials, shrink

    def log_total(self) -> Tensor:
        """Return the logarithm of the sum of all exponentials, float32 [R]."""
        return (self.total.log() + self.maximum)[:, 0]


class _SummedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        loss, hidden_gradients = torch.zeros((), device=hidden.device), []
        weight_gradient = None
        if ctx.needs_input_grad[1]:
            weight_gradient = torch.zeros_like(weight, dtype=torch.float32)
        for rows, goals in _blocks(hidden, targets):
            softmax, mean = _RunningSoftmax(rows), torch.zeros_like(rows, dtype=torch.float32)
            for _, part in _parts(weight):
                logits = F.linear(rows, part)
                exponentials, shrink = softmax.add(logits)
                mean.mul_(shrink).add_(exponentials.to(logits.dtype) @ part.to(logits.dtype))
            log_total = softmax.log_total()
            loss += (log_total - _logits_at(goals, rows, weight)).sum()
            hidden_gradients.append(mean.div_(softmax.total).sub_(weight[goals]))
            if weight_gradient is not None:
                _add_weight_gradient(weight_gradient, rows, weight, goals, log_total)
        ctx.save_for_backward(torch.cat(hidden_gradients), weight_gradient)
        ctx.dtypes = hidden.dtype, weight.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden_gradient, weight_gradient = (
            None if gradient is None else (gradient * incoming[0]).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return hidden_gradient, weight_gradient, None


def _add_weight_gradient(
    gradient: Tensor, rows: Tensor, weight: Tensor, goals: Tensor, log_total: Tensor
) -> None:
    """Add (probabilities - 1 at the target)^T rows, with the logits computed a second time.

    Only full fine-tuning needs it; the probabilities are not known before the last part is seen.
    """
    for start, part in _parts(weight):
        logits = F.linear(rows, part)
        probabilities = (logits - log_total[:, None]).exp_().to(logits.dtype)
        gradient[start : start + len(part)] += probabilities.t() @ rows.to(logits.dtype)
    gradient.index_add_(0, goals, rows.float(), alpha=-1)


def _logits_at(goals: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """Return the target's logit of each row [R], rounded as the matrix product rounds it.

    Unrounded it would differ from the same logit inside the total, and a certain row's loss
    from 0.
    """
    dtype = F.linear(rows[:1], weight[:1]).dtype
    products = rows.to(dtype).float() * weight[goals].to(dtype).float()
    return products.sum(1).to(dtype).float()


def _blocks(hidden: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows [R, D] of each block and their targets [R]; one empty block for none."""
    size = BLOCK[hidden.device.type][0]
    return zip(hidden.split(size), targets.split(size), strict=True)


def _parts(weight: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield the first entry of each part of the vocabulary, and its vectors [P, D]."""
    size = BLOCK[weight.device.type][1]
    return zip(range(0, len(weight), size), weight.split(size), strict=True)
