"""NF4: a weight in four bits a value, as bitsandbytes stores it, and the frozen linear on it.

Values are taken in blocks of 64 of the flat weight and divided by the block's largest magnitude
(absmax); of each the nearest of 16 values is kept, which are the quantiles of a normal distribution
(Dettmers et al. 2023, QLoRA). Double quantisation stores absmax, less its mean, in the same way:
in blocks of 256, each value as the nearest of 256.

Shapes: N values of the weight, B = N / 64 blocks, S = B / 256 blocks of blocks, T tokens, I inputs,
O outputs.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from model.blockwise import (
    dynamic_map,
    has_bitsandbytes,
    has_product_kernel,
    nearest_codes,
    times_absmax,
)
from model.quantized import QuantizedLinear

BLOCK = 64
BLOCK_OF_ABSMAX = 256
# bitsandbytes' table, to the last bit of float32.
NF4_VALUES = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
# The rows of a pass of decoding, which are multiplied with the codes as they are.
FEW_ROWS = 16
# Values quantised at once, so that a weight of any size needs little memory beside its codes.
_CHUNK = 2**20


class NF4(NamedTuple):
    """A weight in NF4.

    codes: uint8 [N / 2], two values a byte, the first in the high four bits.
    absmax: float32 [B], or uint8 [B] under double quantisation, which alone has the other two.
    absmax_scale: float32 [S], the largest magnitude of each 256 of absmax - offset.
    offset: float32 [], the mean of absmax.
    """

    codes: Tensor
    absmax: Tensor
    absmax_scale: Tensor | None = None
    offset: Tensor | None = None


@torch.no_grad()
def quantize(weight: Tensor, double_quantization: bool = True) -> NF4:
    """Return a weight of any shape in NF4, some blocks at a time."""
    table, pieces = _nf4_table(weight.device), weight.reshape(-1).split(_CHUNK)
    codes, absmax = zip(*(nearest_codes(piece, table, BLOCK) for piece in pieces), strict=True)
    packed = torch.cat([(code[::2] << 4) | code[1::2] for code in codes])
    scale = torch.cat(absmax)
    if not double_quantization:
        return NF4(packed, scale)
    offset = scale.mean()
    scale_codes, outer = nearest_codes(scale - offset, dynamic_map(weight.device), BLOCK_OF_ABSMAX)
    return NF4(packed, scale_codes[: len(scale)], outer, offset)


@torch.no_grad()
def dequantize(weight: NF4, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return the weight of this shape: table value times absmax in float32, rounded once."""
    table, count = _nf4_table(weight.codes.device), torch.Size(shape).numel()
    codes = torch.stack((weight.codes >> 4, weight.codes & 15), 1).view(-1)[:count]
    return times_absmax(table[codes.int()], absmax_of(weight), BLOCK).view(shape).to(dtype)


def absmax_of(weight: NF4) -> Tensor:
    """Return the float32 absmax [B] that values are multiplied with."""
    if weight.absmax_scale is None or weight.offset is None:
        return weight.absmax
    table = dynamic_map(weight.absmax.device)
    if weight.absmax.is_cuda and has_bitsandbytes():
        values: Tensor = torch.ops.bitsandbytes.dequantize_blockwise(
            weight.absmax, weight.absmax_scale, table, BLOCK_OF_ABSMAX, torch.float32
        )
        return values + weight.offset
    values = table[weight.absmax.int()]
    return times_absmax(values, weight.absmax_scale, BLOCK_OF_ABSMAX) + weight.offset


class NF4Linear(QuantizedLinear):
    """A frozen linear layer whose weight is in NF4; it computes with the weight dequantised."""

    codes: Tensor
    absmax: Tensor
    absmax_scale: Tensor
    offset: Tensor

    def __init__(self, weight: NF4, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.double_quantization = weight.offset is not None
        for name, part in weight._asdict().items():
            if part is not None:
                self.register_buffer(name, part.reshape(-1).view(torch.uint8))

    @property
    def quantized(self) -> NF4:
        """The weight in NF4."""
        if not self.double_quantization:
            return NF4(self.codes, self.absmax.view(torch.float32))
        scale, offset = self.absmax_scale.view(torch.float32), self.offset.view(torch.float32)
        return NF4(self.codes, self.absmax, scale, offset.view(()))

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """Return the weight [O, I], by bitsandbytes' kernel on CUDA where it is installed."""
        shape, packed = (self.out_features, self.in_features), self.quantized
        if packed.codes.is_cuda and has_bitsandbytes():
            codes, scales = packed.codes.view(-1, 1), absmax_of(packed)
            weight: Tensor = torch.ops.bitsandbytes.dequantize_4bit(
                codes, scales, BLOCK, "nf4", shape, dtype
            )
            return weight
        return dequantize(packed, shape, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] to [T, O], computed in x's dtype."""
        decodes = x.is_cuda and len(x) <= FEW_ROWS and not torch.is_grad_enabled()
        if decodes and self.in_features % BLOCK == 0 and has_product_kernel():
            return self.with_bias(self.multiplied(x))
        return super().forward(x)

    def multiplied(self, x: Tensor) -> Tensor:
        """Return x [T, I] times the weight [T, O] by bitsandbytes' kernel, which reads the codes.

        It neither writes nor reads the weight in x's dtype. It rounds products otherwise than
        `dequantized` and a product do, by as much as x's dtype does.
        """
        weight, shape = self.quantized, (self.out_features, self.in_features)
        codes, scales = weight.codes.view(-1, 1), [weight.absmax, BLOCK, "nf4"]
        if weight.offset is not None:
            scales = [weight.absmax_scale, BLOCK, "nf4", None, weight.absmax]
            scales += [dynamic_map(x.device), weight.offset]
        product: Tensor = torch.ops.bitsandbytes.gemm_4bit(x, codes, shape, *scales)
        return product


@cache
def _nf4_table(device: torch.device) -> Tensor:
    return torch.tensor(NF4_VALUES, device=device)
