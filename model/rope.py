"""Rotary position embedding in Meta's layout: neighbouring pairs of a head are rotated together.

Shapes: T tokens, H heads, E head_dim.
"""

import math

import torch
from torch import Tensor

from model.config import ModelConfig, RopeScaling


def rotation(config: ModelConfig, positions: Tensor) -> Tensor:
    """Return the unit complex numbers that rotate each pair: positions [T] to [T, 1, E/2].

    Computed in float32 from the positions at hand, so there is no table, no maximum length,
    and no buffer that a cast to bfloat16 could spoil.
    """
    frequencies = inverse_frequencies(config, positions.device)
    angles = torch.outer(positions.float(), frequencies)[:, None]
    return torch.polar(torch.ones_like(angles), angles)


def rotate(heads: Tensor, rotation: Tensor) -> Tensor:
    """Rotate queries or keys [T, H, E] by `rotation` [T, 1, E/2]; the dtype is kept."""
    pairs = torch.view_as_complex(heads.float().view(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2).type_as(heads)


def inverse_frequencies(config: ModelConfig, device: torch.device) -> Tensor:
    """Return the angle per position of each pair, float32 [E/2], stretched where configured."""
    exponents = torch.arange(0, config.head_dim, 2, device=device).float() / config.head_dim
    frequencies = 1.0 / config.rope_theta**exponents
    return (
        frequencies if config.rope_scaling is None else _stretch(frequencies, config.rope_scaling)
    )


def _stretch(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Divide low frequencies by the factor, keep high ones, blend between.

    Source: `apply_scaling` of Meta's llama-models.
    """
    turns = scaling.original_length * frequencies / (2 * math.pi)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return kept * frequencies + (1 - kept) * frequencies / scaling.factor
