"""Adapted layers as one function beside their definition by operators."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_models import TINY, random_model
from torch import Tensor, nn

from model.attention import Documents
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.lora.layers import LoraLinear, stacked
from model.nf4 import NF4Linear, quantize
from model.transformer import Transformer, one_by_one

# Outputs, rank (0 for no adapter) and scale of each layer of one input.
STACKS = {
    "one": [(24, 4, 1.0)],
    "queries, keys, values": [(64, 4, 2.0), (32, 4, 2.0), (32, 4, 2.0)],
    "odd, of different ranks and scales": [(33, 1, 0.3), (7, 5, 1.0), (1, 3, 16.0)],
    "queries and values alone": [(64, 4, 1.0), (32, 0, 1.0), (32, 4, 0.5)],
    "gate alone": [(40, 8, 1.5), (40, 0, 1.0)],
}
TOKENS_AND_INPUTS = [(17, 64), (1, 64), (5, 128)]
Results = list[Tensor]


def layers_of(
    stack: Sequence[tuple[int, int, float]], inputs: int, bias: bool, packed: bool
) -> list[nn.Module]:
    """Return the layers of a stack with drawn values."""
    torch.manual_seed(3)
    layers: list[nn.Module] = []
    for outputs, rank, scale in stack:
        base: nn.Module = nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)
        if packed:
            kept, base = base, NF4Linear(quantize(base.weight), inputs, outputs)  # type: ignore[arg-type]
            base.bias = kept.bias  # type: ignore[assignment]
        layers.append(LoraLinear(base, rank, scale) if rank else base)
        if rank:
            nn.init.normal_(layers[-1].lora_b, std=0.3)  # type: ignore[arg-type]
    return layers


def by_definition(layers: Sequence[nn.Module], x: Tensor) -> list[Tensor]:
    outputs = []
    for layer in layers:
        base = layer.base if isinstance(layer, LoraLinear) else layer
        y = base(x)  # type: ignore[operator]
        if isinstance(layer, LoraLinear):
            inner = F.linear(x, layer.lora_a.type_as(x))
            y = y + layer.scale * F.linear(inner, layer.lora_b.type_as(x))
        outputs.append(y)
    return outputs


def by_operators(layers: Sequence[nn.Module], x: Tensor) -> list[Tensor]:
    """As variants of adapters are computed, with fewer roundings than the definition."""
    outputs = []
    for layer in layers:
        if isinstance(layer, LoraLinear):
            inner = F.linear(x, layer.lora_a.type_as(x))
            b = layer.lora_b.type_as(x).t()
            outputs.append(torch.addmm(layer.base(x), inner, b, alpha=layer.scale))
        else:
            outputs.append(layer(x))
    return outputs


def results(
    function: Callable[..., Sequence[Tensor]], layers: list[nn.Module], x: Tensor
) -> Results:
    """Return outputs, the input's gradient and those of the adapters."""
    nn.ModuleList(layers).zero_grad()
    x = x.clone().requires_grad_()
    outputs = function(layers, x)
    drawn = torch.Generator().manual_seed(4)
    loss = sum((y.float() * torch.randn(y.shape, generator=drawn)).sum() for y in outputs)
    loss.backward()  # type: ignore[union-attr]
    trained = [p for p in nn.ModuleList(layers).parameters() if p.requires_grad]
    found = [x.grad, *(parameter.grad for parameter in trained)]
    return [*(y.detach() for y in outputs), *found]  # type: ignore[list-item]


def is_one_function(outputs: Sequence[Tensor]) -> bool:
    return all(y.grad_fn is not None and "_Products" in y.grad_fn.name() for y in outputs)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_outputs_and_gradients_equal_the_definition_in_float32(
    stack: str, bias: bool, packed: bool
) -> None:
    for tokens, inputs in TOKENS_AND_INPUTS:
        layers = layers_of(STACKS[stack], inputs, bias, packed)
        x = torch.randn(tokens, inputs)
        assert is_one_function(stacked(layers, x))
        wanted = results(by_definition, layers, x)
        for found, tensor in zip(results(stacked, layers, x), wanted, strict=True):
            assert (found - tensor).norm() <= 1e-5 * tensor.norm() + 1e-6


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("stack", STACKS)
def test_bfloat16_errs_no_more_than_operators(stack: str, packed: bool) -> None:
    layers = layers_of(STACKS[stack], 128, False, packed)
    module, x = nn.ModuleList(layers), torch.randn(200, 128).bfloat16()
    for layer in layers:
        (layer.base if isinstance(layer, LoraLinear) else layer).bfloat16()  # type: ignore[operator]
    plain, own = results(by_operators, layers, x), results(stacked, layers, x)
    exact = results(by_definition, list(module.float()), x.float())
    for found, rounded, wanted in zip(own, plain, exact, strict=True):
        assert found.dtype == rounded.dtype
        assert (found - wanted).norm() <= 1.2 * (rounded - wanted).norm() + 1e-6


def test_input_without_a_gradient_is_left_without_one() -> None:
    layers, x = layers_of(STACKS["one"], 64, False, False), torch.randn(5, 64)
    stacked(layers, x)[0].sum().backward()
    assert x.grad is None and layers[0].lora_b.grad is not None  # type: ignore[union-attr]


@pytest.mark.parametrize("variant", ["dora", "dropout", "biases"])
def test_variants_are_computed_by_operators(variant: str) -> None:

    model = random_model(replace(TINY, qkv_bias=True))
    settings = {"dora": {"dora": True}, "dropout": {"dropout": 0.1}, "biases": {"biases": True}}
    add_lora(model, LoraConfig(4, **settings[variant]))  # type: ignore[arg-type]
    outputs = model.layers[0].attention.project(torch.randn(3, TINY.dim))  # type: ignore[union-attr, operator]
    assert not any(is_one_function([y]) for y in outputs)


def losses(
    model: Transformer, products: Callable[..., Sequence[Tensor]], steps: int
) -> list[float]:
    """Train for some steps with AdamW; return the losses."""
    for module in model.modules():
        if hasattr(module, "products"):
            module.products = products
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    tokens, found = torch.randint(0, TINY.vocab_size, (40,)), []
    for _ in range(steps):
        positions, offsets = torch.cat([torch.arange(25), torch.arange(15)]), (0, 25, 40)
        logits = model(tokens, positions, Documents(offsets))
        loss = F.cross_entropy(logits[:-1].float(), tokens[1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("targets", [("wq", "wv"), ("w1", "wk", "w2"), LoraConfig().targets])
def test_run_by_one_function_has_the_losses_of_operators(
    targets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for function in (stacked, one_by_one):
        model = random_model(TINY)
        torch.manual_seed(1)
        add_lora(model, LoraConfig(4, targets=targets))
        if function is one_by_one:
            monkeypatch.setattr(LoraLinear, "part", lambda *_: None)
        found.append(losses(model, function, 8))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0][-1] < found[0][0] - 0.5
