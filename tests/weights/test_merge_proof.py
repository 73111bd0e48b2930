"""The proof refuses every merge that is wrong in the written dtype, and no right one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from native_directories import random_adapter, write_native
from tiny_models import LLAMA3_SHAPES, TINY, random_model
from torch import Tensor

from model.attention import Documents
from model.config import ModelConfig
from model.lora import LoraConfig, adapter_of, add_lora, load_adapter, merge
from weights.adapter import Adapter
from weights.directory import load_model, open_weights
from weights.merge import merged_tensors, random_probes
from weights.merge_proof import Proof, difference, prove, spacing
from weights.table import OUTPUT

LORA = LoraConfig(rank=8, alpha=32.0)
SQUARE = ("attention.wq", "attention.wo")
State = dict[str, Tensor]


def base_of(config: ModelConfig, dtype: torch.dtype) -> State:
    named = random_model(config).named_parameters()
    return {name: parameter.detach().to(dtype) for name, parameter in named}


def adapter_with(state: State, lora: LoraConfig = LORA) -> Adapter:
    return Adapter(Path("adapter.safetensors"), Path(), lora, None, state)


def proof_of(base: State, merged: State, adapter: Adapter, config: ModelConfig = TINY) -> Proof:
    return prove(config, base, merged, adapter, random_probes(config.vocab_size))


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
    proof = proof_of(base, right(base, adapter), adapter)
    assert proof.problem is None
    assert proof.weight_error <= 1
    assert proof.merge.mean <= proof.mean_limit / 2


@pytest.mark.parametrize(
    ("stored", "written"),
    [("float32", "bfloat16"), ("bfloat16", "float32"), ("float32", "float16")],
)
def test_a_merge_into_another_dtype_is_proven(stored: str, written: str) -> None:
    base = base_of(TINY, getattr(torch, stored))
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = right(base, adapter, written)
    assert {tensor.dtype for tensor in merged.values()} == {getattr(torch, written)}
    assert proof_of(base, merged, adapter).problem is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-4, 1e-2, 1.0])
def test_a_merge_summed_in_another_way_is_proven(size: float, dtype: torch.dtype) -> None:
    base = base_of(TINY, dtype)
    adapter = adapter_with(random_adapter(TINY, LORA, size))
    exact = dict(base)
    for name, weight in base.items():
        if pair := adapter_of(adapter.state, name.removesuffix(".weight")):
            a, b = (matrix.double() for matrix in pair)
            exact[name] = (weight.double() + LORA.scale * b @ a).to(dtype)
    assert proof_of(base, exact, adapter).weight_error <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_weight_that_is_some_rounding_steps_off_is_refused(dtype: torch.dtype) -> None:
    base = base_of(TINY, dtype)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = right(base, adapter)
    name = "layers.1.feed_forward.w1.weight"
    steps = {torch.bfloat16: 2, torch.float32: 100}[dtype]
    merged[name] = merged[name].clone()
    place = merged[name].abs().argmax()
    merged[name].view(-1)[place] += steps * spacing(merged[name]).view(-1)[place].to(dtype)
    proof = proof_of(base, merged, adapter)
    assert 1 < proof.weight_error < 20
    assert f"{proof.worst_weight}.weight" == name


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
        delta = merge(torch.zeros_like(base[f"{name}.weight"]).float(), a, b, adapter.lora.scale)
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
            delta = (b.to(weight.dtype) @ a.to(weight.dtype)) * adapter.lora.scale
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
def test_a_wrong_merge_is_refused_even_when_the_adapter_is_small(
    mistake: str, dtype: torch.dtype, size: float
) -> None:
    base = base_of(TINY, dtype)
    adapter = adapter_with(random_adapter(TINY, LORA, size))
    proof = proof_of(base, WRONG[mistake](base, adapter), adapter)
    assert proof.weight_error > 2
    assert f"{proof.worst_weight} is off by" in str(proof.problem)


def test_a_merge_that_rounds_the_product_first_is_refused() -> None:
    base = base_of(TINY, torch.bfloat16)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    assert proof_of(base, rounded_before_adding(base, adapter), adapter).weight_error > 2


def queries_and_keys_exchanged_between_models() -> tuple[State, Adapter, State]:
    """As many key heads as query heads, so that the two adapters fit each other's weights."""
    config = replace(TINY, n_kv_heads=TINY.n_heads)
    base = base_of(config, torch.bfloat16)
    adapter = adapter_with(random_adapter(config, LORA, 1e-3))
    return base, adapter, exchanged("wq", "wk")(base, adapter)


def test_queries_and_keys_mixed_up_are_refused() -> None:
    base, adapter, merged = queries_and_keys_exchanged_between_models()
    config = replace(TINY, n_kv_heads=TINY.n_heads)
    assert proof_of(base, right(base, adapter), adapter, config).problem is None
    assert proof_of(base, merged, adapter, config).problem is not None


def test_logits_refuse_what_no_adapted_weight_shows() -> None:
    base = base_of(TINY, torch.bfloat16)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = {**right(base, adapter), OUTPUT: base[OUTPUT].roll(1, 0)}
    proof = proof_of(base, merged, adapter)
    assert proof.weight_error <= 1
    assert "the logits differ by" in str(proof.problem)


@pytest.mark.parametrize("name", ["layers.0.attention.wq.weight", "norm.weight"])
def test_a_merge_with_nan_in_it_is_refused(name: str) -> None:
    base = base_of(TINY, torch.bfloat16)
    adapter = adapter_with(random_adapter(TINY, LORA, 1e-2))
    merged = right(base, adapter)
    merged[name] = merged[name].clone().index_fill_(0, torch.tensor([3]), float("nan"))
    assert proof_of(base, merged, adapter).problem is not None


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
    assert proof_of(base, right(base, adapter), adapter).problem is None


def runs_of_the_whole_models(directory: Path, adapter: Adapter) -> Iterator[Tensor]:
    """Logits of base, and of base + adapter, by the ordinary model in float32."""
    model = load_model(directory, dtype=torch.float32)
    probes = random_probes(model.config.vocab_size)
    for adapted in (False, True):
        if adapted:
            add_lora(model, adapter.lora)
            load_adapter(model, adapter.state)
        with torch.no_grad():
            yield torch.cat(
                [
                    model(torch.tensor(p), torch.arange(len(p)), Documents([0, len(p)]))
                    for p in probes
                ]
            )


@pytest.mark.parametrize("shape", LLAMA3_SHAPES)
def test_layer_by_layer_gives_the_figures_of_the_whole_models(shape: str, tmp_path: Path) -> None:
    config = LLAMA3_SHAPES[shape]
    directory = write_native(tmp_path / "base", config, torch.bfloat16)
    base = open_weights(directory)
    lora = LoraConfig(rank=4, alpha=8.0, targets=("layers.0.*.wq", "layers.0.*.wv"))
    adapter = adapter_with(random_adapter(config, lora, 0.3), lora)
    proof = prove(config, base, right(base, adapter), adapter, random_probes(config.vocab_size))
    plain, adapted = runs_of_the_whole_models(directory, adapter)
    whole = difference(plain, adapted)
    assert proof.adapter.mean == pytest.approx(whole.mean, rel=1e-4)
    assert proof.adapter.max == pytest.approx(whole.max, rel=1e-4)
    assert proof.adapter.divergence == pytest.approx(whole.divergence, rel=1e-3)
    assert proof.problem is None


def test_what_rounding_takes_of_a_small_adapter_is_told() -> None:
    base = base_of(TINY, torch.bfloat16)
    small, large = (adapter_with(random_adapter(TINY, LORA, size)) for size in (1e-5, 1e-1))
    assert proof_of(base, right(base, small), small).lost > 0.9
    assert proof_of(base, right(base, large), large).lost < 0.05


def test_difference_of_known_logits() -> None:
    first = torch.tensor([[0.0, 1.0, 3.0], [2.0, 0.0, 0.0]])
    second = torch.tensor([[0.0, 1.0, 3.0], [0.0, 0.5, 0.0]])
    found = difference(first, second)
    assert found.max == 2.0
    assert found.mean == pytest.approx(2.5 / 6)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=first[1].double()),
        torch.distributions.Categorical(logits=second[1].double()),
    )
    assert found.divergence == pytest.approx(float(expected) / 2)
    assert found.agreement == 0.5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_spacing_is_the_distance_to_the_next_value(dtype: torch.dtype) -> None:
    values = torch.tensor([1.0, 1.5, -3.0, 0.007, 1000.0, 0.0]).to(dtype)
    bits = {2: torch.int16, 4: torch.int32}[dtype.itemsize]
    following = (values.abs().view(bits) + 1).view(dtype)
    expected = following.double() - values.abs().double()
    torch.testing.assert_close(spacing(values).double(), expected, rtol=1e-6, atol=0)
