"""AdamW with moments in 8 bits, and for weights in bfloat16 that have no float32 copy.

Moments in 8 bits are bitsandbytes': blocks of 256 values in the dynamic map, signed for the first
moment and unsigned for the second; a tensor of fewer than 4096 values keeps float32 (Dettmers et
al. 2022, 8-bit Optimizers via Block-wise Quantization). On CUDA the kernel is bitsandbytes' where
it is installed; else what is written here runs, on any device. One rule is ours: the code of a
second moment is never that of 0.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model.blockwise import dynamic_map, has_bitsandbytes, nearest_codes, times_absmax
from training.rounding import generator_of, round_stochastically

BLOCK = 256
# Smaller tensors keep moments in float32.
LEAST_SIZE = 4096
# Values updated at once, so that a weight of any size needs little memory beside it.
PIECE = 2**23
MOMENTS = ("exp_avg", "exp_avg_sq")


class Update(NamedTuple):
    """What one step does to a weight."""

    learning_rate: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    step: int

    def apply(self, weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor) -> None:
        """Change a float32 weight and both its moments in place."""
        first.mul_(self.betas[0]).add_(gradient, alpha=1 - self.betas[0])
        second.mul_(self.betas[1]).addcmul_(gradient, gradient, value=1 - self.betas[1])
        scale = second.sqrt().div_(math.sqrt(1 - self.betas[1] ** self.step)).add_(self.eps)
        weight.mul_(1 - self.learning_rate * self.weight_decay)
        rate = self.learning_rate / (1 - self.betas[0] ** self.step)
        weight.addcdiv_(first, scale, value=-rate)


class AdamW(torch.optim.Optimizer):
    """AdamW whose moments take 8 or 32 bits.

    float32 weights are updated in place. Of bfloat16 weights the update is computed in float32 and
    rounded stochastically; what is drawn depends on `seed`, the parameter's place and its step
    alone, so that neither a resumed run nor another order of parameters changes it.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        bits: int = 8,
        seed: int = 0,
    ) -> None:
        constants = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, {"lr": 0.0, **constants})
        self.bits, self.seed = bits, seed

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for index, parameter in enumerate(group["params"]):
                if parameter.grad is not None:
                    self._update(parameter, index, group)

    def _update(self, parameter: nn.Parameter, index: int, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, **_zero_moments(parameter, self.bits))
        step = state["step"] = int(state["step"]) + 1
        update = Update(group["lr"], group["betas"], group["eps"], group["weight_decay"], step)
        generator = None
        if parameter.dtype != torch.float32:
            generator = generator_of(parameter.device, self.seed, index, step)
        weights, gradients = parameter.view(-1), parameter.grad.reshape(-1)  # type: ignore[union-attr]
        for values, blocks in _pieces(len(weights)):
            moments = {
                name: state[name].view(-1)[blocks if name.endswith("absmax") else values]
                for name in state.keys() - {"step"}
            }
            weight = weights[values].float()
            _update_piece(update, weight, gradients[values].float(), moments)
            if generator:
                weights[values] = round_stochastically(weight, generator)


def _zero_moments(parameter: Tensor, bits: int) -> dict[str, Tensor]:
    """Return moments of a parameter: float32, or codes and the absmax of each block of them."""
    if bits == 32 or parameter.numel() < LEAST_SIZE:
        return {name: torch.zeros_like(parameter, dtype=torch.float32) for name in MOMENTS}
    moments = {}
    for name in MOMENTS:
        moments[name] = torch.zeros_like(parameter, dtype=torch.uint8)
        count = -(-parameter.numel() // BLOCK)
        moments[f"{name}_absmax"] = torch.zeros(count, device=parameter.device)
    return moments


def _pieces(count: int) -> Iterator[tuple[slice, slice]]:
    """Yield the values of each piece of a flat tensor, and the blocks they are in."""
    for start in range(0, count, PIECE):
        end = min(start + PIECE, count)
        yield slice(start, end), slice(start // BLOCK, -(-end // BLOCK))


def _update_piece(
    update: Update, weight: Tensor, gradient: Tensor, moments: dict[str, Tensor]
) -> None:
    """Change a float32 weight and its moments, in place; all are flat."""
    if len(moments) == len(MOMENTS):
        return update.apply(weight, gradient, *(moments[name] for name in MOMENTS))
    kernel = weight.is_cuda and has_bitsandbytes()
    (_update_by_kernel if kernel else _update_by_definition)(update, weight, gradient, moments)
    # Not 0, for which a small gradient after a large one would be divided by eps alone.
    moments[MOMENTS[1]].clamp_(min=1)


def _update_by_definition(
    update: Update, weight: Tensor, gradient: Tensor, moments: dict[str, Tensor]
) -> None:
    """Change a float32 weight and its 8-bit moments, in place; all are flat."""
    tables = [dynamic_map(weight.device, signed) for signed in (True, False)]
    whole = [
        times_absmax(table[moments[name].int()], moments[f"{name}_absmax"], BLOCK)
        for name, table in zip(MOMENTS, tables, strict=True)
    ]
    update.apply(weight, gradient, *whole)
    for name, table, moment in zip(MOMENTS, tables, whole, strict=True):
        codes, absmax = nearest_codes(moment, table, BLOCK)
        moments[name].copy_(codes[: len(moment)])
        moments[f"{name}_absmax"].copy_(absmax)


def _update_by_kernel(
    update: Update, weight: Tensor, gradient: Tensor, moments: dict[str, Tensor]
) -> None:
    first, second = MOMENTS
    torch.ops.bitsandbytes.optimizer_update_8bit_blockwise(
        "adam",
        gradient,
        weight,
        moments[first],
        moments[second],
        *update.betas,
        0.0,  # of optimizers with three moments
        0.0,
        update.eps,
        update.step,
        update.learning_rate,
        dynamic_map(weight.device),
        dynamic_map(weight.device, False),
        moments[f"{first}_absmax"],
        moments[f"{second}_absmax"],
        update.weight_decay,
        1.0,  # what gradients are multiplied with
    )
