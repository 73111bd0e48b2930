"""A frozen linear layer whose weight is stored in fewer bits: what its kinds have in common.

model/nf4.py and model/fp8.py are the kinds; weights/building.py makes a layer of a weight.

Shapes: T tokens, I inputs, O outputs.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NF4_KINDS = ("nf4", "nf4_double")
# How a model's linear layers may be stored.
QUANTIZATIONS = (*NF4_KINDS, "fp8")


class QuantizedLinear(nn.Module):
    """A frozen linear layer that passes gradients on and has none.

    Everything but the bias is a buffer of bytes, so that a cast of the model leaves it as it is.
    """

    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_parameter("bias", None)

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """Return the weight [O, I], rounded once."""
        raise NotImplementedError

    def product(self, x: Tensor) -> Tensor:
        """Return x [T, I] times the weight [T, O] in x's dtype, without a gradient."""
        return F.linear(x, self.dequantized(x.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] to [T, O]."""
        return self.with_bias(_Multiply.apply(x, self))

    def with_bias(self, product: Tensor) -> Tensor:
        """Return a product [T, O] plus the bias, if there is one."""
        return product if self.bias is None else product + self.bias.type_as(product)


class _Multiply(torch.autograd.Function):
    """x [T, I] times a quantised weight, which is dequantised for the gradient of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: QuantizedLinear) -> Tensor:
        ctx.linear = linear
        return linear.product(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] @ ctx.linear.dequantized(gradients[0].dtype), None
