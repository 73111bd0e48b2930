"""The optimizer and what it updates, plain functions of the settings.

training/schedule.py has its rate.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

from training.adamw import AdamW

if TYPE_CHECKING:
    from training.config import Config, OptimizerSection


def make_optimizer(
    parameters: Iterable[nn.Parameter], settings: "OptimizerSection"
) -> torch.optim.Optimizer:
    """Return the optimizer over `parameters`; its rate is set before every step."""
    if settings.kind == "sgd":
        return torch.optim.SGD(parameters, lr=0.0, weight_decay=settings.weight_decay)
    constants = settings.betas, settings.eps, settings.weight_decay
    if settings.kind == "adamw8bit" or settings.stochastic_rounding:
        bits = 8 if settings.kind == "adamw8bit" else 32
        return AdamW(parameters, *constants, bits, torch.initial_seed())
    return torch.optim.AdamW(parameters, 0.0, *constants, fused=True)


def stored_dtype(config: "Config") -> torch.dtype:
    """Return the dtype in which one device holds the model: that of what is frozen.

    Where all weights are trained it is float32, as they are their own masters.
    """
    masters = config.lora is None and not config.optimizer.stochastic_rounding
    dtype: torch.dtype = getattr(torch, config.model.dtype)
    return torch.float32 if masters else dtype
