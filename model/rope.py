"""Rotary position embedding in Meta's layout: neighbouring pairs of a head are rotated together.

Shapes: T tokens, H heads, E head_dim, P rotary pairs of a head.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from model.config import LongRope, ModelConfig, RopeScaling

# Up to so many, operators cost more than the bytes that they move.
FEW_TOKENS = 32
# The tokens of a sequence in this forward pass, and all that the sequence has by then.
Span = tuple[int, int]


def rotation(config: ModelConfig, positions: Tensor, spans: Sequence[Span] = ()) -> Tensor:
    """Return the complex numbers that rotate each pair: positions [T] to [T, 1, P].

    They are of length 1, or of that which long RoPE gives them. `spans` are those of the sequences
    that the tokens belong to, in order; only long RoPE asks. Computed in float32 from the positions
    at hand, so there is no table, no maximum length, and no buffer that a cast to bfloat16 could
    spoil.
    """
    scaling = config.rope_scaling
    if not isinstance(scaling, LongRope):
        return _rotation(positions, inverse_frequencies(config, positions.device))
    factors = torch.tensor([scaling.short_factor, scaling.long_factor])
    factors = factors.to(positions.device, non_blocking=True)
    is_long = [int(length > scaling.original_length) for _, length in spans]
    if len(set(is_long)) <= 1:
        own = factors[max(is_long, default=0)]
    else:
        # One number a token is sent, and not its P factors.
        row = torch.tensor(is_long).repeat_interleave(torch.tensor([n for n, _ in spans]))
        own = factors[row.to(positions.device, non_blocking=True)]
    frequencies = 1.0 / (own * _wavelengths(config, positions.device))
    return _rotation(positions, frequencies, scaling.attention_factor)


def _rotation(positions: Tensor, frequencies: Tensor, length: float = 1.0) -> Tensor:
    """Return length * e^(i position frequency) for frequencies [P] or [T, P]."""
    angles = (positions.float()[:, None] * frequencies)[:, None]
    return torch.polar(torch.full_like(angles, length), angles)


def rotate(q: Tensor, k: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate q [T, H, E] and k [T, K, E] by `rotation` [T, 1, P]; the dtype is kept.

    Values of a head beyond the first 2 P stay as they are. What is returned are views of one
    tensor; nothing but `rotation` is kept for the backward pass.
    """
    if not torch.is_grad_enabled():
        return _rotated(q, k, rotation)
    return _Rotate.apply(q, k, rotation)  # type: ignore[no-any-return]


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(rotation)
        return _rotated(q, k, rotation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        return *_rotated(gradients[0], gradients[1], ctx.saved_tensors[0].conj()), None


def _rotated(q: Tensor, k: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate the heads of both at once, in place in one float32 copy, and round once."""
    if q.dtype == torch.float32 and 2 * rotation.shape[-1] == q.shape[2] and len(q) > FEW_TOKENS:
        # Nothing is rounded, so no copy is needed either.
        pairs = (torch.view_as_complex(x.view(*x.shape[:2], -1, 2)) for x in (q, k))
        turned_q, turned_k = (torch.view_as_real(pair * rotation).flatten(2) for pair in pairs)
        return turned_q, turned_k
    counts = [q.shape[1], k.shape[1]]
    # Not split and unflatten, which cost as much as a product when single tokens are decoded.
    if len(q) <= FEW_TOKENS:
        wide = torch.cat((q, k), 1).float()
    else:
        wide = q.new_empty(len(q), sum(counts), q.shape[2], dtype=torch.float32)
        for own, heads in zip(wide.split_with_sizes(counts, 1), (q, k), strict=True):
            own.copy_(heads)
    turned = wide[..., : 2 * rotation.shape[-1]].view(*wide.shape[:2], -1, 2)
    torch.view_as_complex(turned).mul_(rotation)
    new_q, new_k = wide.to(q.dtype).split_with_sizes(counts, 1)
    return new_q, new_k


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def inverse_frequencies(config: ModelConfig, device: torch.device) -> Tensor:
    """Return the angle per position of each pair, float32 [P], stretched as Llama 3.1 does it.

    It is kept: made anew, it would take a tenth of the operators of a small model's token.
    """
    frequencies = 1.0 / _wavelengths(config, device)
    scaling = config.rope_scaling
    return _stretch(frequencies, scaling) if isinstance(scaling, RopeScaling) else frequencies


def _wavelengths(config: ModelConfig, device: torch.device) -> Tensor:
    """Return the positions that each pair takes for one radian, float32 [P]."""
    rotary_dim = 2 * config.rotary_pairs
    exponents = torch.arange(0, rotary_dim, 2, device=device).float() / rotary_dim
    return config.rope_theta**exponents


def _stretch(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Divide low frequencies by the factor, keep high ones, blend between.

    Source: `apply_scaling` of Meta's llama-models.
    """
    turns = scaling.original_length * frequencies / (2 * math.pi)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return kept * frequencies + (1 - kept) * frequencies / scaling.factor
