"""Float32 products with weights on the CPU, by the library that uses the processor whole.

PyTorch gives them to MKL, which uses AVX-512 on Intel's processors alone; oneDNN uses it on others
too. None of these functions has a gradient: they are called in functions that make their own.

Shapes: T tokens, I inputs, O outputs.
"""

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

# Multiplications below which MKL is done before oneDNN has begun (10 microseconds).
WORTH_BEGINNING = 2**20
_CPUINFO = Path("/proc/cpuinfo")


@cache
def uses_onednn() -> bool:
    """Return whether large float32 products go to oneDNN on this processor.

    Decided by its maker and not by a measurement: another library rounds differently, and a run
    that is resumed is to continue bit for bit.
    """
    if not (torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_supported()):
        return False
    return _CPUINFO.is_file() and not is_intel(_CPUINFO.read_text(encoding="ascii"))


def is_intel(cpuinfo: str) -> bool:
    """Return whether the text of /proc/cpuinfo names a processor of Intel's."""
    return "GenuineIntel" in cpuinfo


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [T, I] times weight [O, I] transposed, plus a bias [O]: [T, O]."""
    return _by_onednn(x, weight, bias) if _is_for_onednn(x, weight) else F.linear(x, weight, bias)


def multiplied(y: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """y [T, O] times weight [O, I]: [T, I], added in place to a `total` if there is one."""
    if _is_for_onednn(y, weight):
        product = _by_onednn(y, weight.t(), None)
        return product if total is None else total.add_(product)
    return y @ weight if total is None else total.addmm_(y, weight)


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    is_plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    is_large = len(x) * weight.numel() >= WORTH_BEGINNING
    return is_plain and is_large and not torch.is_autocast_enabled("cpu") and uses_onednn()


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # PyTorch's own operator, though not public: Inductor uses it, and inference/packed.py.
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product
