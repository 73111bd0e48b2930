"""The optimizer, a plain function of the settings; training/schedule.py has its rate."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from training.config import OptimizerSection


def make_optimizer(
    parameters: Iterable[nn.Parameter], settings: "OptimizerSection"
) -> torch.optim.Optimizer:
    """Return the optimizer over `parameters`; its rate is set before every step."""
    if settings.kind == "sgd":
        return torch.optim.SGD(parameters, lr=0.0, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(
        parameters,
        lr=0.0,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
