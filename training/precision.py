"""The numbers that a run computes in, and the scale that a loss in float16 needs."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

FIRST_SCALE = 2.0**16
# So many steps without an infinite gradient double the scale.
GROWTH_STEPS = 2000


def find_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype that `model.dtype` names; ValueError where the device cannot compute it."""
    no_bfloat16 = device.type == "cuda" and not torch.cuda.is_bf16_supported(False)
    if name == "bfloat16" and no_bfloat16:
        raise ValueError(
            f"model.dtype is 'bfloat16', and {torch.cuda.get_device_name(device)} does not compute "
            "it; add --model.dtype=float16 (with ds_finetune.py --model.dtype=float32)"
        )
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def sum_in_float32() -> None:
    """Let CUDA add up the parts of a product in float32; it may do so in half precision.

    An adapter's gradient sums over all tokens, in parts.
    """
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


class LossScale:
    """What a float16 run multiplies its loss by, so that small gradients do not round to zero.

    A step whose gradients are not finite is left out and halves the scale; GROWTH_STEPS others in a
    row double it. It stays a power of two, so that scaling back is exact.
    """

    def __init__(self) -> None:
        self.scale, self.clean_steps = FIRST_SCALE, 0

    def unscale(self, gradients: Iterable[Tensor]) -> None:
        """Divide gradients by the scale, in place."""
        torch._foreach_mul_(list(gradients), 1 / self.scale)

    def allows(self, norm: float) -> bool:
        """Return whether gradients of this norm may be used, and adapt the scale.

        Raises ValueError where they are infinite without a scale too.
        """
        if math.isfinite(norm):
            self.clean_steps += 1
            if self.clean_steps == GROWTH_STEPS:
                self.scale, self.clean_steps = self.scale * 2, 0
            return True
        if self.scale <= 1:
            raise ValueError(
                f"the gradient norm is {norm} in float16 without a loss scale too; start again "
                "with --model.dtype=float32, or bfloat16 where the device computes it"
            )
        self.scale, self.clean_steps = self.scale / 2, 0
        return False

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps of it."""
        return {
            "loss_scale/scale": torch.tensor(self.scale, dtype=torch.float64),
            "loss_scale/clean_steps": torch.tensor(self.clean_steps),
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        self.scale = state["loss_scale/scale"].item()
        self.clean_steps = int(state["loss_scale/clean_steps"])
