"""Variants of LoRA on packed models, attached before packing or after, and taken off again."""

from dataclasses import replace

import pytest
import torch
from operations import Operations
from tiny_models import TINY, random_model
from torch import Tensor

from inference.packed import pack, round_adapter
from model.attention import Documents
from model.config import ModelConfig
from model.lora.adapter import adapter_state, add_lora
from model.lora.config import LoraConfig
from model.transformer import Transformer
from weights.adapter import detach_adapter

VARIANTS = {
    "ends": (TINY, LoraConfig(4, targets=("wq", "output", "tok_embeddings"))),
    "rows": (TINY, LoraConfig(4, token_rows=(3, 5))),
    "tied rows": (replace(TINY, tied_embeddings=True), LoraConfig(4, token_rows=(3, 5))),
    "dora": (replace(TINY, qkv_bias=True), LoraConfig(4, dora=True, biases=True)),
}
TOKENS = torch.arange(40)


@torch.no_grad()
def logits_of(model: Transformer) -> Tensor:
    return model(TOKENS, TOKENS, Documents([0, len(TOKENS)])).float()


def adapted(model: Transformer, lora: LoraConfig) -> Transformer:
    """Put an adapter like a trained one on a model, the same each time."""
    torch.manual_seed(0)
    add_lora(model, lora)
    draw = torch.Generator().manual_seed(1)
    for name, tensor in adapter_state(model).items():
        if not name.endswith("lora_a"):
            tensor.add_(torch.randn(tensor.shape, generator=draw), alpha=0.1)
    return model


def base(config: ModelConfig, dtype: torch.dtype, packed: bool = False) -> Transformer:
    model = random_model(config).to(dtype)
    if packed:
        pack(model)
    return model.eval()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_packing_changes_no_logit_of_a_variant(
    variant: str, dtype: torch.dtype, tolerance: float
) -> None:
    config, lora = VARIANTS[variant]
    plain, before = (adapted(base(config, dtype), lora) for _ in range(2))
    after = adapted(base(config, dtype, packed=True), lora)
    pack(before)
    wanted, start = logits_of(plain), logits_of(base(config, dtype, packed=True))
    for model in (before, after):
        torch.testing.assert_close(logits_of(model), wanted, atol=tolerance, rtol=0)
    assert (wanted - start).abs().max() > 2 * tolerance
    detach_adapter(after)
    assert torch.equal(logits_of(after), start)


@pytest.mark.parametrize("variant", VARIANTS)
def test_adapter_of_a_packed_model_is_rounded_once(variant: str) -> None:
    config, lora = VARIANTS[variant]
    model = adapted(base(config, torch.bfloat16), lora)
    masters = adapter_state(model)
    packed = adapted(base(config, torch.bfloat16), lora)
    before = logits_of(packed)
    round_adapter(packed)
    dtypes = {tensor.dtype for tensor in adapter_state(packed).values()}
    # The lengths of DoRA's rows are computed of its masters.
    assert dtypes == {torch.float32 if lora.dora else torch.bfloat16}
    assert {tensor.dtype for tensor in masters.values()} == {torch.float32}
    assert torch.equal(logits_of(packed), before)
    detach_adapter(packed)
    assert torch.equal(logits_of(packed), logits_of(base(config, torch.bfloat16)))


def test_rounded_adapter_is_cast_in_no_pass() -> None:
    model = adapted(base(TINY, torch.bfloat16), LoraConfig(4))
    masters = Operations()
    with masters:
        logits_of(model)
    round_adapter(model)
    with Operations() as rounded:
        logits_of(model)
    casts = [operations.names.count("aten::_to_copy") for operations in (masters, rounded)]
    assert casts[0] - casts[1] == len(adapter_state(model))
