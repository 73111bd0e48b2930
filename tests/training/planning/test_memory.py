"""The bytes of a step by formula, beside the model's own parameters and beside real tensors."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from fake_cuda.device import Watch
from tiny_models import TINY

from model.attention import Documents
from model.config import ModelConfig
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.shapes import SHAPES
from model.transformer import Transformer
from training.backends import trained_parameters as parameters_of
from training.loss import summed_cross_entropy
from training.planning.memory import (
    POLICIES,
    Method,
    activation_bytes,
    base_parameters,
    frozen_bytes,
    trained_parameters,
)
from training.recomputation import apply_policy

FAMILIES = {
    "llama": TINY,
    "tied": replace(TINY, tied_embeddings=True),
    "biases": replace(TINY, qkv_bias=True),
    "norms of heads": replace(TINY, qk_norm=True),
}
# Shapes, and the tokens of one conversation.
SIZES = {
    "small": (ModelConfig(256, 4, 4, 4, 64, 704, 1024), 512),
    "larger": (ModelConfig(384, 6, 6, 6, 64, 1024, 1024), 1024),
}


class FlashDocuments(Documents):
    """One conversation, attended to by a kernel that keeps no probabilities, as CUDA's."""

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int | None = None
    ) -> torch.Tensor:
        q, k, v = (heads.transpose(0, 1)[None] for heads in (q, k, v))
        attended = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return attended[0].transpose(0, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_counted_from_the_shape_alone(family: str) -> None:
    model = Transformer(FAMILIES[family])
    count = sum(p.numel() for p in model.parameters())
    assert base_parameters(FAMILIES[family]) == count
    has_bias = FAMILIES[family].qkv_bias
    ends = () if has_bias or FAMILIES[family].tied_embeddings else ("output", "tok_embeddings")
    lora = LoraConfig(
        8,
        targets=("wq", "layers.1.*.w?", *ends),
        ranks=(("wq", 2),),
        dora=not ends,
        biases=has_bias,
    )
    add_lora(model, lora)
    wanted = sum(p.numel() for p in parameters_of(model).values())
    assert trained_parameters(Method(FAMILIES[family], lora)) == wanted


@pytest.mark.parametrize(
    "lora",
    [LoraConfig(8), pytest.param(LoraConfig(8, dora=True), marks=pytest.mark.long)],
    ids=["lora", "dora"],
)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", SIZES)
def test_activations_are_within_ten_percent_of_real_tensors(
    size: str, policy: str, lora: LoraConfig
) -> None:
    config, length = SIZES[size]
    model = Transformer(config).train()
    add_lora(model, lora)
    apply_policy(model, policy)
    rows = torch.arange(0, length, 4)
    targets = torch.randint(0, config.vocab_size, (len(rows),))
    counter = Watch("cpu")
    for parameter in model.parameters():
        counter.add(parameter)
    weights = counter.live
    with counter:
        loss = model(
            torch.randint(0, config.vocab_size, (length,)),
            torch.arange(length),
            FlashDocuments((0, length)),
            output_positions=rows,
            head=partial(summed_cross_entropy, targets=targets),
        )
        loss.backward()
    found = activation_bytes(Method(config, lora, 4), policy, length, len(rows))
    assert found == pytest.approx(counter.peak - weights, rel=0.1)


def test_fp8_takes_half_of_the_linear_layers() -> None:
    """By hand, 8B: 6.98 G weights of linears at a byte, 1.05 G others at two."""
    method = Method(SHAPES["8b"], LoraConfig(), quantization="fp8")
    assert frozen_bytes(method) == pytest.approx(6.98e9 + 2.1e9, rel=0.005)


def test_nf4_takes_a_quarter_of_the_linear_layers() -> None:
    """By hand, 70B: 68.45 G weights of linears at 4.127 bits, 2.1 G others at 16."""
    method = Method(SHAPES["70b"], LoraConfig(), quantization="nf4_double")
    assert frozen_bytes(method) == pytest.approx(35.31e9 + 4.2e9, rel=0.005)
