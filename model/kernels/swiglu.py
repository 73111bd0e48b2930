"""SwiGLU's product, which keeps its two inputs alone for the backward pass.

Shapes: T tokens, F hidden width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def swiglu(gate: Tensor, value: Tensor) -> Tensor:
    """Return silu(gate) * value of gate and value [T, F]; the backward pass computes silu again."""
    if not torch.is_grad_enabled():
        return _product(gate, value)
    return _SwiGLU.apply(gate, value)  # type: ignore[no-any-return]


def _product(gate: Tensor, value: Tensor) -> Tensor:
    return F.silu(gate).mul_(value)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(gate, value)
        return _product(gate, value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gate, value = ctx.saved_tensors
        # In place, and the gradient of silu over what it is made of: two tensors, not four.
        of_gate = gradients[0] * value
        torch.ops.aten.silu_backward.grad_input(of_gate, gate, grad_input=of_gate)
        return of_gate, F.silu(gate).mul_(gradients[0])
