"""Whether numbers are finite, asked on their device, and why a step with others was left out."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

SCALE_HALVED = "its gradients were infinite in float16, and the loss scale was halved"
NOT_FINITE = "its loss or its gradients are not finite"


def norm_not_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Return 1.0 where the norm of all values is infinite or NaN, else 0.0, on their device.

    Every value is read once, and nothing waits. The square of 1.8e19 is infinite in float32.
    """
    # The norm of finite values in float16 may be infinite in float16.
    wide = (t.float() if t.dtype == torch.float16 else t for t in tensors)
    return nn.utils.get_total_norm(wide).isfinite().logical_not().float()


def spread_not_finite(loss: Tensor) -> Tensor:
    """Return a loss as it is; where it is not finite, so is each of its gradients.

    A gradient may be finite where the loss is not, and only gradients are asked before an update.
    """
    finite = loss.detach().isfinite()
    return loss * torch.where(finite, 1.0, float("nan"))


def finite_on_cpu(
    tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Yield named tensors on the CPU in `dtype`; ValueError where a norm is not finite."""
    for name, tensor in tensors:
        cast = tensor.to(dtype)
        if norm_not_finite([cast]):
            raise ValueError(
                f"the norm of {name} is not finite in {str(dtype).removeprefix('torch.')}, so it "
                "was not written; go on from an earlier checkpoint with --resume --new-schedule "
                "and a lower --schedule.learning_rate"
            )
        yield name, cast.cpu()
