"""Which functions the blocks of a model compute with beside matrix products and attention."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.kernels.swiglu import swiglu
from model.rope import rotate


class Kernels(NamedTuple):
    """Functions with gradients; each kind gives the same but for the last rounding.

    swiglu: gate and value [T, F] to silu(gate) * value.
    rotate: q [T, H, E], k [T, K, E] and `model.rope.rotation`'s numbers to new q and k.
    add_and_norm: x and added [T, D], a weight [D] and eps to x + added, and its RMS norm.
    """

    swiglu: Callable[[Tensor, Tensor], Tensor]
    rotate: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    add_and_norm: Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


def add_and_norm(x: Tensor, added: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the sum and its norm, which torch computes in float32."""
    x = x + added
    return x, F.rms_norm(x, x.shape[-1:], weight.type_as(x), eps)


PLAIN = Kernels(swiglu, rotate, add_and_norm)


def find_kernels(kind: str, device: torch.device) -> Kernels:
    """Return the kernels of a kind, plain or triton; ValueError where they cannot run.

    Triton is imported only where its kernels are asked for.
    """
    if kind == "plain":
        return PLAIN
    if device.type != "cuda":
        raise ValueError(
            f"training.kernels is 'triton', which runs on CUDA, and the device is {device.type}; "
            "add --training.kernels=plain"
        )
    if find_spec("triton") is None:
        raise ValueError(
            "training.kernels is 'triton', and the package triton is not installed; PyTorch for "
            "CUDA brings it, or add --training.kernels=plain"
        )
    from model.kernels.triton_norm import add_and_norm
    from model.kernels.triton_rotary import rotate
    from model.kernels.triton_swiglu import swiglu

    return Kernels(
        swiglu, lambda q, k, turns: rotate(q, k, turns.real[:, 0], turns.imag[:, 0]), add_and_norm
    )


def use_kernels(model: nn.Module, kernels: Kernels) -> None:
    """Let every module that chooses its kernels compute with these."""
    for module in model.modules():
        if hasattr(module, "kernels"):
            module.kernels = kernels  # type: ignore[assignment]
