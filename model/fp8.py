"""FP8: a weight in eight bits a value with a scale a row, and the frozen linear layer on it.

A row is divided by its scale, so that its largest magnitude is 448, and rounded to float8_e4m3fn.
The inputs of a product are rounded in the same way, a scale a token, and multiplied in FP8. The
gradient of the input is a product in its own dtype, with the weight dequantised.

Shapes: R rows, C columns, T tokens, I inputs, O outputs.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.quantized import QuantizedLinear

FP8 = torch.float8_e4m3fn
# Both sizes of a weight are multiples of it in the products that CUDA has.
MULTIPLE = 16
LARGEST = torch.finfo(FP8).max
# Below it a row counts as zeros: its scale would have no reciprocal.
_LEAST_MAGNITUDE = 1e-30


class Rows(NamedTuple):
    """A matrix rounded row by row: float8_e4m3fn `values` [R, C] and float32 `scale` [R, 1]."""

    values: Tensor
    scale: Tensor


@torch.no_grad()
def quantize_rows(matrix: Tensor) -> Rows:
    """Return a matrix [R, C] in FP8; the scales are values of bfloat16."""
    largest = torch.linalg.vector_norm(matrix, float("inf"), 1, keepdim=True, dtype=torch.float32)
    scale = largest.clamp_(min=_LEAST_MAGNITUDE).div_(LARGEST).bfloat16()
    # In bfloat16 where the matrix is: that rounds 16 times finer than FP8 and moves half the bytes.
    return Rows((matrix / scale).to(FP8), scale.float())


class FP8Linear(QuantizedLinear):
    """A frozen linear layer whose weight is in FP8, a scale an output."""

    codes: Tensor
    scale: Tensor

    def __init__(self, weight: Rows) -> None:
        outputs, inputs = weight.values.shape
        super().__init__(inputs, outputs)
        self.register_buffer("codes", weight.values.view(torch.uint8))
        self.register_buffer("scale", weight.scale.view(torch.uint8))

    @property
    def quantized(self) -> Rows:
        """The weight in FP8."""
        return Rows(self.codes.view(FP8), self.scale.view(torch.float32))

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """Return the weight [O, I], rounded once: each dtype holds all values of FP8."""
        values, scale = self.quantized
        return values.to(dtype).mul_(scale)

    def product(self, x: Tensor) -> Tensor:
        """Return x [T, I], rounded to FP8, times the weight [T, O] in x's dtype."""
        return self.product_of_rows(quantize_rows(x), x.dtype)

    def product_of_rows(self, x: Rows, dtype: torch.dtype) -> Tensor:
        """Return what `product` does of an x that was rounded before."""
        values, scale = self.quantized
        # Fast sums drop bits far below those that rounding to FP8 dropped; a CPU has no others.
        return torch._scaled_mm(
            x.values, values.t(), x.scale, scale.t(), out_dtype=dtype, use_fast_accum=True
        )


def check_fp8(device: torch.device | str, dtype: torch.dtype | None) -> None:
    """Raise ValueError where a device cannot multiply in FP8, or not to this dtype."""
    device = torch.device(device)
    if device.type == "cuda":
        check_fp8_on("this GPU", torch.cuda.get_device_capability(device), dtype)


def has_fp8(capability: tuple[int, int]) -> bool:
    """Return whether PyTorch has products with scaled rows for a GPU's compute capability.

    It does for 8.9 (Ada), 9 (Hopper) and 10 (Blackwell of data centres).
    """
    return capability == (8, 9) or capability[0] in (9, 10)


def check_fp8_on(gpu: str, capability: tuple[int, int], dtype: torch.dtype | None) -> None:
    """Raise ValueError where a GPU of this name cannot multiply in FP8, or not to this dtype."""
    otherwise = "store the base in nf4_double (--model.quantization, --quantization) or as it is"
    if not has_fp8(capability):
        raise ValueError(
            f"quantization is 'fp8', and {gpu} has compute capability "
            f"{capability[0]}.{capability[1]}, wanted 8.9, 9 or 10; {otherwise}"
        )
    if dtype not in (None, torch.bfloat16):
        raise ValueError(
            f"quantization is 'fp8', whose products are bfloat16 on a GPU, and the dtype is "
            f"{str(dtype).removeprefix('torch.')}; add --model.dtype=bfloat16, or {otherwise}"
        )
