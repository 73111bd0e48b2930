"""Triton's kernels on a GPU, at sizes of Llama 3 8B that no block divides."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from model.config import ModelConfig
from model.kernels.choice import PLAIN, Kernels, find_kernels
from model.rope import rotation

TOKENS = 1003
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def given(kernel: str, tokens: int, device: torch.device) -> tuple[list[Tensor], list[Any]]:
    """Return the inputs that get gradients, in float32, and the rest."""
    torch.manual_seed(0)
    if kernel == "swiglu":
        return [4 * torch.randn(tokens, 14336, device=device) for _ in range(2)], []
    if kernel == "rotate":
        config = ModelConfig(4096, 1, 32, 8, 128, 14336, 128256)
        turns = rotation(config, torch.arange(tokens, device=device))
        return [torch.randn(tokens, heads, 128, device=device) for heads in (32, 8)], [turns]
    streams = [torch.randn(tokens, 4096, device=device) for _ in range(2)]
    return [*streams, 1 + 0.1 * torch.randn(4096, device=device)], [1e-5]


def results(
    kernels: Kernels, kernel: str, trained: Sequence[Tensor], rest: list[Any]
) -> list[Tensor]:
    """Return the outputs and the gradients of a weighted sum of them."""
    trained = [x.detach().requires_grad_() for x in trained]
    outputs = getattr(kernels, kernel)(*trained, *rest)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(o.shape, generator=generator).to(o) for o in outputs]
    return [*(o.detach() for o in outputs), *torch.autograd.grad(outputs, trained, weights)]


def errors(found: list[Tensor], wanted: list[Tensor]) -> list[float]:
    return [
        float((own.double() - exact).norm() / exact.norm())
        for own, exact in zip(found, wanted, strict=True)
    ]


def check_errors(device: torch.device, dtype: torch.dtype, kernel: str, tokens: int) -> None:
    """Both kinds round the same inputs; the exact results are those of the rounded ones."""
    trained, rest = given(kernel, tokens, device)
    rounded = [x.to(dtype) for x in trained]
    exact = results(PLAIN, kernel, [x.double() for x in rounded], rest)
    triton = find_kernels("triton", torch.device("cuda"))
    plain = errors(results(PLAIN, kernel, rounded, rest), exact)
    found = errors(results(triton, kernel, rounded, rest), exact)
    assert all(own <= 1.2 * limit + 1e-6 for own, limit in zip(found, plain, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kernel", PLAIN._fields)
def test_triton_errs_no_more_than_the_plain_kernel(kernel: str, dtype: torch.dtype) -> None:
    pytest.importorskip("triton")
    check_errors(torch.device("cuda"), dtype, kernel, TOKENS)
