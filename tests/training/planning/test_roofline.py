"""What a roofline counts, beside the count of a real model's step, and what makes it slower."""

from dataclasses import replace

import pytest
import torch
from tiny_models import TINY

from data.batches import Batch
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.shapes import SHAPES
from model.transformer import Transformer
from training.flops import step_flops
from training.planning.cards import find_card
from training.planning.memory import POLICIES, Method
from training.planning.plan import Settings
from training.planning.roofline import (
    attention_operations,
    dequantizing_bytes,
    moved_bytes,
    product_operations,
    tokens_a_second,
)

LORA = Method(SHAPES["8b"], LoraConfig())
QLORA = replace(LORA, quantization="nf4_double")


def rate_of(method: Method, settings: Settings) -> float:
    return tokens_a_second(method, settings, find_card("H200"), trained_share=0.3, mean_length=300)


@pytest.mark.parametrize("lora", [LoraConfig(4), LoraConfig(8, targets=("wq", "wv"))])
def test_operations_are_those_of_a_real_step(lora: LoraConfig) -> None:
    model, tokens = Transformer(TINY), torch.zeros(12, dtype=torch.int64)
    add_lora(model, lora)
    # All are trained: of the others the last block computes less.
    batch = Batch(tokens, torch.arange(12), (0, 12), torch.arange(12), tokens)
    method = Method(TINY, lora)
    found = product_operations(method, "none", 1.0) + attention_operations(method, "none", 12)
    assert 12 * found == pytest.approx(step_flops(model, [batch]))


@pytest.mark.parametrize("method", [LORA, QLORA, Method(SHAPES["8b"], None, rounded=True)])
def test_what_recomputes_more_is_slower(method: Method) -> None:
    rates = [rate_of(method, Settings(policy)) for policy in POLICIES]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == len(POLICIES)


def test_weights_are_dequantized_forward_and_backward() -> None:
    """By hand: of 6.98 G weights 4.127 bits are read and two bytes written; a scale has 64."""
    assert dequantizing_bytes(QLORA, "none") == pytest.approx(
        2 * 6.979e9 * (2.516 + 16 / 64), rel=1e-3
    )
    assert dequantizing_bytes(QLORA, "full") == pytest.approx(
        3 * 6.979e9 * (2.516 + 16 / 64), rel=1e-3
    )
    assert dequantizing_bytes(LORA, "full") == 0


def test_products_in_fp8_pay_for_rounding_forward_alone() -> None:
    """By hand: 3 x 4096 + 14336 inputs at 9 bytes; 6.98 G weights read, written, scaled."""
    in_fp8 = replace(LORA, quantization="fp8")
    rounded = moved_bytes(in_fp8, "none") - moved_bytes(LORA, "none")
    assert rounded == 32 * 9 * (3 * 4096 + 14336)
    assert dequantizing_bytes(in_fp8, "full") == pytest.approx(6.979e9 * 7, rel=1e-3)
    few, many = (rate_of(in_fp8, Settings(micro_batch_tokens=n)) for n in (1024, 8192))
    assert few < many
    assert 1.02 < many / rate_of(LORA, Settings()) < 1.2


def test_dequantizing_costs_less_where_more_tokens_share_it() -> None:
    few, many = (rate_of(QLORA, Settings(micro_batch_tokens=n)) for n in (1024, 8192))
    assert few < many < rate_of(LORA, Settings())
