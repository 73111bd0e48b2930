"""How gradients are reduced, stepped and stored: the only difference between one and many devices.

The loop calls a backend and knows nothing else of devices. A backend's `step` clips, updates and
clears; its `save` and `load` hold what only training needs (master weights, moments, RNG).
Every method is called on every rank, in the same order.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.transformer import Transformer
from training.finite import NOT_FINITE, SCALE_HALVED, norm_not_finite
from training.in_backward import StepInBackward
from training.optim import make_optimizer
from training.precision import LossScale

if TYPE_CHECKING:
    from training.config import OptimizerSection

STATE_FILE = "state.safetensors"

Result = TypeVar("Result")


class Backend(Protocol):
    """What the loop asks of whoever holds the model.

    `forward` is the model's, with whatever this backend needs around it; `trained` are the full
    shapes of the trained parameters, in the model's order.
    """

    model: Transformer
    forward: Callable[..., Tensor]
    trained: Mapping[str, torch.Size]
    rank: int
    world_size: int
    device: torch.device

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all ranks, on every rank; it waits when it is read."""

    def wait(self) -> None:
        """Return once every rank has come here."""

    def on_first_rank(self, work: Callable[[], Result]) -> Result:
        """Do `work` on rank 0; return its result, or raise its error, on every rank."""

    def on_every_rank(self, work: Callable[[], Result]) -> list[Result]:
        """Do `work` on every rank; return all results, or raise the first error, on every rank."""

    def begin_step(self, learning_rate: float, micro_batches: int) -> None:
        """Say what comes, before the first backward pass of a step.

        Raises ValueError, and nothing has changed, where so many micro-batches cannot be taken.
        """

    def backward(self, loss: Tensor, last: bool) -> None:
        """Add the gradient of one micro-batch; `last` says that a step follows."""

    def step(self, learning_rate: float, skip: bool = False) -> Tensor | str:
        """Clip, update, clear the gradients; return their norm before clipping, on the device.

        Where the step was left out, say why: gradients were infinite in float16, or, with `skip`,
        not finite. Every rank leaves out the same steps.
        """

    def weights_not_finite(self) -> Tensor:
        """Return 1.0 where the norm of this rank's trained weights is not finite, else 0.0.

        A scalar on the device, which nothing waits for.
        """

    def computing(self) -> AbstractContextManager[None]:
        """Return what to run the model itself in, so that it computes as `forward` does."""

    def trained_state(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each trained parameter's name and master, whole, as in `trained`."""

    def save(self, directory: Path) -> None:
        """Write what a resumed run needs and a trained model does not."""

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote."""


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training moves, by name, in the model's order."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def full_shape(parameter: nn.Parameter) -> torch.Size:
    """Return a parameter's shape; while it is partitioned (ZeRO-3), `ds_shape` alone has it."""
    shape: torch.Size = getattr(parameter, "ds_shape", parameter.shape)
    return shape


class NativeBackend:
    """One device, plain PyTorch: trained parameters are their own masters.

    They are float32, but bfloat16 under optimizer.stochastic_rounding.

    compute_dtype: What products are computed in; in float16 the loss is scaled.
    autocast: Whether all weights are float32 masters, which products take in `compute_dtype`.
        Otherwise the model computes in what it is stored in.
    """

    rank = 0
    world_size = 1

    def __init__(
        self,
        model: Transformer,
        settings: "OptimizerSection",
        device: torch.device,
        compute_dtype: torch.dtype,
        autocast: bool = False,
    ) -> None:
        self.model = model
        self.device = device
        self.compute_dtype, self.autocast = compute_dtype, autocast
        self.loss_scale = LossScale() if compute_dtype == torch.float16 else None
        self.clip_norm = settings.clip_norm
        self.parameters = trained_parameters(model)
        self.trained: Mapping[str, torch.Size] = {
            name: full_shape(p) for name, p in self.parameters.items()
        }
        self.optimizer = make_optimizer(self.parameters.values(), settings)
        self.in_backward = None
        if settings.in_backward:
            self.in_backward = StepInBackward(self.parameters, self.optimizer)
        self.forward: Callable[..., Tensor] = model
        if autocast:
            self.forward = torch.autocast(device.type, compute_dtype)(model)

    def sum(self, values: Tensor) -> Tensor:
        """Return `values`: there is one rank."""
        return values

    def wait(self) -> None:
        """Return: there is one rank."""

    def on_first_rank(self, work: Callable[[], Result]) -> Result:
        """Do `work`."""
        return work()

    def on_every_rank(self, work: Callable[[], Result]) -> list[Result]:
        """Do `work`."""
        return [work()]

    def begin_step(self, learning_rate: float, micro_batches: int) -> None:
        """Say what comes; only an optimizer that steps in the backward pass must know."""
        if self.in_backward:
            self.in_backward.begin_step(learning_rate, micro_batches)

    def backward(self, loss: Tensor, last: bool) -> None:
        """Add the gradient of one micro-batch."""
        (loss if self.loss_scale is None else loss * self.loss_scale.scale).backward()

    def step(self, learning_rate: float, skip: bool = False) -> Tensor | str:
        """Clip, update, clear the gradients; return their norm before clipping, or why not.

        The host waits for the norm in float16 and with `skip`.
        """
        if self.in_backward:
            return self.in_backward.norm()
        if self.loss_scale:
            self.loss_scale.unscale(p.grad for p in self.parameters.values() if p.grad is not None)
        limit = float("inf") if self.clip_norm is None else self.clip_norm
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), limit)
        if reason := self._left_out(norm, skip):
            self.optimizer.zero_grad(set_to_none=True)
            return reason
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _left_out(self, norm: Tensor, skip: bool) -> str:
        """Return why gradients of this norm may not be used; empty where they may."""
        if self.loss_scale is None and not skip:
            return ""
        found = norm.item()
        # Without a scale there is nothing more to halve.
        if self.loss_scale and not (
            skip and self.loss_scale.scale <= 1 and not math.isfinite(found)
        ):
            return "" if self.loss_scale.allows(found) else SCALE_HALVED
        return "" if math.isfinite(found) else NOT_FINITE

    def weights_not_finite(self) -> Tensor:
        """Return 1.0 where the trained weights' norm is not finite, else 0.0, on the device."""
        return norm_not_finite(p.detach() for p in self.parameters.values())

    def computing(self) -> AbstractContextManager[None]:
        """Return what to run the model itself in, so that it computes as `forward` does."""
        return torch.autocast(self.device.type, self.compute_dtype, enabled=self.autocast)

    def trained_state(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each trained parameter's name and master."""
        return ((name, parameter.detach()) for name, parameter in self.parameters.items())

    def save(self, directory: Path) -> None:
        """Write master weights, optimizer moments and random states to `state.safetensors`."""
        tensors = {f"master/{name}": p.detach() for name, p in self.parameters.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value)
        if self.loss_scale:
            tensors |= self.loss_scale.state()
        tensors["rng/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state(self.device)
        save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, directory / STATE_FILE)

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote; the names must be those of this run's parameters."""
        if not (directory / STATE_FILE).is_file():
            raise ValueError(
                f"{directory} holds the parts of several ranks; resume it with ds_finetune.py"
            )
        tensors = load_file(directory / STATE_FILE)
        saved = {key.removeprefix("master/") for key in tensors if key.startswith("master/")}
        if saved != set(self.parameters):
            raise ValueError(
                f"{directory / STATE_FILE} holds {len(saved)} trained tensors, this run trains "
                f"{len(self.parameters)}; resume with the configuration it was started with"
            )
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"master/{name}"])
        for key, value in tensors.items():
            if key.startswith("optimizer/"):
                _, slot, name = key.split("/", 2)
                # fused AdamW counts its steps on the parameter's device
                self.optimizer.state[self.parameters[name]][slot] = value.to(self.device)
        if self.loss_scale:
            self.loss_scale.load(tensors)
        torch.set_rng_state(tensors["rng/cpu"])
        if self.device.type == "cuda" and "rng/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng/cuda"], self.device)
