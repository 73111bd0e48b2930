"""A packed model says what the model said, and only its speed differs."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import FAMILY_SHAPES, TINY, random_model
from torch import Tensor

from inference.generate import generate
from inference.packed import WORTH_BEGINNING, PackedLinear, native_dtype, pack
from model.attention import Documents
from model.lora.adapter import adapter_state, add_lora, load_adapter
from model.lora.config import LoraConfig
from model.nf4 import NF4Linear, quantize
from model.transformer import Transformer
from weights.adapter import detach_adapter

# Its output is large enough to be packed in float32, its other weights are not.
LARGER = replace(TINY, vocab_size=WORTH_BEGINNING // TINY.dim)
PROMPTS = [[1, 5, 9] * length for length in (1, 60, 200)]

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="needs a PyTorch with oneDNN"
)


BFLOAT16 = pytest.param(
    torch.bfloat16,
    id="bfloat16",
    marks=pytest.mark.skipif(
        native_dtype(torch.bfloat16) != torch.bfloat16,
        reason="needs a processor with instructions for bfloat16",
    ),
)


@torch.no_grad()
def logits(model: Transformer, count: int) -> Tensor:
    tokens = torch.arange(count) % TINY.vocab_size
    return model(tokens, torch.arange(count), Documents([0, count]))


def packed(model: Transformer) -> Transformer:
    other = deepcopy(model)
    pack(other)
    assert any(isinstance(module, PackedLinear) for module in other.modules())
    return other


def nbytes(model: Transformer) -> int:
    return sum(parameter.nbytes for parameter in model.parameters())


@pytest.mark.parametrize("tied", [False, True])
def test_float32_logits_and_replies_are_the_same(tied: bool) -> None:
    model = random_model(replace(LARGER, tied_embeddings=tied))
    faster = packed(model)
    assert faster.output.weight.layout != torch.strided
    assert faster.layers[0].feed_forward.w1.weight.layout == torch.strided
    for count in (1, 300):
        torch.testing.assert_close(logits(faster, count), logits(model, count), atol=1e-5, rtol=0)
    wanted = generate(model, PROMPTS, stop_ids=(), max_new_tokens=20)
    assert generate(faster, PROMPTS, stop_ids=(), max_new_tokens=20) == wanted


@pytest.mark.parametrize("dtype", [BFLOAT16])
def test_bfloat16_logits_are_the_same_bit_for_bit(dtype: torch.dtype) -> None:
    model = random_model(TINY).to(dtype)
    faster = packed(model)
    assert faster.layers[0].attention.wk.weight.layout != torch.strided
    for count in (1, 300):
        assert torch.equal(logits(faster, count), logits(model, count))


@pytest.mark.parametrize("dtype", [torch.float32, BFLOAT16])
def test_weights_lie_in_memory_once_and_a_tied_one_twice(dtype: torch.dtype) -> None:
    model = random_model(LARGER).to(dtype)
    assert nbytes(packed(model)) == nbytes(model)
    tied = random_model(replace(LARGER, tied_embeddings=True)).to(dtype)
    assert nbytes(packed(tied)) == nbytes(tied) + tied.tok_embeddings.weight.nbytes


def test_adapters_attach_and_detach_before_and_after_packing() -> None:
    base = random_model(LARGER)
    adapted = deepcopy(base)
    config = LoraConfig(rank=4, alpha=8.0)
    add_lora(adapted, config)
    for name, parameter in adapted.named_parameters():
        if name.endswith("lora_b"):
            torch.nn.init.normal_(parameter, std=0.1)
    wanted = logits(adapted, 300)
    assert (wanted - logits(base, 300)).abs().max() > 0.1
    torch.testing.assert_close(logits(packed(adapted), 300), wanted, atol=1e-4, rtol=0)

    faster = packed(base)
    without = logits(faster, 300)
    add_lora(faster, config)
    load_adapter(faster, adapter_state(adapted))
    torch.testing.assert_close(logits(faster, 300), wanted, atol=1e-4, rtol=0)
    detach_adapter(faster)
    assert torch.equal(logits(faster, 300), without)


def test_dtype_not_packed_is_only_frozen() -> None:
    model = random_model(TINY).double()
    pack(model)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_float32_is_native_everywhere_and_float16_on_no_processor() -> None:
    assert native_dtype(torch.float32) == native_dtype(torch.float16) == torch.float32
    assert native_dtype(torch.bfloat16) in (torch.bfloat16, torch.float32)


def test_bfloat16_is_native_where_linux_lists_its_instructions() -> None:
    listed = Path("/proc/cpuinfo")
    flags = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    if "avx512f" not in flags:
        pytest.skip("needs a processor with AVX-512, on Linux")
    assert (native_dtype(torch.bfloat16) == torch.bfloat16) == ("avx512_bf16" in flags)


@pytest.mark.parametrize("count", [1, 300])
def test_quantized_layers_are_dequantized_once_with_their_biases(count: int) -> None:
    model = random_model(FAMILY_SHAPES["qwen2"])
    plain = deepcopy(model)
    for name, linear in list(model.named_modules()):
        if name.startswith("layers.") and isinstance(linear, torch.nn.Linear):
            quantized = NF4Linear(quantize(linear.weight), linear.in_features, linear.out_features)
            quantized.bias = linear.bias
            model.set_submodule(name, quantized)
            plain.get_submodule(name).weight.data = quantized.dequantized(torch.float32)
    torch.testing.assert_close(
        logits(packed(model), count), logits(plain, count), atol=1e-5, rtol=0
    )
