"""SwiGLU as one Triton kernel forward and one backward.

Shapes: T tokens, F hidden width.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


def swiglu(gate: Tensor, value: Tensor) -> Tensor:
    """Return silu(gate) * value, all [T, F]; computed in float32 and rounded once.

    Only gate and value are kept for the backward pass.
    """
    product: Tensor = _SwiGLU.apply(gate, value)  # type: ignore[no-untyped-call]
    return product


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor) -> Tensor:
        gate, value = _with_unit_stride(gate), _with_unit_stride(value)
        ctx.save_for_backward(gate, value)
        product = torch.empty(gate.shape, dtype=gate.dtype, device=gate.device)
        strides = gate.stride(0), value.stride(0)
        swiglu_forward[_grid(gate)](gate, value, product, *strides, gate.shape[1], BLOCK)
        return product

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gate, value = ctx.saved_tensors
        gradient = _with_unit_stride(gradients[0])
        of_gate = torch.empty(gate.shape, dtype=gate.dtype, device=gate.device)
        of_value = torch.empty_like(of_gate)
        strides = gradient.stride(0), gate.stride(0), value.stride(0)
        swiglu_backward[_grid(gate)](
            gradient, gate, value, of_gate, of_value, *strides, gate.shape[1], BLOCK
        )
        return of_gate, of_value


def _with_unit_stride(rows: Tensor) -> Tensor:
    """Return rows [T, F] whose values lie side by side; rows may be any distance apart."""
    return rows if rows.stride(1) == 1 else rows.contiguous()


def _grid(rows: Tensor) -> tuple[int, int]:
    return rows.shape[0], triton.cdiv(rows.shape[1], BLOCK)


@triton.jit
def swiglu_forward(gate, value, product, gate_stride, value_stride, width, BLOCK: tl.constexpr):
    # Offsets pass 2**31 at 150,000 tokens of 14,336 values.
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    g = tl.load(gate + row * gate_stride + column, mask=inside, other=0.0).to(tl.float32)
    v = tl.load(value + row * value_stride + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(product + row * width + column, g * tl.sigmoid(g) * v, mask=inside)


@triton.jit
def swiglu_backward(
    gradient,
    gate,
    value,
    of_gate,
    of_value,
    gradient_stride,
    gate_stride,
    value_stride,
    width,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    d = tl.load(gradient + row * gradient_stride + column, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gate + row * gate_stride + column, mask=inside, other=0.0).to(tl.float32)
    v = tl.load(value + row * value_stride + column, mask=inside, other=0.0).to(tl.float32)
    sigmoid = tl.sigmoid(g)
    silu = g * sigmoid
    tl.store(of_gate + row * width + column, d * v * (sigmoid + silu * (1 - sigmoid)), mask=inside)
    tl.store(of_value + row * width + column, d * silu, mask=inside)
