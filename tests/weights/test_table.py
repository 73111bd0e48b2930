from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from meta_directories import WIDE
from tiny_models import LLAMA3_SHAPES, TINY, random_model
from transformers import LlamaConfig, LlamaForCausalLM

from weights.hugging_face.names import (
    from_hugging_face,
    half_split,
    interleave,
    to_hugging_face,
)
from weights.table import (
    account,
    bitwise_equal,
    expected_shapes,
    shapes,
    shard,
    unshard,
    weights,
)

TIED = LLAMA3_SHAPES["llama3_2"]


@pytest.mark.parametrize("config", [TINY, TIED], ids=["untied", "tied"])
def test_hugging_face_names_and_shapes_are_those_of_transformers(config) -> None:
    theirs = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=config.dim,
            intermediate_size=config.hidden_dim,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_kv_heads,
            vocab_size=config.vocab_size,
            tie_word_embeddings=config.tied_embeddings,
        )
    )
    ours = to_hugging_face(config, random_model(config).state_dict())
    assert shapes(dict(ours)) == shapes(dict(theirs.named_parameters()))


@pytest.mark.parametrize("config", [TINY, TIED], ids=["untied", "tied"])
def test_native_to_hugging_face_and_back_is_bit_identical(config) -> None:
    state = dict(random_model(config).named_parameters())
    back = dict(from_hugging_face(config, dict(to_hugging_face(config, state))))
    assert list(back) == list(expected_shapes(config))
    assert all(bitwise_equal(back[name], state[name]) for name in state)


@given(heads=st.integers(1, 4), pairs=st.integers(1, 4), width=st.integers(1, 3))
def test_rotary_orders_invert_each_other_also_for_biases(
    heads: int, pairs: int, width: int
) -> None:
    rows = torch.arange(heads * pairs * 2 * width).reshape(-1, width)
    assert torch.equal(half_split(interleave(rows, heads), heads), rows)
    assert torch.equal(interleave(half_split(rows, heads), heads), rows)
    assert torch.equal(interleave(rows[:, 0], heads), interleave(rows, heads)[:, 0])


def test_interleaving_puts_the_two_of_a_pair_side_by_side() -> None:
    # Two heads of two pairs; Hugging Face keeps x0 x1 y0 y1, Meta x0 y0 x1 y1.
    rows = torch.tensor([0, 1, 100, 101, 10, 11, 110, 111])
    assert interleave(rows, 2).tolist() == [0, 100, 1, 101, 10, 110, 11, 111]


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_shards_join_to_the_tensor_they_were_cut_from(count: int) -> None:
    state = random_model(WIDE).state_dict()
    for name, row in weights(WIDE).items():
        parts = [shard(state[name], row.axis, index, count) for index in range(count)]
        assert bitwise_equal(
            unshard(parts[:1] if row.axis is None else parts, row.axis), state[name]
        )
        sizes = [part.numel() for part in parts]
        assert sizes == [state[name].numel() // (1 if row.axis is None else count)] * count


def test_axes_are_those_of_metas_loader() -> None:
    rows = weights(TINY)
    axes = {name.split(".")[-2]: row.axis for name, row in rows.items()}
    assert axes == {
        "tok_embeddings": 0,
        "wq": 0,
        "wk": 0,
        "wv": 0,
        "wo": 1,
        "w1": 0,
        "w2": 1,
        "w3": 0,
        "attention_norm": None,
        "ffn_norm": None,
        "norm": None,
        "output": 0,
    }


def test_a_part_is_a_view_and_costs_no_memory() -> None:
    tensor = torch.zeros(8, 4)
    assert shard(tensor, 0, 1, 2).untyped_storage().data_ptr() == tensor.data_ptr()


def test_every_kind_of_mismatch_is_listed_in_one_line() -> None:
    found = {**expected_shapes(TINY), "norm.weight": (32,), "rope.unknown": (1,)}
    del found["layers.1.attention.wo.weight"], found["layers.0.ffn_norm.weight"]
    with pytest.raises(ValueError) as error:
        account(expected_shapes(TINY), found, "here")
    assert str(error.value) == (
        "here does not hold the weights that params.json describes: "
        "2 missing (layers.0.ffn_norm.weight, layers.1.attention.wo.weight); "
        "1 left over (rope.unknown); "
        "1 of the wrong shape (norm.weight is [32], wanted [64]); take both from the same model"
    )


def test_long_lists_of_names_are_cut_short() -> None:
    with pytest.raises(ValueError, match=r"21 missing \(.*, .*, .*, and 18 more\)"):
        account(expected_shapes(TINY), {}, "here")


@pytest.mark.parametrize("name", ["layers.0.attention.wq.lora_a", "layers.0.attention.wq.lora_A"])
def test_a_lora_adapter_names_the_command_that_merges_it(name: str) -> None:
    with pytest.raises(ValueError, match=r"LoRA adapter .*merge it first: .*convert_lora_weights"):
        account(expected_shapes(TINY), {name: (16, 64)}, "adapter.safetensors")


def test_mismatches_in_hugging_face_files_are_given_by_their_names() -> None:
    state = dict(to_hugging_face(TINY, random_model(TINY).state_dict()))
    del state["model.layers.1.self_attn.o_proj.weight"]
    state["model.layers.1.self_attn.q_proj.bias"] = torch.zeros(64)
    with pytest.raises(
        ValueError,
        match=r"1 missing \(model.*o_proj\.weight\); 1 left over \(model.*q_proj\.bias\)",
    ):
        from_hugging_face(TINY, state)


def test_copy_of_a_tied_embedding_must_equal_it() -> None:
    state = random_model(TIED).state_dict()
    assert "output.weight" in state
    assert "lm_head.weight" not in dict(to_hugging_face(TIED, state))
    state["output.weight"] = state["output.weight"] + 1
    with pytest.raises(ValueError, match=r"output.weight differs from tok_embeddings.weight, and"):
        to_hugging_face(TIED, state)


def test_equality_is_of_bits_not_of_numbers() -> None:
    nan = torch.tensor([float("nan"), 0.0])
    assert bitwise_equal(nan, nan.clone())
    assert not bitwise_equal(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert not bitwise_equal(torch.tensor([1.0]), torch.tensor([1.0]).bfloat16())
    assert not bitwise_equal(torch.zeros(2), torch.zeros(2, 1))
    columns = torch.randn(4, 6).bfloat16()
    assert bitwise_equal(columns[:, :3], columns[:, :3].contiguous())


def test_a_tied_model_has_no_output_row_of_its_own() -> None:
    assert set(expected_shapes(replace(TIED, tied_embeddings=False))) - set(
        expected_shapes(TIED)
    ) == {"output.weight"}
