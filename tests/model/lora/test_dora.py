"""DoRA on bases that store weights in any way; tests/weights/peft compares it with PEFT's."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from inference.packed import PackedLinear
from model.lora.dora import DoraLinear
from model.nf4 import NF4Linear, quantize

INPUTS, OUTPUTS = 192, 96


def packed(weight: Tensor, bias: Tensor) -> nn.Module:
    return PackedLinear(weight, bias)


def in_nf4(weight: Tensor, bias: Tensor) -> nn.Module:
    linear = NF4Linear(quantize(weight), INPUTS, OUTPUTS)
    linear.bias = nn.Parameter(bias)
    return linear


def plain(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(INPUTS, OUTPUTS)
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear.requires_grad_(False)


def trained(base: nn.Module) -> DoraLinear:
    """Return a DoRA off its start, the same for every base."""
    torch.manual_seed(3)
    layer = DoraLinear(base, rank=4, scale=2.0)
    with torch.no_grad():
        layer.lora_b.normal_(std=0.1)
        layer.lora_magnitude.mul_(1 + 0.2 * torch.randn(OUTPUTS))
    return layer


@pytest.mark.parametrize("kind", [packed, in_nf4])
def test_dora_only_needs_to_call_its_base(kind: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(OUTPUTS, INPUTS), torch.randn(OUTPUTS), torch.randn(5, INPUTS)
    layer = trained(kind(weight, bias))
    stored = layer.base.dequantized(torch.float32) if kind is in_nf4 else weight  # type: ignore[operator]
    reference = trained(plain(stored, bias))
    torch.testing.assert_close(layer(x), reference(x), atol=1e-4, rtol=1e-5)
    merged = nn.functional.linear(x, layer.merged(stored), bias)
    torch.testing.assert_close(merged, reference(x), atol=1e-4, rtol=1e-5)


def test_a_new_dora_in_bfloat16_starts_as_the_base() -> None:
    torch.manual_seed(0)
    base = plain(torch.randn(OUTPUTS, INPUTS), torch.randn(OUTPUTS)).bfloat16()
    layer = DoraLinear(base, rank=4, scale=2.0)
    x = torch.randn(5, INPUTS).bfloat16()
    without_bias = nn.functional.linear(x, base.weight)
    assert torch.equal(layer(x), without_bias + base.bias)


def test_a_row_of_zeros_stays_finite() -> None:
    weight = torch.zeros(OUTPUTS, INPUTS)
    layer = DoraLinear(plain(weight, torch.zeros(OUTPUTS)), rank=4, scale=2.0)
    layer(torch.randn(5, INPUTS)).sum().backward()
    gradient = layer.lora_magnitude.grad
    assert gradient is not None and torch.isfinite(gradient).all()
    assert torch.isfinite(layer.merged(weight)).all()


def test_dora_refuses_biases_that_ranks_share() -> None:
    base = plain(torch.randn(OUTPUTS, INPUTS), torch.randn(OUTPUTS))
    base.bias.ds_shape = base.bias.shape  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="works at ZeRO stages 0 to 2, and the stage is 3"):
        DoraLinear(base, rank=4, scale=2.0)
