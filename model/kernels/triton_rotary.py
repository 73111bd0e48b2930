"""Rotary positions of queries and keys as one Triton kernel, which also is its own gradient's.

Shapes: T tokens, H heads, K key heads, E head_dim, P rotary pairs of a head.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Values that one program turns: each of its 128 threads moves 16 bytes in half precision.
VALUES = 1024


def rotate(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Turn neighbouring pairs of q [T, H, E] and k [T, K, E] by angles of cos and sin [T, P].

    A pair (a, b) becomes (a cos - b sin, a sin + b cos), computed in float32 and rounded once.
    Values of a head beyond the first 2 P stay as they are. cos and sin are float32, of any strides.
    """
    turned: tuple[Tensor, Tensor] = _Rotate.apply(q, k, cos, sin)  # type: ignore[no-untyped-call]
    return turned


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(cos, sin)
        return _turn(q, k, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return *_turn(gradients[0], gradients[1], cos, sin, -1), None, None


def _turn(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, direction: int) -> tuple[Tensor, Tensor]:
    """Return new q and k, turned forwards (1) or backwards (-1)."""
    q, k = (heads if heads.stride(2) == 1 else heads.contiguous() for heads in (q, k))
    turned_q, turned_k = (
        torch.empty(heads.shape, dtype=heads.dtype, device=heads.device) for heads in (q, k)
    )
    tokens, q_heads, head_dim = q.shape
    k_heads, width = k.shape[1], triton.next_power_of_2(head_dim)
    block = max(VALUES // width, 1)
    blocks = triton.cdiv(q_heads, block) + triton.cdiv(k_heads, block)
    rotary_forward[(tokens, blocks)](
        q,
        k,
        turned_q,
        turned_k,
        cos,
        sin,
        *cos.stride(),
        *sin.stride(),
        *q.stride()[:2],
        *k.stride()[:2],
        q_heads,
        k_heads,
        head_dim,
        cos.shape[1],
        direction,
        block,
        width,
    )
    return turned_q, turned_k


@triton.jit
def rotary_forward(
    q,
    k,
    turned_q,
    turned_k,
    cos,
    sin,
    cos_token_stride,
    cos_stride,
    sin_token_stride,
    sin_stride,
    q_token_stride,
    q_head_stride,
    k_token_stride,
    k_head_stride,
    q_heads,
    k_heads,
    head_dim,
    pairs,
    DIRECTION: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    pair = tl.arange(0, WIDTH // 2)
    # By an angle of zero where a head has no more rotary pairs.
    cos += token * cos_token_stride + pair * cos_stride
    sin += token * sin_token_stride + pair * sin_stride
    c = tl.load(cos, mask=pair < pairs, other=1.0)
    s = tl.load(sin, mask=pair < pairs, other=0.0) * DIRECTION
    q_blocks = tl.cdiv(q_heads, HEADS)
    if block < q_blocks:
        source, target = q + token * q_token_stride, turned_q + token * q_heads * head_dim
        _turn_heads(source, target, c, s, block, q_head_stride, q_heads, head_dim, HEADS, WIDTH)
    else:
        source, target = k + token * k_token_stride, turned_k + token * k_heads * head_dim
        block -= q_blocks
        _turn_heads(source, target, c, s, block, k_head_stride, k_heads, head_dim, HEADS, WIDTH)


@triton.jit
def _turn_heads(
    source,
    target,
    c,
    s,
    block,
    head_stride,
    heads,
    head_dim,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    head = (block * HEADS + tl.arange(0, HEADS))[:, None]
    column = tl.arange(0, WIDTH)[None, :]
    inside = (head < heads) & (column < head_dim)
    x = tl.load(source + head * head_stride + column, mask=inside, other=0.0).to(tl.float32)
    a, b = tl.split(tl.reshape(x, (HEADS, WIDTH // 2, 2)))
    turned = tl.join(a * c - b * s, a * s + b * c)
    tl.store(target + head * head_dim + column, tl.reshape(turned, (HEADS, WIDTH)), mask=inside)
