"""The proof refuses every merge that is wrong in the written dtype, and no right one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from native_directories import random_adapter
from tiny_models import TINY, random_model
from torch import Tensor

import weights.merge_proof
from model.config import ModelConfig
from model.lora.adapter import adapter_of
from model.lora.config import LoraConfig
from model.lora.layers import merge
from weights.adapter import Adapter
from weights.merge import merged_tensors
from weights.merge_proof import prove, spacing, weight_error
from weights.table import EMBEDDING, OUTPUT

LORA = LoraConfig(rank=8, alpha=32.0)
SQUARE = ("attention.wq", "attention.wo")
State = dict[str, Tensor]


def base_of(config: ModelConfig, dtype: torch.dtype) -> State:
    named = random_model(config).named_parameters()
    return {name: parameter.detach().to(dtype) for name, parameter in named}


def adapter_with(state: State, lora: LoraConfig = LORA) -> Adapter:
    return Adapter(Path("adapter.safetensors"), Path(), lora, None, state)


def largest_error(base: State, merged: State, adapter: Adapter) -> float:
    layers = {name: adapter.layer(name.removesuffix(".weight"), base[name]) for name in base}
    return max(
        weight_error(base[name], layer, merged[name]) for name, layer in layers.items() if layer
    )


def right(base: State, adapter: Adapter, dtype: str | None = None) -> State:
    return dict(merged_tensors(base, adapter, dtype))


SIZES = (1e-6, 1e-4, 1e-2, 1.0)
DTYPES = (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_a_right_merge_is_proven_whatever_the_adapters_size(
    size: float, dtype: torch.dtype
) -> None:
    base = base_of(TINY, dtype)
    adapter = adapter_with(random_adapter(TINY, LORA, size))
    proof = prove(base, right(base, adapter), adapter)
    assert proof.weight_error <= 1
    assert proof.merged_weights == 7 * TINY.n_layers
    assert proof.merged_weights + proof.unchanged_weights == len(base)


@pytest.mark.parametrize(
    ("stored", "written"),
    [("float32", "bfloat16"), ("bfloat16", "float32"), ("float32", "float16")],
)
def test_a_merge_into_another_dtype_is_proven(stored: str, written: str) -> None:
    base = base_of(TINY, getattr(torch, stored))
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = right(base, adapter, written)
    assert {tensor.dtype for tensor in merged.values()} == {getattr(torch, written)}
    assert prove(base, merged, adapter, getattr(torch, written)).weight_error <= 1
    with pytest.raises(ValueError, match=f"] {written}, wanted .*] {stored}"):
        prove(base, merged, adapter)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-4, 1e-2, 1.0])
def test_a_merge_summed_in_another_way_is_proven(size: float, dtype: torch.dtype) -> None:
    base = base_of(TINY, dtype)
    adapter = adapter_with(random_adapter(TINY, LORA, size))
    exact = dict(base)
    for name, weight in base.items():
        if pair := adapter_of(adapter.state, name.removesuffix(".weight")):
            a, b = (matrix.double() for matrix in pair)
            exact[name] = (weight.double() + LORA.scale_of(name) * b @ a).to(dtype)
    assert prove(base, exact, adapter).weight_error <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_weight_some_rounding_steps_off_is_refused(dtype: torch.dtype) -> None:
    base = base_of(TINY, dtype)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = right(base, adapter)
    name = "layers.1.feed_forward.w1.weight"
    steps = {torch.bfloat16: 2, torch.float32: 100}[dtype]
    merged[name] = merged[name].clone()
    place = merged[name].abs().argmax()
    merged[name].view(-1)[place] += steps * spacing(merged[name]).view(-1)[place].to(dtype)
    assert 1 < largest_error(base, merged, adapter) < 20
    with pytest.raises(ValueError, match=f"not proven.*: {name} is off by"):
        prove(base, merged, adapter)


def wrong_scale(factor: float) -> Callable[..., State]:
    def build(base: State, adapter: Adapter) -> State:
        alpha = adapter.lora.alpha * factor
        return right(base, replace(adapter, lora=replace(adapter.lora, alpha=alpha)))

    return build


def without_adapter(base: State, adapter: Adapter) -> State:
    return dict(base)


def one_layer_skipped(base: State, adapter: Adapter) -> State:
    skipped = "layers.1.attention.wv.weight"
    return {**right(base, adapter), skipped: base[skipped]}


def transposed(base: State, adapter: Adapter) -> State:
    merged = right(base, adapter)
    for name in (f"layers.{i}.{linear}" for i in range(TINY.n_layers) for linear in SQUARE):
        a, b = adapter_of(adapter.state, name) or (None, None)
        nothing = torch.zeros_like(base[f"{name}.weight"]).float()
        delta = merge(nothing, a, b, adapter.lora.scale_of(name))
        summed = base[f"{name}.weight"] + delta.t()
        merged[f"{name}.weight"] = summed.to(base[f"{name}.weight"].dtype)
    return merged


def exchanged(one: str, other: str) -> Callable[..., State]:
    def build(base: State, adapter: Adapter) -> State:
        def exchange(name: str) -> str:
            layer, _, matrix = name.rpartition(".")
            partner = {one: other, other: one}.get(layer.rpartition(".")[2])
            return f"{layer.rpartition('.')[0]}.{partner}.{matrix}" if partner else name

        state = {exchange(name): tensor for name, tensor in adapter.state.items()}
        return right(base, replace(adapter, state=state))

    return build


def layers_exchanged(base: State, adapter: Adapter) -> State:
    def exchange(name: str) -> str:
        return name.replace(".0.", ".x.").replace(".1.", ".0.").replace(".x.", ".1.")

    state = {exchange(name): tensor for name, tensor in adapter.state.items()}
    return right(base, replace(adapter, state=state))


def rounded_before_adding(base: State, adapter: Adapter) -> State:
    merged = dict(base)
    for name, weight in base.items():
        if pair := adapter_of(adapter.state, name.removesuffix(".weight")):
            a, b = pair
            delta = (b.to(weight.dtype) @ a.to(weight.dtype)) * adapter.lora.scale_of(name)
            merged[name] = weight + delta
    return merged


WRONG = {
    "scale forgotten": wrong_scale(0.25),
    "scale 5% off": wrong_scale(1.05),
    "merged twice": wrong_scale(2.0),
    "not merged": without_adapter,
    "one layer skipped": one_layer_skipped,
    "delta transposed": transposed,
    "keys and values exchanged": exchanged("wk", "wv"),
    "gate and up exchanged": exchanged("w1", "w3"),
    "layers exchanged": layers_exchanged,
}


@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_merge_of_a_small_adapter_is_refused(
    mistake: str, dtype: torch.dtype, size: float
) -> None:
    base = base_of(TINY, dtype)
    adapter = adapter_with(random_adapter(TINY, LORA, size))
    merged = WRONG[mistake](base, adapter)
    assert largest_error(base, merged, adapter) > 2
    with pytest.raises(ValueError, match=r"not proven.*: layers\..* is off by"):
        prove(base, merged, adapter)


def test_a_merge_that_rounds_the_product_first_is_refused() -> None:
    base = base_of(TINY, torch.bfloat16)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = rounded_before_adding(base, adapter)
    assert largest_error(base, merged, adapter) > 2
    with pytest.raises(ValueError, match="is off by"):
        prove(base, merged, adapter)


def queries_and_keys_exchanged_between_models() -> tuple[State, Adapter, State]:
    """As many key heads as query heads, so that the two adapters fit each other's weights."""
    config = replace(TINY, n_kv_heads=TINY.n_heads)
    base = base_of(config, torch.bfloat16)
    adapter = adapter_with(random_adapter(config, LORA, 1e-3))
    return base, adapter, exchanged("wq", "wk")(base, adapter)


def test_queries_and_keys_mixed_up_are_refused() -> None:
    base, adapter, merged = queries_and_keys_exchanged_between_models()
    assert prove(base, right(base, adapter), adapter).weight_error <= 1
    with pytest.raises(ValueError, match=r"w[qk]\.weight is off by"):
        prove(base, merged, adapter)


def without_one_bit(tensor: Tensor) -> Tensor:
    """Return the tensor with the last bit of its first value turned."""
    changed = tensor.clone()
    changed.view(-1).view(torch.int16)[0] ^= 1
    return changed


@pytest.mark.parametrize("name", [EMBEDDING, OUTPUT, "norm.weight", "layers.1.ffn_norm.weight"])
def test_one_bit_of_what_has_no_adapter_is_refused(name: str) -> None:
    base = base_of(TINY, torch.bfloat16)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = right(base, adapter)
    with pytest.raises(ValueError, match=f"not proven.*: {name} has no adapter and is not the"):
        prove(base, {**merged, name: without_one_bit(merged[name])}, adapter)


def test_a_bias_must_equal_the_bases() -> None:
    """The model has none today; what is no matrix is compared, and is no error by itself."""
    bias = "layers.0.attention.wq.bias"
    base = {**base_of(TINY, torch.bfloat16), bias: torch.randn(TINY.dim).bfloat16()}
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = right(base, adapter)
    assert prove(base, merged, adapter).merged_weights == 7 * TINY.n_layers
    with pytest.raises(ValueError, match=f"not proven.*: {bias} has no adapter"):
        prove(base, {**merged, bias: without_one_bit(merged[bias])}, adapter)


def test_missing_or_misshapen_weight_is_refused() -> None:
    base = base_of(TINY, torch.bfloat16)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged, name = right(base, adapter), "layers.0.feed_forward.w1.weight"
    with pytest.raises(ValueError, match=rf"{name} is .*, wanted \[{TINY.hidden_dim}, "):
        prove(base, {**merged, name: merged[name].t()}, adapter)
    del merged[name]
    with pytest.raises(ValueError, match=f"{name} is on one side only"):
        prove(base, merged, adapter)


def test_every_value_is_compared_however_large_the_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few rows give the figures of the whole, and the last value counts, too."""
    base = base_of(TINY, torch.bfloat16)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged, name = right(base, adapter), "layers.1.attention.wo.weight"
    whole = prove(base, merged, adapter)
    monkeypatch.setattr(weights.merge_proof, "_CHUNK_VALUES", 5 * TINY.dim)
    found = prove(base, merged, adapter)
    assert (found.weight_error, found.worst_weight) == (whole.weight_error, whole.worst_weight)
    assert found.lost == pytest.approx(whole.lost)
    merged[name] = merged[name].clone()
    merged[name][-1, -1] += 1
    with pytest.raises(ValueError, match=f"{name} is off by"):
        prove(base, merged, adapter)


@pytest.mark.parametrize("name", ["layers.0.attention.wq.weight", "norm.weight"])
def test_a_merge_with_nan_in_it_is_refused(name: str) -> None:
    base = base_of(TINY, torch.bfloat16)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = right(base, adapter)
    merged[name] = merged[name].clone().index_fill_(0, torch.tensor([3]), float("nan"))
    with pytest.raises(ValueError, match=f"not proven.*: {name} "):
        prove(base, merged, adapter)


def lined_up_adapter(base: State, size: float) -> Adapter:
    """Return an adapter whose A answers to what all tokens have in common: the hardest to round."""
    state = random_adapter(TINY, LORA, size)
    common = base["tok_embeddings.weight"].float().mean(0)
    for name in state:
        if name.endswith(".lora_a") and state[name].shape[1] == len(common):
            state[name] = (common / common.abs().mean()).expand_as(state[name]).clone()
    return adapter_with(state)


@pytest.mark.parametrize("size", [1e-6, 1e-5, 1e-4, 1e-3])
def test_an_adapter_whose_rounding_errors_line_up_is_still_proven(size: float) -> None:
    base = base_of(TINY, torch.bfloat16)
    base["tok_embeddings.weight"] += 0.3
    adapter = lined_up_adapter(base, size)
    assert prove(base, right(base, adapter), adapter).weight_error <= 1


def test_what_rounding_takes_of_a_small_adapter_is_told() -> None:
    base = base_of(TINY, torch.bfloat16)
    small, large = (adapter_with(random_adapter(TINY, LORA, size)) for size in (1e-5, 1e-1))
    assert prove(base, right(base, small), small).lost > 0.9
    assert abs(prove(base, right(base, large), large).lost) < 0.05


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_spacing_is_the_distance_to_the_next_value(dtype: torch.dtype) -> None:
    values = torch.tensor([1.0, 1.5, -3.0, 0.007, 1000.0, 0.0]).to(dtype)
    bits = {2: torch.int16, 4: torch.int32}[dtype.itemsize]
    following = (values.abs().view(bits) + 1).view(dtype)
    expected = following.double() - values.abs().double()
    torch.testing.assert_close(spacing(values).double(), expected, rtol=1e-6, atol=0)
