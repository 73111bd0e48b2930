"""LoRA: where it sits, what it trains, and that it computes and merges as PEFT does."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import TINY, random_model
from torch import Tensor

from model.attention import Documents
from model.lora.adapter import adapter_of, adapter_state, add_lora, load_adapter
from model.lora.config import ALL_LINEARS, LORA_FILE, LoraConfig
from model.lora.layers import LoraLinear, merge
from model.transformer import Transformer
from weights.hugging_face.names import half_split, to_hugging_face

QUERY_AND_VALUE = ("wq", "wv")

TOKENS = torch.randint(TINY.vocab_size, (40,), generator=torch.Generator().manual_seed(1))


def logits_of(model: Transformer) -> Tensor:
    return model(TOKENS, torch.arange(len(TOKENS)), Documents([0, len(TOKENS)]))


def fill(model: Transformer, seed: int = 5) -> None:
    """Give both matrices of every adapter values of a trained one's size."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in adapter_state(model).values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)


def with_lora(config: LoraConfig, filled: bool = True) -> Transformer:
    model = random_model(TINY)
    add_lora(model, config)
    if filled:
        fill(model)
    return model


def test_a_new_adapter_changes_nothing_at_all(tiny_model: Transformer) -> None:
    assert torch.equal(logits_of(with_lora(LoraConfig(), filled=False)), logits_of(tiny_model))


@pytest.mark.parametrize("targets", [QUERY_AND_VALUE, ("w2",), ALL_LINEARS])
def test_only_the_targeted_layers_have_adapters(targets: tuple[str, ...]) -> None:
    model = with_lora(LoraConfig(rank=4, targets=targets))
    wrapped = {n for n, module in model.named_modules() if isinstance(module, LoraLinear)}
    assert {name.rpartition(".")[2] for name in wrapped} == set(targets)
    assert len(wrapped) == TINY.n_layers * len(targets)
    assert {name.rpartition(".")[0] for name in adapter_state(model)} == wrapped


def test_a_pattern_may_name_single_layers() -> None:
    names = add_lora(random_model(TINY), LoraConfig(targets=("layers.1.attention.*", "w1")))
    assert names == [
        "layers.0.feed_forward.w1",
        *(f"layers.1.attention.{name}" for name in ("wq", "wk", "wv", "wo")),
        "layers.1.feed_forward.w1",
    ]


@pytest.mark.parametrize("target", ["q_proj", "outputs", "*embeddings", "attention_norm"])
def test_pattern_matching_no_linear_layer_is_named(target: str) -> None:
    with pytest.raises(
        ValueError, match=f"lora target {re.escape(repr(target))} matches no linear layer"
    ):
        add_lora(random_model(TINY), LoraConfig(targets=("wq", target)))


ENDS = ("output", "tok_embeddings")


@pytest.mark.parametrize("end", ENDS)
def test_no_pattern_but_their_name_adapts_the_ends(end: str) -> None:
    assert end not in add_lora(random_model(TINY), LoraConfig(targets=("*",)))
    assert end in add_lora(random_model(TINY), LoraConfig(targets=("wq", end)))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tied_embeddings": True}, "tok_embeddings and output are one weight; leave it out"),
        ({}, "DoRA is for the blocks' linear layers; leave one of them out"),
    ],
)
def test_ends_that_cannot_be_adapted_are_refused(
    end: str, changes: dict[str, Any], problem: str
) -> None:
    model = Transformer(replace(TINY, **changes))
    with pytest.raises(ValueError, match=problem):
        add_lora(model, LoraConfig(targets=("wq", end), dora=not changes))


def test_gradients_reach_the_adapter_and_nothing_else() -> None:
    model = with_lora(LoraConfig(rank=4, targets=QUERY_AND_VALUE))
    logits_of(model).square().sum().backward()
    with_gradient = {n for n, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == set(adapter_state(model))
    assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.grad is not None)


def test_first_gradient_is_zero_except_for_b() -> None:
    model = with_lora(LoraConfig(rank=4), filled=False)
    logits_of(model).square().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert (parameter.grad.abs().sum() > 0) == name.endswith("lora_b"), name


def test_adapters_on_bfloat16_have_float32_values_and_gradients() -> None:
    model = random_model(TINY).bfloat16()
    add_lora(model, LoraConfig(rank=4))
    fill(model)
    logits = logits_of(model)
    logits.float().square().sum().backward()
    assert logits.dtype == torch.bfloat16
    for name in adapter_state(model):
        parameter = model.get_parameter(name)
        assert parameter.dtype == parameter.grad.dtype == torch.float32


def test_dropout_acts_inside_lora_only_and_only_in_training() -> None:
    model = with_lora(LoraConfig(rank=4, dropout=0.5))
    without = logits_of(with_lora(LoraConfig(rank=4)))
    assert not torch.equal(logits_of(model.train()), without)
    assert torch.equal(logits_of(model.eval()), without)
    for name, tensor in adapter_state(model).items():
        if name.endswith("lora_b"):
            tensor.zero_()
    assert torch.equal(logits_of(model.train()), logits_of(random_model(TINY)))


def test_dropout_keeps_the_expected_output() -> None:
    torch.manual_seed(0)
    layer = LoraLinear(torch.nn.Linear(64, 8, bias=False), rank=4, scale=4.0, dropout=0.25)
    torch.nn.init.normal_(layer.lora_b)
    x = torch.randn(1, 64)
    mean = layer.train()(x.expand(20_000, -1)).mean(0)
    torch.testing.assert_close(mean, layer.eval()(x)[0], atol=0.05, rtol=0)


def test_saved_adapter_gives_another_model_the_same_logits() -> None:
    trained, fresh = with_lora(LoraConfig(rank=4)), with_lora(LoraConfig(rank=4), filled=False)
    load_adapter(fresh, {name: t.clone() for name, t in adapter_state(trained).items()})
    assert torch.equal(logits_of(fresh), logits_of(trained))


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"rank": 8}, r"lora_a has shape \[8, 64\], wanted \[4, 64\]"),
        ({"targets": ("wq",)}, r"12 tensors of the adapter are missing .*wk\.lora_a'"),
        ({"targets": ALL_LINEARS}, "0 tensors of the adapter are missing .* and 12 left over"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(other: dict[str, Any], problem: str) -> None:
    config = LoraConfig(rank=4, targets=("wq", "wk", "wv", "wo"))
    adapter = adapter_state(with_lora(replace(config, **other)))
    with pytest.raises(ValueError, match=problem):
        load_adapter(with_lora(config), adapter)


# PEFT asks a Transformers model for a property that Transformers has renamed.
PEFT_IS_OLD = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


class Peft:
    """A Transformers Llama under PEFT with the weights and the adapter of one of our models."""

    def __init__(self, model: Transformer, lora: LoraConfig) -> None:
        import peft
        import transformers

        self.names = dict(
            wq="q_proj", wk="k_proj", wv="v_proj", wo="o_proj",
            w1="gate_proj", w2="down_proj", w3="up_proj",
        )  # fmt: skip
        self.ours = model
        reference = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                hidden_size=TINY.dim,
                intermediate_size=TINY.hidden_dim,
                num_hidden_layers=TINY.n_layers,
                num_attention_heads=TINY.n_heads,
                num_key_value_heads=TINY.n_kv_heads,
                vocab_size=TINY.vocab_size,
                rms_norm_eps=TINY.norm_eps,
                rope_theta=TINY.rope_theta,
            )
        )
        state = {n.replace(".base.", "."): p.detach() for n, p in model.named_parameters()}
        base = {name: tensor for name, tensor in state.items() if "lora_" not in name}
        reference.load_state_dict(dict(to_hugging_face(TINY, base)))
        self.model = peft.get_peft_model(
            reference,
            peft.LoraConfig(
                r=lora.rank,
                lora_alpha=lora.alpha,
                target_modules=[self.names[target] for target in lora.targets],
            ),
        )
        with torch.no_grad():
            for name, tensor in adapter_state(model).items():
                self.parameter(name).copy_(self.reordered(name, tensor))

    def parameter(self, name: str) -> Tensor:
        """Return the PEFT parameter that answers to one of ours."""
        _, layer, block, linear, matrix = name.split(".")
        owner = {"attention": "self_attn", "feed_forward": "mlp"}[block]
        side = {"lora_a": "lora_A", "lora_b": "lora_B"}[matrix]
        path = f"base_model.model.model.layers.{layer}.{owner}.{self.names[linear]}.{side}"
        return self.model.get_parameter(f"{path}.default.weight")

    def reordered(self, name: str, tensor: Tensor) -> Tensor:
        """Give the output rows of queries and keys Hugging Face's rotary order."""
        heads = {"wq": TINY.n_heads, "wk": TINY.n_kv_heads}.get(name.split(".")[3])
        return half_split(tensor, heads) if heads and name.endswith("lora_b") else tensor


@PEFT_IS_OLD
@pytest.mark.parametrize("targets", [QUERY_AND_VALUE, ALL_LINEARS])
def test_forward_and_gradients_agree_with_peft(targets: tuple[str, ...]) -> None:
    lora = LoraConfig(rank=4, alpha=12.0, targets=targets)
    ours = with_lora(lora)
    theirs = Peft(ours, lora)
    mine, reference = logits_of(ours), theirs.model(TOKENS[None]).logits[0]
    torch.testing.assert_close(mine, reference, atol=1e-5, rtol=0)
    for logits in (mine, reference):
        torch.nn.functional.cross_entropy(logits[:-1], TOKENS[1:]).backward()
    for name in adapter_state(ours):
        gradient = theirs.reordered(name, ours.get_parameter(name).grad)
        torch.testing.assert_close(gradient, theirs.parameter(name).grad, atol=1e-5, rtol=0)


@PEFT_IS_OLD
def test_merged_weights_agree_with_peft() -> None:
    lora = LoraConfig(rank=4, alpha=12.0)
    ours = with_lora(lora)
    state = adapter_state(ours)
    merged = {}
    for name, parameter in ours.named_parameters():
        if "lora_" not in name:
            linear = name.removesuffix(".weight").removesuffix(".base")
            pair = adapter_of(state, linear)
            merged[name.replace(".base.", ".")] = (
                parameter.detach()
                if pair is None
                else merge(parameter, *pair, lora.scale_of(linear)).detach()
            )
    theirs = Peft(ours, lora).model.merge_and_unload().state_dict()
    for name, tensor in to_hugging_face(TINY, merged):
        torch.testing.assert_close(tensor, theirs[name], atol=1e-6, rtol=0)


def test_merge_is_rounded_once_to_the_dtype_asked_for() -> None:
    torch.manual_seed(0)
    weight, a, b = torch.randn(32, 48), torch.randn(4, 48), torch.randn(32, 4)
    exact = weight.bfloat16().double() + 0.5 * b.double() @ a.double()
    assert merge(weight.bfloat16(), a, b, 0.5).dtype == torch.bfloat16
    assert torch.equal(merge(weight.bfloat16(), a, b, 0.5), exact.bfloat16())
    wide = merge(weight.bfloat16(), a, b, 0.5, torch.float32)
    torch.testing.assert_close(wide.double(), exact, atol=1e-6, rtol=0)


def test_an_adapter_needs_both_matrices() -> None:
    state = {"layers.0.attention.wq.lora_a": 1, "layers.0.attention.wq.lora_b": 2}
    assert adapter_of(state, "layers.0.attention.wq") == (1, 2)
    assert adapter_of(state, "layers.0.attention.wk") is None


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    config = LoraConfig(rank=8, alpha=32.0, dropout=0.1, targets=("wq", "layers.0.*"))
    config.write(tmp_path)
    assert LoraConfig.read(tmp_path) == config


MIXED = LoraConfig(
    rank=8,
    alpha=16.0,
    targets=("wq", "wv", "w2"),
    rslora=True,
    ranks=(("layers.0.*.wv", 2), ("wv", 3)),
    alphas=(("w2", 4.0),),
)


def test_each_layer_has_its_own_rank_and_scale() -> None:
    layers = {
        "layers.0.attention.wq": (8, 16 / 8**0.5),
        "layers.0.attention.wv": (2, 16 / 2**0.5),
        "layers.1.attention.wv": (3, 16 / 3**0.5),
        "layers.1.feed_forward.w2": (8, 4 / 8**0.5),
    }
    model = with_lora(MIXED)
    for name, (rank, scale) in layers.items():
        layer = model.get_submodule(name)
        assert (len(layer.lora_a), layer.lora_b.shape[1], layer.scale) == (rank, rank, scale)


def test_own_ranks_and_alphas_survive_the_file(tmp_path: Path) -> None:
    MIXED.write(tmp_path)
    assert LoraConfig.read(tmp_path) == MIXED
    written = json.loads((tmp_path / LORA_FILE).read_text())
    assert written["ranks"] == {"layers.0.*.wv": 2, "wv": 3}
    assert (written["alphas"], written["rslora"]) == ({"w2": 4.0}, True)


def test_a_file_of_older_runs_is_read(tmp_path: Path) -> None:
    (tmp_path / LORA_FILE).write_text(json.dumps(GOOD))
    assert LoraConfig.read(tmp_path) == LoraConfig(rank=8, alpha=16.0, targets=("wq",))


@pytest.mark.parametrize("missing", ["rank", "alpha", "dropout", "targets"])
def test_a_key_missing_in_the_file_has_its_default(tmp_path: Path, missing: str) -> None:
    values = {name: value for name, value in GOOD.items() if name != missing}
    (tmp_path / LORA_FILE).write_text(json.dumps(values))
    found = LoraConfig.read(tmp_path)
    assert getattr(found, missing) == getattr(LoraConfig(), missing)
    assert found.record() == {**LoraConfig().record(), **values}


def test_a_configuration_that_older_versions_know_is_written_as_before(tmp_path: Path) -> None:
    LoraConfig().write(tmp_path)
    assert list(json.loads((tmp_path / LORA_FILE).read_text())) == list(GOOD)


@pytest.mark.parametrize("part", ["ranks", "alphas"])
def test_a_rank_or_alpha_of_no_adapted_layer_is_refused(part: str) -> None:
    lora = LoraConfig(targets=("wq",), **{part: (("wk", 4),)})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lora gives 4 to 'wk', which matches no adapted layer"):
        add_lora(random_model(TINY), lora)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lora\.json is missing; every LoRA checkpoint"):
        LoraConfig.read(tmp_path)


GOOD = {"rank": 8, "alpha": 16.0, "dropout": 0.0, "targets": ["wq"]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not JSON: "),
        ("[]", "found a list, wanted an object"),
        (json.dumps({**GOOD, "lora_r": 8}), "unknown key 'lora_r', known are rank, alpha"),
        (json.dumps({**GOOD, "rank": 0}), "rank is 0, wanted a positive whole number"),
        (json.dumps({**GOOD, "rank": "8"}), "rank is '8', wanted a positive whole number"),
        (json.dumps({**GOOD, "alpha": 0}), "alpha is 0, wanted a positive number"),
        (json.dumps({**GOOD, "dropout": 1}), "dropout is 1, wanted 0 or more and below 1"),
        (json.dumps({**GOOD, "ranks": {"wq": 0}}), "rank of 'wq' is 0, wanted a positive whole"),
        (json.dumps({**GOOD, "alphas": {"wq": -1}}), "alpha of 'wq' is -1, wanted a positive num"),
        (json.dumps({**GOOD, "ranks": [["wq", 8]]}), "wanted an object of names and numbers"),
        (json.dumps({**GOOD, "rslora": 1}), "rslora is 1, wanted true or false"),
        (json.dumps({**GOOD, "targets": "wq"}), "targets are 'wq', wanted a list of names"),
        (json.dumps({**GOOD, "targets": []}), r"targets are \(\), wanted a list of layer names"),
    ],
)
def test_a_bad_configuration_is_one_clear_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / LORA_FILE).write_text(text)
    with pytest.raises(ValueError, match=problem) as caught:
        LoraConfig.read(tmp_path)
    assert "\n" not in str(caught.value)
