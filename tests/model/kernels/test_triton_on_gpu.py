"""Triton's kernels on a GPU, at widths of Llama 3 8B."""

import pytest
import torch
from torch import Tensor

from benchmarks.kernels import Work, work_of
from model.kernels.choice import PLAIN, Kernels, find_kernels

TOKENS = 1003
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def results(kernels: Kernels, kernel: str, work: Work, dtype: torch.dtype) -> list[Tensor]:
    """Return the outputs and the gradients of a weighted sum of them, computed in `dtype`."""
    trained = [x.detach().to(dtype).requires_grad_() for x in work.trained]
    outputs = getattr(kernels, kernel)(*trained, *work.rest)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(o.shape, generator=generator).to(o) for o in outputs]
    return [*(o.detach() for o in outputs), *torch.autograd.grad(outputs, trained, weights)]


def errors(kernels: Kernels, kernel: str, work: Work, dtype: torch.dtype) -> list[float]:
    """Return the errors of `results` as shares of the exact ones of the same rounded inputs."""
    exact = results(PLAIN, kernel, work, torch.float64)
    return [
        float((own.double() - wanted).norm() / wanted.norm())
        for own, wanted in zip(results(kernels, kernel, work, dtype), exact, strict=True)
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kernel", PLAIN._fields)
def test_triton_errs_no_more_than_the_plain_kernel(kernel: str, dtype: torch.dtype) -> None:
    pytest.importorskip("triton")
    device = torch.device("cuda")
    work, triton = work_of(kernel, TOKENS, device, dtype), find_kernels("triton", device)
    found, plain = (errors(kernels, kernel, work, dtype) for kernels in (triton, PLAIN))
    assert all(own <= 1.2 * limit + 1e-6 for own, limit in zip(found, plain, strict=True))
