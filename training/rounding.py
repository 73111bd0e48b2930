"""Stochastic rounding: float32 to bfloat16, up or down with the chance that keeps the mean."""

import numpy as np
import torch
from torch import Tensor


def round_stochastically(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return float32 values in bfloat16; what is not finite is rounded as usual.

    bfloat16 is the upper half of float32's bits. A random number is added to the lower half, which
    is then cut off: it carries into the upper half with the chance of lower half / 65,536.
    """
    random = torch.empty(values.shape, dtype=torch.int32, device=values.device)
    random.random_(0, 2**16, generator=generator)
    bits = random.add_(values.view(torch.int32)).bitwise_and_(-(2**16))
    rounded = bits.view(torch.float32).bfloat16()
    return torch.where(values.isfinite(), rounded, values.bfloat16())


def generator_of(device: torch.device, *numbers: int) -> torch.Generator:
    """Return a generator that depends on these numbers alone, none of them negative."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(seed))
