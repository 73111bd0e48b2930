"""FP8: a matrix rounded row by row, products in it, and the frozen linear layer on it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.fp8 import FP8, LARGEST, FP8Linear, check_fp8, quantize_rows
from model.lora.layers import LoraLinear, stacked

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def drawn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def linear_of(outputs: int = 48, inputs: int = 64, dtype: torch.dtype = torch.float32) -> FP8Linear:
    return FP8Linear(quantize_rows(0.02 * drawn(outputs, inputs, dtype=dtype)))


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return ((found.double() - wanted.double()).norm() / wanted.double().norm()).item()


# The numbers


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_row_fills_the_range_of_fp8(dtype: torch.dtype) -> None:
    matrix = drawn(9, 64, dtype=dtype) * torch.logspace(-3, 3, 9, dtype=dtype)[:, None]
    values, scale = quantize_rows(matrix)
    assert values.dtype == FP8 and scale.shape == (9, 1) and scale.dtype == torch.float32
    assert torch.equal(values.float().abs().amax(1), torch.full((9,), LARGEST))
    error = (values.float() * scale - matrix.float()).abs()
    # Half a step: of three bits, and of the smallest numbers, whose steps are 2^-9.
    assert (error <= 1.07 * (matrix.abs() / 16 + scale * 2**-10)).all()


def test_zeros_stay_zeros() -> None:
    values, scale = quantize_rows(torch.zeros(3, 32))
    assert not (values.float() * scale).any()


# The product


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tokens", [1, 33])
def test_product_is_that_of_the_rounded_matrices(tokens: int, dtype: torch.dtype) -> None:
    linear, x = linear_of(), drawn(tokens, 64, dtype=dtype, seed=1)
    values, scale = quantize_rows(x)
    wanted = (values.double() * scale) @ linear.dequantized(torch.float64).t()
    found = linear(x)
    assert found.dtype == dtype
    assert relative_error(found, wanted) < 4 * torch.finfo(dtype).eps


def test_product_errs_by_less_than_four_percent() -> None:
    weight, x = 0.02 * drawn(256, 1024), drawn(64, 1024, seed=1)
    found = FP8Linear(quantize_rows(weight))(x)
    assert 0.02 < relative_error(found, x @ weight.t()) < 0.04


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("tokens", [1, 17, 1000])
def test_product_on_cuda_is_that_of_the_cpu(tokens: int) -> None:
    check_fp8("cuda", torch.bfloat16)
    linear, x = linear_of(4096, 14336), drawn(tokens, 14336, dtype=torch.bfloat16, seed=1)
    wanted = linear(x.float())
    assert relative_error(linear.cuda()(x.cuda()).cpu(), wanted) < 0.01


# The linear layer


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_is_that_of_the_dequantized_weight(dtype: torch.dtype) -> None:
    linear, x = linear_of(), drawn(9, 64, dtype=dtype, seed=1).requires_grad_()
    y = linear(x)
    gradient = drawn(9, 48, dtype=dtype, seed=2)
    y.backward(gradient)
    assert x.grad is not None
    assert torch.equal(x.grad, gradient @ linear.dequantized(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_weight_is_dequantized_with_one_rounding(dtype: torch.dtype) -> None:
    linear = linear_of()
    values, scale = linear.quantized
    assert torch.equal(linear.dequantized(dtype), (values.float() * scale).to(dtype))


def test_a_cast_of_the_model_leaves_the_weight_as_it_is() -> None:
    linear = linear_of()
    before = linear.dequantized(torch.float32)
    assert torch.equal(nn.Sequential(linear).half()[0].dequantized(torch.float32), before)


@pytest.mark.parametrize("function", [stacked, lambda layers, x: [layer(x) for layer in layers]])
def test_adapters_on_it_are_added_to_its_product(function: Callable[..., list[Tensor]]) -> None:
    torch.manual_seed(0)
    bases, x = [linear_of(), linear_of(32)], drawn(9, 64, seed=1).requires_grad_()
    bases[0].bias = nn.Parameter(torch.randn(48), requires_grad=False)
    layers = [LoraLinear(base, rank=4, scale=2.0) for base in bases]
    for layer in layers:
        nn.init.normal_(layer.lora_b)
    outputs = function(layers, x)
    for base, layer, y in zip(bases, layers, outputs, strict=True):
        delta = 2 * F.linear(F.linear(x, layer.lora_a), layer.lora_b)
        torch.testing.assert_close(y, base(x) + delta)
    sum(y.sum() for y in outputs).backward()  # type: ignore[union-attr]
    merged = (
        layer.merged(base.dequantized(torch.float32))
        for base, layer in zip(bases, layers, strict=True)
    )
    wanted = sum(weight.sum(0) for weight in merged)
    torch.testing.assert_close(x.grad, wanted.expand(9, -1))  # type: ignore[union-attr]


# Where it runs


@pytest.mark.parametrize(
    ("capability", "dtype", "message"),
    [
        ((8, 0), torch.bfloat16, "has compute capability 8.0, wanted 8.9, 9 or 10; store the base"),
        ((12, 0), torch.bfloat16, "has compute capability 12.0, wanted"),
        ((9, 0), torch.float32, "the dtype is float32; add --model.dtype=bfloat16, or store"),
    ],
)
def test_devices_that_cannot_are_refused(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype, message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    with pytest.raises(ValueError, match=message):
        check_fp8("cuda", dtype)


@pytest.mark.parametrize("capability", [(8, 9), (9, 0), (10, 3)])
def test_devices_that_can_are_taken(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    check_fp8("cuda", torch.bfloat16)
    check_fp8("cpu", torch.float32)
