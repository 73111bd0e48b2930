"""Values stored in blocks, as bitsandbytes does: a code a value, and a largest magnitude a block.

The value of a code is that of a table times its block's largest magnitude (absmax). NF4's weights,
its scales (model/nf4.py) and the moments of 8-bit AdamW (training/adamw.py) are stored so.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

# Below it a block counts as zero: its reciprocal would be infinite.
_LEAST_ABSMAX = 1e-38


def nearest_codes(values: Tensor, table: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the nearest of `table` of each value by its block's absmax, and absmax by block.

    The last block is filled up with zeros, and so are its codes; of the codes there are as many
    as of values or, where that is odd, one more.
    """
    short = -len(values) % size
    blocks = F.pad(values.float(), (0, short)).view(-1, size)
    absmax = blocks.abs().amax(1)
    scaled = blocks * (1 / absmax.clamp(min=_LEAST_ABSMAX)).unsqueeze(1)
    if short:
        # bitsandbytes divides here, which may round otherwise.
        absmax[-1:].clamp_(min=_LEAST_ABSMAX)
        scaled[-1] = blocks[-1] / absmax[-1]
    codes = torch.bucketize(scaled, (table[:-1] + table[1:]) / 2, out_int32=True)
    return codes.to(torch.uint8).view(-1)[: len(values) + len(values) % 2], absmax


def times_absmax(values: Tensor, absmax: Tensor, size: int) -> Tensor:
    """Return the float32 values [n], each multiplied with its block's absmax, in place."""
    whole = len(values) // size
    values[: whole * size].view(whole, size).mul_(absmax[:whole].unsqueeze(1))
    if len(values) > whole * size:
        values[whole * size :].mul_(absmax[-1])
    return values


@cache
def dynamic_map(device: torch.device, signed: bool = True) -> Tensor:
    """Return the 256 values of bitsandbytes' dynamic map, rising.

    The powers of ten from 1e-6 to 1 each have twice the values of the one below: the midpoints of
    equal steps from 0.1 to 1 of it, of either sign, or twice as many of one. Beside them there are
    0 and 1.
    """
    values = [torch.tensor([0.0, 1.0])]
    for power in range(7):
        steps = torch.linspace(0.1, 1, 2 ** (power + (not signed)) + 1)
        midpoints = (steps[:-1] + steps[1:]) / 2 * 10.0 ** (power - 6)
        values += [midpoints, -midpoints] if signed else [midpoints]
    return torch.cat(values).sort().values.to(device)


@cache
def has_bitsandbytes() -> bool:
    """Return whether bitsandbytes' operations can be called; `slow_kernels_line` says where not."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        return False
    return True


@cache
def has_product_kernel() -> bool:
    """Return whether bitsandbytes multiplies with four-bit values as they are (from 0.50 on)."""
    return has_bitsandbytes() and hasattr(torch.ops.bitsandbytes, "gemm_4bit")


def slow_kernels_line(device: torch.device | str) -> str:
    """Return what a user of quantised values on this device should know, or nothing."""
    if torch.device(device).type != "cuda" or has_bitsandbytes():
        return ""
    return (
        "bitsandbytes is not installed, whose kernels read and write quantised values; PyTorch's "
        "operators do it too, more slowly and with more memory: python -m pip install bitsandbytes"
    )
