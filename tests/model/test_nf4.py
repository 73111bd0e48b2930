"""NF4 as bitsandbytes stores it, and the frozen linear layer on it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.blockwise import dynamic_map
from model.lora.layers import LoraLinear
from model.nf4 import (
    BLOCK,
    BLOCK_OF_ABSMAX,
    FEW_ROWS,
    NF4,
    NF4_VALUES,
    NF4Linear,
    absmax_of,
    dequantize,
    quantize,
)

# Of whole blocks of both levels, of broken ones, of a few.
SHAPES = ((512, 64), (70, 330), (5, 62))
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def weight_of(shape: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    return (0.02 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype)


def linear_of(weight: Tensor, double: bool = True) -> NF4Linear:
    outputs, inputs = weight.shape
    return NF4Linear(quantize(weight, double), inputs, outputs)


# The format


def test_each_value_is_the_nearest_times_absmax() -> None:
    weight = weight_of((512, 64))
    table = torch.tensor(NF4_VALUES)
    blocks = weight.view(-1, BLOCK)
    absmax = blocks.abs().amax(1, keepdim=True)
    nearest = (blocks / absmax).unsqueeze(-1).sub(table).abs().argmin(-1)
    wanted = (table[nearest] * absmax).view(512, 64)
    found = quantize(weight, double_quantization=False)
    assert torch.equal(found.absmax, absmax.view(-1))
    assert torch.equal(dequantize(found, (512, 64), torch.float32), wanted)


def test_two_codes_share_a_byte_the_first_in_its_high_bits() -> None:
    found = quantize(torch.tensor([[1.0, -1.0, 0.0, 1.0]]), double_quantization=False)
    assert found.codes.tolist() == [0xF0, 0x7F]


@pytest.mark.parametrize("shape", SHAPES)
def test_double_quantization_keeps_absmax_within_a_percent(shape: tuple[int, int]) -> None:
    weight = weight_of(shape)
    plain, double = quantize(weight, False), quantize(weight, True)
    assert torch.equal(plain.codes, double.codes)
    assert double.absmax.dtype == torch.uint8 and len(double.absmax) == len(plain.absmax)
    torch.testing.assert_close(absmax_of(double), plain.absmax, atol=0, rtol=0.01)


@pytest.mark.parametrize("double", [False, True])
def test_zeros_stay_zeros(double: bool) -> None:
    found = quantize(torch.zeros(4, 100), double)
    assert not dequantize(found, (4, 100), torch.float32).any()


def test_a_weight_is_quantized_alike_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = weight_of((70, 330))
    whole = quantize(weight)
    monkeypatch.setattr("model.nf4._CHUNK", 4 * BLOCK)
    for found, wanted in zip(quantize(weight), whole, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("double", [False, True])
def test_a_value_takes_little_more_than_four_bits(double: bool) -> None:
    weight = weight_of((1024, 1024))
    parts = [part for part in quantize(weight, double) if part is not None]
    bits = 8 * sum(part.nbytes for part in parts) / weight.numel()
    assert bits == pytest.approx(4.127 if double else 4.5, abs=1e-3)


# Beside bitsandbytes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_single_quantization_equals_bitsandbytes(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    theirs = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed").functional
    weight = weight_of(shape, dtype)
    codes, state = theirs.quantize_4bit(weight, quant_type="nf4")
    ours = quantize(weight, double_quantization=False)
    assert torch.equal(ours.codes, codes.view(-1))
    assert torch.equal(ours.absmax, state.absmax)
    assert torch.equal(dequantize(ours, shape, dtype), theirs.dequantize_4bit(codes, state))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_double_quantization_equals_bitsandbytes(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    """Its kernel for CPUs snaps absmax to 65,536 steps before it looks for the nearest value, so
    that 1 code in 700 is the neighbour's; the one for float64 is plain, as the one for CUDA is."""
    theirs = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed").functional
    weight = weight_of(shape, dtype)
    codes, state = theirs.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    ours, absmax = quantize(weight), quantize(weight, double_quantization=False).absmax
    assert ours.offset is not None and ours.absmax_scale is not None
    centred, table = (absmax - ours.offset).double(), theirs.create_dynamic_map()
    plain, _ = torch.ops.bitsandbytes.quantize_blockwise(centred, table, 256)
    assert torch.equal(ours.absmax, plain)
    assert (ours.absmax.int() - state.absmax.int()).abs().max() <= 1
    assert torch.equal(ours.absmax_scale, state.state2.absmax)
    assert torch.equal(ours.offset, state.offset)
    state.absmax = ours.absmax
    assert torch.equal(dequantize(ours, shape, dtype), theirs.dequantize_4bit(codes, state))
    read = NF4(codes.view(-1), state.absmax, state.state2.absmax, state.offset)
    assert torch.equal(dequantize(read, shape, dtype), theirs.dequantize_4bit(codes, state))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_kernel_on_cuda_equals_the_definition(dtype: torch.dtype) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    linear = linear_of(weight_of((512, 64)).cuda())
    wanted = dequantize(linear.quantized, (512, 64), dtype)
    assert torch.equal(linear.dequantized(dtype), wanted)


@pytest.mark.parametrize("shape", SHAPES)
def test_bitsandbytes_absmax_equals_the_definition(shape: tuple[int, int]) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    weight = quantize(weight_of(shape))
    table = dynamic_map(torch.device("cpu"))
    scales = (weight.absmax, weight.absmax_scale, table, BLOCK_OF_ABSMAX, torch.float32)
    values = torch.ops.bitsandbytes.dequantize_blockwise(*scales)
    assert torch.equal(values + weight.offset, absmax_of(weight))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("double", [False, True])
def test_product_with_codes_is_that_with_the_weight(double: bool, dtype: torch.dtype) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    linear, x = linear_of(weight_of((512, 64)), double), torch.randn(3, 64, dtype=dtype)
    wanted = F.linear(x, linear.dequantized(dtype))
    torch.testing.assert_close(linear.multiplied(x), wanted, atol=0, rtol=0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("rows", [1, 4, FEW_ROWS])
@pytest.mark.parametrize("double", [False, True])
def test_few_rows_on_cuda_are_multiplied_within_rounding(double: bool, rows: int) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    linear = linear_of(weight_of((1024, 2048)).cuda(), double)
    x = torch.randn(rows, 2048, device="cuda", dtype=torch.bfloat16)
    wanted = F.linear(x.double(), linear.dequantized(torch.float32).double())
    with torch.no_grad():
        error = (linear(x).double() - wanted).norm() / wanted.norm()
    assert error < 0.01


# The linear layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("double", [False, True])
def test_forward_and_backward_are_those_of_the_dequantized_weight(
    double: bool, dtype: torch.dtype
) -> None:
    weight = weight_of((70, 330))
    linear = linear_of(weight, double)
    plain = dequantize(quantize(weight, double), (70, 330), dtype)
    x = torch.randn(9, 330, dtype=dtype)
    ours, wanted = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, product = linear(ours), F.linear(wanted, plain)
    assert torch.equal(found, product)
    gradient = torch.randn_like(found)
    found.backward(gradient)
    product.backward(gradient)
    assert ours.grad is not None and wanted.grad is not None
    assert torch.equal(ours.grad, wanted.grad)


def test_the_bias_is_added() -> None:
    linear = linear_of(weight_of((70, 330)))
    x, bias = torch.randn(9, 330), torch.randn(70)
    without = linear(x)
    linear.bias = nn.Parameter(bias)
    assert torch.equal(linear(x), without + bias)


def test_nothing_whole_is_kept_for_the_backward_pass() -> None:
    linear, kept = linear_of(weight_of((512, 64))), list[Tensor]()
    x = torch.randn(2, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        linear(x)
    assert sum(tensor.numel() for tensor in kept) < 512 * 64 / 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cast_of_the_model_leaves_the_weight_as_it_is(dtype: torch.dtype) -> None:
    linear = linear_of(weight_of((70, 330)))
    before = linear.dequantized(torch.float32)
    assert torch.equal(nn.Sequential(linear).to(dtype)[0].dequantized(torch.float32), before)


def test_an_adapter_on_it_trains_alone() -> None:
    base = linear_of(weight_of((70, 330)))
    layer = LoraLinear(base, rank=4, scale=2.0)
    nn.init.normal_(layer.lora_b)
    x = torch.randn(9, 330)
    layer(x).sum().backward()
    assert [name for name, _ in layer.named_parameters()] == ["lora_a", "lora_b"]
    assert layer.lora_a.grad is not None and layer.lora_b.grad is not None
    merged = layer.merged(base.dequantized(torch.float32))
    torch.testing.assert_close(layer(x), F.linear(x, merged))
