from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import LLAMA3_SHAPES, TINY

from model.config import ModelConfig, RopeScaling, hidden_dim_by_rule
from weights.meta_params import feed_forward_rule, meta_params, native_params

# What Meta ships as params.json with these models.
PUBLISHED: dict[str, dict[str, Any]] = {
    "Llama 3 8B": {
        "dim": 4096,
        "n_layers": 32,
        "n_heads": 32,
        "n_kv_heads": 8,
        "vocab_size": 128256,
        "multiple_of": 1024,
        "ffn_dim_multiplier": 1.3,
        "norm_eps": 1e-05,
        "rope_theta": 500000.0,
    },
    "Llama 3.2 1B": {
        "dim": 2048,
        "n_layers": 16,
        "n_heads": 32,
        "n_kv_heads": 8,
        "vocab_size": 128256,
        "multiple_of": 256,
        "ffn_dim_multiplier": 1.5,
        "norm_eps": 1e-05,
        "rope_theta": 500000.0,
        "use_scaled_rope": True,
    },
}
LLAMA2_7B = {
    "dim": 4096,
    "multiple_of": 256,
    "n_heads": 32,
    "n_layers": 32,
    "norm_eps": 1e-05,
    "vocab_size": -1,
}


@pytest.mark.parametrize(("model", "tied"), [("Llama 3 8B", False), ("Llama 3.2 1B", True)])
def test_published_params_come_back_as_they_were(model: str, tied: bool) -> None:
    params = PUBLISHED[model]
    native = native_params(params, params["vocab_size"], tied=tied, sentencepiece=False)
    assert {key: native[key] for key in params} == params
    assert meta_params(native, ModelConfig.from_params(native)) == params


def test_what_llama_2_leaves_open_is_filled_in() -> None:
    native = native_params(LLAMA2_7B, 32000, tied=False, sentencepiece=True)
    assert native == {
        **LLAMA2_7B,
        "vocab_size": 32000,
        "n_kv_heads": 32,
        "head_dim": 128,
        "hidden_dim": 11008,
        "rope_theta": 10000.0,
        "tied_embeddings": False,
    }


def test_absent_rope_theta_is_llama_3s_beside_tiktoken_ranks() -> None:
    native = native_params(LLAMA2_7B, 128256, tied=False, sentencepiece=False)
    assert native["rope_theta"] == 500000.0


@pytest.mark.parametrize(("tied", "factor"), [(False, 8.0), (True, 32.0)])
def test_the_rope_factor_that_meta_only_implies_is_spelt_out(tied: bool, factor: float) -> None:
    params = PUBLISHED["Llama 3.2 1B"]
    native = native_params(params, 128256, tied=tied, sentencepiece=False)
    assert native["rope_scaling_factor"] == factor


def test_export_has_no_nulls_and_only_metas_keys() -> None:
    known = {*PUBLISHED["Llama 3.2 1B"]}
    stored = {"ffn_dim_multiplier": None, "max_seq_len": 8192, "hidden_dim": 128, "comment": "x"}
    for config in LLAMA3_SHAPES.values():
        exported = meta_params(stored, config)
        assert set(exported) <= known
        assert None not in exported.values()
        assert exported.get("use_scaled_rope") is (True if config.rope_scaling else None)


@pytest.mark.parametrize(
    ("stored", "dim", "hidden_dim", "pair"),
    [
        ({"multiple_of": 1024, "ffn_dim_multiplier": 1.3}, 4096, 14336, (1024, 1.3)),
        ({"multiple_of": 256}, 4096, 11008, (256, None)),
        ({"multiple_of": 256, "ffn_dim_multiplier": 1.3}, 4096, 11008, (256, None)),
        ({}, 64, 128, (128, 0.7)),
    ],
)
def test_feed_forward_pair_is_kept_when_right_else_solved(
    stored: dict[str, Any], dim: int, hidden_dim: int, pair: tuple[int, float | None]
) -> None:
    solved = feed_forward_rule(stored, dim, hidden_dim)
    assert (solved["multiple_of"], solved.get("ffn_dim_multiplier")) == pair


@given(dim=st.integers(2, 20000), hidden_dim=st.integers(1, 200000))
def test_a_pair_is_found_for_any_hidden_size(dim: int, hidden_dim: int) -> None:
    pair = feed_forward_rule({}, dim, hidden_dim)
    multiplier = pair.get("ffn_dim_multiplier")
    assert hidden_dim_by_rule(dim, pair["multiple_of"], multiplier) == hidden_dim


def test_a_hidden_size_that_no_pair_gives_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_dim is 1, and no multiple_of and ffn_dim"):
        feed_forward_rule({}, 2**60, 1)


def test_a_model_that_metas_keys_cannot_describe_is_refused() -> None:
    with pytest.raises(ValueError, match=r"head_dim is 32, .* takes dim / n_heads = 64 / 4"):
        meta_params({}, replace(TINY, head_dim=32))
    with pytest.raises(ValueError, match=r"rope_scaling is .*16.*, and from .* a reader takes .*8"):
        meta_params({}, replace(TINY, rope_scaling=RopeScaling(factor=16.0)))
