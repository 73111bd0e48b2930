"""The layers that adapters are: small trained matrices beside a frozen linear layer.

Shapes: T tokens, I inputs, O outputs, R rank.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from model.lora.products import Part, is_possible, products


class LoraLinear(nn.Module):
    """A frozen linear layer plus scale * B A x; B starts at zero, so the start is the base.

    With `bias` the base's bias, where it has one, is trained as `lora_bias` in its place.
    A and B keep their own dtype (float32 as masters) and are cast to the input's to compute.
    All its parameters but the base's are the adapter's state. A variant is a class of its own, with
    other parameters, `forward`, `merged` and `summed_magnitudes`.
    """

    lora_bias: Tensor | None

    def __init__(
        self, base: nn.Module, rank: int, scale: float, dropout: float = 0.0, bias: bool = False
    ) -> None:
        super().__init__()
        inputs, outputs = sizes_of(base)
        self.base = base
        self.rank, self.scale = rank, scale
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        like = torch.empty(0, dtype=torch.float32, device=_device_of(base))
        self.lora_a = nn.Parameter(like.new_empty(rank, inputs))
        self.lora_b = nn.Parameter(like.new_zeros(outputs, rank))
        own = bias and getattr(base, "bias", None) is not None
        with held_whole(base):
            self.lora_bias = nn.Parameter(_copied(base.bias)) if own else None  # type: ignore[arg-type]
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] to [T, O]."""
        if (part := self.part(x)) is not None:
            return products([part], x)[0]
        inner = F.linear(self.dropout(x), self.lora_a.type_as(x))
        return torch.addmm(self.of_base(x), inner, self.lora_b.type_as(x).t(), alpha=self.scale)

    def part(self, x: Tensor) -> Part | None:
        """Return the layer as `products` takes it; None where it is computed by operators."""
        is_plain = type(self) is LoraLinear and isinstance(self.dropout, nn.Identity)
        is_whole = self.lora_bias is None and not hasattr(self.lora_a, "ds_shape")
        if is_plain and is_whole and is_possible(self.base, x):
            return Part(self.base, self.lora_a, self.lora_b, self.scale)
        return None

    def of_base(self, x: Tensor) -> Tensor:
        """Return what the base computes of x, with the trained bias if there is one."""
        if self.lora_bias is None:
            product: Tensor = self.base(x)
            return product
        return with_bias(self.base, self.lora_bias, x)

    def merged(self, weight: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return the base's weight with the adapter in it, in float32 or wider.

        weight [C, I] holds the C `rows` of the base's that are wanted.
        """
        wide = torch.promote_types(weight.dtype, torch.float32)
        return merge(weight, self.lora_a.detach(), self.lora_b.detach()[rows], self.scale, wide)

    def summed_magnitudes(self, weight: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return of each value of `merged` the sum of the magnitudes that it sums [C, I].

        The error of summing in float32 is a share of it.
        """
        a, b = self.lora_a.detach().abs(), self.lora_b.detach()[rows].abs()
        return merge(weight.abs(), a, b, self.scale)


def stacked(layers: Sequence[nn.Module], x: Tensor) -> Sequence[Tensor]:
    """Return what each of some layers, adapted or not, makes of x [T, I], by one function.

    One by one where that cannot be.
    """
    parts = [_part(layer, x) for layer in layers]
    known = [part for part in parts if part is not None]
    if len(known) == len(parts) and any(part.a is not None for part in known):
        return products(known, x)
    return [layer(x) for layer in layers]


def _part(layer: nn.Module, x: Tensor) -> Part | None:
    if isinstance(layer, LoraLinear):
        return layer.part(x)
    return Part(layer) if is_possible(layer, x) else None


def sizes_of(base: nn.Module) -> tuple[int, int]:
    """Return I and O of a layer; an embedding's are those of the linear layer of its weight."""
    # Not the weight's shape: partitioned over ranks (ZeRO-3) it has none.
    if isinstance(base, nn.Embedding):
        return base.embedding_dim, base.num_embeddings
    return int(base.in_features), int(base.out_features)  # type: ignore[arg-type]


@contextmanager
def held_whole(module: nn.Module) -> Iterator[None]:
    """Hold a module's parameters whole for a while where ranks share them (ZeRO-3)."""
    shared: list[Any] = [p for p in module.parameters() if hasattr(p, "ds_shape")]
    for parameter in shared:
        parameter.all_gather()
    yield
    for parameter in shared:
        parameter.partition()


def with_bias(linear: nn.Module, bias: Tensor, x: Tensor) -> Tensor:
    """Return what a linear layer that has a bias computes of x with another one [O]."""
    product: Tensor = functional_call(linear, {"bias": bias.type_as(x)}, x)
    return product


def merge(
    weight: Tensor, a: Tensor, b: Tensor, scale: float, dtype: torch.dtype | None = None
) -> Tensor:
    """Return weight + scale * b a, added in float32 or wider and rounded once.

    weight [O, I], a [R, I], b [O, R]; `dtype` None keeps the weight's.
    """
    wide = torch.promote_types(weight.dtype, torch.float32)
    delta = (b.to(wide) @ a.to(wide)).mul_(scale)
    return delta.add_(weight).to(dtype or weight.dtype)


def _copied(bias: Tensor) -> Tensor:
    return bias.detach().to(torch.float32, copy=True)


def _device_of(module: nn.Module) -> torch.device:
    # A quantised layer may have buffers alone.
    return next(chain(module.parameters(), module.buffers())).device
