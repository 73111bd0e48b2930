"""DoRA: the rows of the adapted weight keep their direction and get a trained length each.

The weight is magnitude * (W + scale * B A) / norm, where norm has the lengths of the rows of
W + scale * B A and counts as a constant in the backward pass (Liu et al. 2024, section 4.3).
The adapted weight is never held: of each row
|W + s B A|^2 = |W|^2 + 2 s (W A^T) . B + s^2 (A A^T B^T) . B,
where |W|^2 is known from the start and W A^T is the base layer's product with R rows more.

Shapes: T tokens, I inputs, O outputs, R rank, C some rows of the weight.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.lora.layers import LoraLinear, held_whole, with_bias

# Inputs whose columns of the weight are taken at once to find the length of its rows.
_COLUMNS = 1024
# Below it a row counts as zero.
_LEAST_NORM = torch.finfo(torch.float32).tiny


class DoraLinear(LoraLinear):
    """A LoRA whose weight's rows are scaled to the trained `lora_magnitude` [O].

    It starts with the lengths of the base's rows, and so as the base. The base is only ever called,
    so it may hold its weight in any way. Forward keeps one [T, O] more than LoRA for the backward
    pass, and beside it takes the product with R rows; in dropout it computes the base twice.
    """

    squares: Tensor

    def __init__(
        self, base: nn.Module, rank: int, scale: float, dropout: float = 0.0, bias: bool = False
    ) -> None:
        if hasattr(base.bias, "ds_shape"):
            raise ValueError(
                "lora.dora on layers with biases works at ZeRO stages 0 to 2, and the stage is 3; "
                "take stage 2, or lora.dora=false"
            )
        super().__init__(base, rank, scale, dropout, bias)
        with held_whole(base):
            squares = _squared_rows(base, self.lora_b)
        # As bytes, so that a cast of the model leaves it as it is.
        self.register_buffer("squares", squares.view(torch.uint8), persistent=False)
        self.lora_magnitude = nn.Parameter(squares.sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] to [T, O]."""
        seen: Tensor = self.dropout(x)
        plain = _without_bias(self.base, seen)
        inner = F.linear(seen, self.lora_a.type_as(x))
        adapted = torch.addmm(plain, inner, self.lora_b.type_as(x).t(), alpha=self.scale)
        # The factor less 1, which a lower precision rounds less than the factor.
        factor = self.lora_magnitude / self.norm(x.dtype)
        result = torch.addcmul(adapted, adapted, (factor - 1).type_as(x))
        if self.training and isinstance(self.dropout, nn.Dropout):
            # As in PEFT dropout acts on what is added to the base, and all of it but that is.
            return result + (self.of_base(x) - plain)
        bias: Any = self.base.bias if self.lora_bias is None else self.lora_bias
        return result if bias is None else result + bias.type_as(x)

    @torch.no_grad()
    def norm(self, dtype: torch.dtype) -> Tensor:
        """Return the lengths of the adapted weight's rows, float32 [O]; the base takes `dtype`."""
        a, b = self.lora_a.float(), self.lora_b.float()
        products = _without_bias(self.base, self.lora_a.to(dtype)).float().t()
        cross = (2 * self.scale) * products + (b @ (a @ a.t())).mul_(self.scale**2)
        squares = self.squares.view(torch.float32) + (cross * b).sum(1)
        return squares.clamp_(min=0).sqrt_().clamp_(min=_LEAST_NORM)

    def merged(self, weight: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return the base's weight with the adapter in it, in float32 or wider.

        weight [C, I] holds the C `rows` of the base's that are wanted.
        """
        adapted = super().merged(weight, rows)
        return adapted.mul_(self._factor(adapted, rows).to(adapted.dtype))

    def summed_magnitudes(self, weight: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return of each value of `merged` the sum of the magnitudes that it sums [C, I]."""
        factor = self._factor(super().merged(weight, rows), rows)
        summed = super().summed_magnitudes(weight, rows)
        return summed.mul_(factor.abs().to(summed.dtype))

    def _factor(self, adapted: Tensor, rows: slice) -> Tensor:
        """Return the factors of some rows of the adapted weight [C, I], float64 [C, 1]."""
        norm = torch.linalg.vector_norm(adapted, dim=1, keepdim=True, dtype=torch.float64)
        magnitude = self.lora_magnitude.detach()[rows].double()
        return magnitude[:, None] / norm.clamp_(min=_LEAST_NORM)


@torch.no_grad()
def _squared_rows(base: nn.Module, like: Tensor) -> Tensor:
    """Return the squared lengths of the rows of a base's weight, float32 [O]."""
    inputs, dtype = int(base.in_features), _dtype_of(base)  # type: ignore[arg-type]
    squares = like.new_zeros(int(base.out_features))  # type: ignore[arg-type]
    for start in range(0, inputs, _COLUMNS):
        unit = torch.zeros(min(_COLUMNS, inputs - start), inputs, dtype=dtype, device=like.device)
        unit.diagonal(start).fill_(1)
        squares += _without_bias(base, unit).float().square_().sum(0)
    return squares


def _without_bias(base: nn.Module, x: Tensor) -> Tensor:
    """Return what a linear layer computes without its bias."""
    if base.bias is None:
        product: Tensor = base(x)
        return product
    return with_bias(base, torch.zeros_like(base.bias), x)  # type: ignore[arg-type]


def _dtype_of(base: nn.Module) -> torch.dtype:
    """Return the dtype that a layer computes in; float32 for one that dequantises to any."""
    weight = getattr(base, "weight", None)
    return torch.float32 if weight is None else weight.dtype
