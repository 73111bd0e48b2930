"""The optimizer and the learning rate, both plain functions of the settings and the step."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from training.config import OptimizerSection, ScheduleSection


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


def learning_rate(step: int, total_steps: int, schedule: "ScheduleSection") -> float:
    """Return the rate of step `step` (counted from 0) of a run of `total_steps`.

    Warm-up rises linearly and reaches the full rate at step `warmup_steps`; decay then falls
    to the minimum at the last step and stays there.
    """
    peak, low = schedule.learning_rate, schedule.min_learning_rate
    if step < schedule.warmup_steps:
        return peak * (step + 1) / (schedule.warmup_steps + 1)
    if schedule.kind == "constant":
        return peak
    end = schedule.total_steps or total_steps
    done = min(1.0, (step - schedule.warmup_steps) / max(1, end - 1 - schedule.warmup_steps))
    share = 1 - done if schedule.kind == "linear" else (1 + math.cos(math.pi * done)) / 2
    return low + (peak - low) * share
