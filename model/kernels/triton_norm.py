"""The residual sum and the norm of it as one Triton kernel forward and one backward.

Shapes: T tokens, D width.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Rows of the weight's gradient that are summed at the end; each of them is one program's.
PROGRAMS = 1024


def add_and_norm(x: Tensor, added: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return x + added [T, D], and its RMS norm by a weight [D].

    The sum is rounded to its dtype before it is normed, and the norm computed in float32. Kept for
    the backward pass are the sum and one float32 a token.
    """
    outputs: tuple[Tensor, Tensor] = _AddAndNorm.apply(  # type: ignore[no-untyped-call]
        x, added, weight, eps
    )
    return outputs


class _AddAndNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, added: Tensor, weight: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        x, added, weight = x.contiguous(), added.contiguous(), weight.contiguous()
        tokens, width = x.shape
        dtype = torch.promote_types(x.dtype, added.dtype)
        summed = torch.empty(x.shape, dtype=dtype, device=x.device)
        normed = torch.empty_like(summed)
        inverse_root = torch.empty(tokens, dtype=torch.float32, device=x.device)
        add_and_norm_forward[(tokens,)](
            x, added, weight, summed, normed, inverse_root, width, eps, **_sizes(width)
        )
        ctx.save_for_backward(summed, weight, inverse_root)
        ctx.dtypes = x.dtype, added.dtype
        ctx.set_materialize_grads(False)
        return summed, normed

    @staticmethod
    def backward(
        ctx: Any, *gradients: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        of_sum, of_normed = gradients
        of_weight = None
        if of_normed is not None:
            of_sum, of_weight = _gradients(ctx, of_sum, of_normed)
        elif of_sum is None:
            return None, None, None, None
        return of_sum.to(ctx.dtypes[0]), of_sum.to(ctx.dtypes[1]), of_weight, None


def _gradients(ctx: Any, of_sum: Tensor | None, of_normed: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of the sum [T, D] and, where it is trained, of the weight [D]."""
    summed, weight, inverse_root = ctx.saved_tensors
    tokens, width = summed.shape
    programs = min(tokens, PROGRAMS)
    of_input = torch.empty_like(summed)
    shares = summed.new_empty(programs, width, dtype=torch.float32) if _trains(ctx) else None
    add_and_norm_backward[(programs,)](
        of_normed.contiguous(),
        None if of_sum is None else of_sum.contiguous(),
        summed,
        weight,
        inverse_root,
        of_input,
        shares,
        tokens,
        width,
        **_sizes(width),
    )
    return of_input, None if shares is None else shares.sum(0).to(weight.dtype)


def _trains(ctx: Any) -> bool:
    return bool(ctx.needs_input_grad[2])


def _sizes(width: int) -> dict[str, int]:
    """Return the values and warps of a program that holds a whole row."""
    block = triton.next_power_of_2(width)
    return {"BLOCK": block, "num_warps": min(max(block // 512, 4), 16)}


@triton.jit
def add_and_norm_forward(
    x, added, weight, summed, normed, inverse_root, width, eps, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < width
    offset = row * width + column
    own = tl.load(x + offset, mask=inside, other=0.0).to(tl.float32)
    total = own + tl.load(added + offset, mask=inside, other=0.0).to(tl.float32)
    total = total.to(summed.dtype.element_ty)
    tl.store(summed + offset, total, mask=inside)
    total = total.to(tl.float32)
    inverse = tl.rsqrt(tl.sum(total * total, 0) / width + eps)
    w = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(normed + offset, total * inverse * w, mask=inside)
    tl.store(inverse_root + row, inverse)


@triton.jit
def add_and_norm_backward(
    of_normed,
    of_sum,
    summed,
    weight,
    inverse_root,
    of_input,
    of_weight,
    tokens,
    width,
    BLOCK: tl.constexpr,
):
    column = tl.arange(0, BLOCK)
    inside = column < width
    w = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    share = tl.zeros([BLOCK], tl.float32)
    for row in range(tl.program_id(0), tokens, tl.num_programs(0)):
        offset = tl.cast(row, tl.int64) * width + column
        d = tl.load(of_normed + offset, mask=inside, other=0.0).to(tl.float32)
        inverse = tl.load(inverse_root + row)
        unit = tl.load(summed + offset, mask=inside, other=0.0).to(tl.float32) * inverse
        along = tl.sum(d * w * unit, 0) / width
        gradient = (d * w - unit * along) * inverse
        if of_sum is not None:
            gradient += tl.load(of_sum + offset, mask=inside, other=0.0).to(tl.float32)
        tl.store(of_input + offset, gradient, mask=inside)
        share += d * unit
    if of_weight is not None:
        tl.store(of_weight + tl.program_id(0) * width + column, share, mask=inside)
