"""Adapted layers of one input as one function of autograd.

It computes y_i = W_i x + bias_i + scale_i B_i (A_i x) for some layers i. An adapter is added in
place into the base, the matrices A are stacked into one, and all input gradients are added in
place into one: no [T, O] or [T, I] is copied. Kept are x, A x, and the adapters in x's dtype.

Shapes: T tokens, I inputs, O outputs of a layer, R rank of a layer, S sum of the ranks.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.cpu_products import linear, multiplied
from model.fp8 import FP8Linear, Rows, quantize_rows
from model.nf4 import NF4Linear
from model.quantized import QuantizedLinear


class Part(NamedTuple):
    """A frozen linear layer, and the adapter beside it if there is one."""

    base: nn.Module
    a: Tensor | None = None
    b: Tensor | None = None
    scale: float = 1.0


def is_possible(base: nn.Module, x: Tensor) -> bool:
    """Return whether the gradient of x [T, I] is needed and is the base's frozen weight's alone."""
    if not torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
        return False
    if type(base) in (NF4Linear, FP8Linear):
        return True
    if type(base) is not nn.Linear or hasattr(base.weight, "ds_shape") or base.weight.is_mkldnn:
        return False
    return base.weight.dtype == x.dtype and not any(p.requires_grad for p in base.parameters())


def products(parts: Sequence[Part], x: Tensor) -> Sequence[Tensor]:
    """Return what each part makes of x [T, I], [T, O]; at least one has an adapter."""
    adapted = [part for part in parts if part.a is not None]
    adapters = [*(part.a for part in adapted), *(part.b for part in adapted)]
    return _Products.apply(x, parts, *adapters)  # type: ignore[no-any-return]


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, parts: Sequence[Part], *adapters: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.parts, ctx.dtype = parts, adapters[0].dtype
        ctx.shapes = [adapter.shape for adapter in adapters]
        flat = _joined(adapters, x.dtype)
        a, all_b = _unpack(flat, ctx.shapes)
        inner = F.linear(x, a)
        ctx.save_for_backward(x, inner, flat)
        in_fp8 = any(isinstance(part.base, FP8Linear) for part in parts)
        rows = quantize_rows(x) if in_fp8 else None
        outputs = [_product(part.base, x, rows) for part in parts]
        of_adapted = [y for y, part in zip(outputs, parts, strict=True) if part.a is not None]
        scales = [part.scale for part in parts if part.a is not None]
        for y, own, b, scale in zip(of_adapted, _split(inner, all_b), all_b, scales, strict=True):
            y.addmm_(own, b.t(), alpha=scale)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, inner, flat = ctx.saved_tensors
        a, all_b = _unpack(flat, ctx.shapes)
        of_flat, of_inner, of_x = torch.empty_like(flat), torch.empty_like(inner), None
        of_a, of_all_b = _unpack(of_flat, ctx.shapes)
        adapters = zip(all_b, of_all_b, _split(inner, all_b), _split(of_inner, all_b), strict=True)
        for part, gradient in zip(ctx.parts, gradients, strict=True):
            if part.a is not None:
                b, of_b, own, of_own = next(adapters)
                of_own.addmm_(gradient, b, beta=0, alpha=part.scale)
                of_b.addmm_(gradient.t(), own, beta=0, alpha=part.scale)
            if ctx.needs_input_grad[0]:
                of_x = _add_product(of_x, gradient, part.base)
        of_a.addmm_(of_inner.t(), x, beta=0)
        if of_x is not None:
            of_x.addmm_(of_inner, a)
        return of_x, None, *_pieces(of_flat.to(ctx.dtype), ctx.shapes)


def _joined(adapters: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Return all values of the adapters in one tensor [n] of a dtype."""
    shapes = [adapter.shape for adapter in adapters]
    flat = adapters[0].new_empty(sum(shape.numel() for shape in shapes), dtype=dtype)
    # One kernel on CUDA, which rounds as it copies; joining and then rounding are two.
    torch._foreach_copy_(_pieces(flat, shapes), list(adapters))
    return flat


def _pieces(flat: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Return the tensors of these shapes that lie in `flat` one after the other."""
    pieces = flat.split([shape.numel() for shape in shapes])
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _unpack(flat: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, list[Tensor]]:
    """Return A of all layers as one [S, I], and B of each [O, R]; views of `flat`."""
    count = len(shapes) // 2
    end = sum(shape.numel() for shape in shapes[:count])
    return flat[:end].view(-1, shapes[0][1]), _pieces(flat, shapes)[count:]


def _split(inner: Tensor, all_b: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the columns [T, R] of each layer in [T, S]."""
    return inner.split([b.shape[1] for b in all_b], 1)


def _product(base: nn.Module, x: Tensor, rows: Rows | None) -> Tensor:
    """Return what a base makes of x [T, I], which is `rows` in FP8: [T, O]."""
    if type(base) is nn.Linear:
        return linear(x, base.weight, base.bias)
    if isinstance(base, FP8Linear) and rows is not None:
        return base.with_bias(base.product_of_rows(rows, x.dtype))
    product: Tensor = base(x)
    return product


def _add_product(total: Tensor | None, gradient: Tensor, base: nn.Module) -> Tensor:
    """Return gradient [T, O] times a base's weight, added to a `total` [T, I] in place."""
    packed = base if isinstance(base, QuantizedLinear) else None
    weight: Any = packed.dequantized(gradient.dtype) if packed else base.weight
    return multiplied(gradient, weight, total)
