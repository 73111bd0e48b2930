import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import TINY

from model.config import (
    LongRope,
    ModelConfig,
    RopeScaling,
    hidden_dim_by_rule,
    read_params,
    rope_params,
)

# The params.json that Meta ships with Llama 3 8B.
LLAMA3_8B = {
    "dim": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "n_kv_heads": 8,
    "vocab_size": 128256,
    "multiple_of": 1024,
    "ffn_dim_multiplier": 1.3,
    "norm_eps": 1e-05,
    "rope_theta": 500000.0,
}


def test_meta_params_of_llama3_8b_give_its_explicit_sizes() -> None:
    assert ModelConfig.from_params(LLAMA3_8B) == ModelConfig(
        dim=4096,
        n_layers=32,
        n_heads=32,
        n_kv_heads=8,
        head_dim=128,
        hidden_dim=14336,
        vocab_size=128256,
        norm_eps=1e-5,
        rope_theta=500000.0,
    )


@pytest.mark.parametrize(
    ("model", "dim", "multiple_of", "multiplier", "hidden_dim"),
    [
        ("Llama 2 7B", 4096, 256, None, 11008),
        ("Llama 2 13B", 5120, 256, None, 13824),
        ("Llama 2 70B", 8192, 4096, 1.3, 28672),
        ("Llama 3 8B", 4096, 1024, 1.3, 14336),
        ("Llama 3 70B", 8192, 4096, 1.3, 28672),
        ("Llama 3.1 405B", 16384, 4096, 1.2, 53248),
        ("Llama 3.2 1B", 2048, 256, 1.5, 8192),
        ("Llama 3.2 3B", 3072, 256, 1.0, 8192),
    ],
)
def test_metas_rule_gives_the_published_hidden_size(
    model: str, dim: int, multiple_of: int, multiplier: float | None, hidden_dim: int
) -> None:
    assert hidden_dim_by_rule(dim, multiple_of, multiplier) == hidden_dim


def test_explicit_sizes_win_over_the_rule() -> None:
    config = ModelConfig.from_params({**LLAMA3_8B, "head_dim": 64, "hidden_dim": 1000})
    assert (config.head_dim, config.hidden_dim) == (64, 1000)


def test_nulls_mean_the_default_as_meta_writes_them() -> None:
    config = ModelConfig.from_params({**LLAMA3_8B, "n_kv_heads": None, "ffn_dim_multiplier": None})
    assert (config.n_kv_heads, config.hidden_dim) == (32, 11264)


@pytest.mark.parametrize(
    ("keys", "factor"),
    [
        ({}, None),
        ({"use_scaled_rope": False}, None),
        ({"use_scaled_rope": True}, 8.0),
        ({"use_scaled_rope": True, "tied_embeddings": True}, 32.0),
        ({"use_scaled_rope": True, "rope_scaling_factor": 16}, 16.0),
        ({"use_scaled_rope": True, "rope_scaling_factor": 16, "tied_embeddings": True}, 16.0),
    ],
)
def test_rope_factor_defaults_to_8_and_32_when_tied(
    keys: dict[str, Any], factor: float | None
) -> None:
    scaling = ModelConfig.from_params({**LLAMA3_8B, **keys}).rope_scaling
    assert scaling == (None if factor is None else RopeScaling(factor=factor))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": -1}, r"params\.json: vocab_size is -1; .*convert_from_meta_weights\.py"),
        ({"vocab_size": "many"}, "vocab_size is 'many', wanted a positive whole number"),
        ({"dim": 10**400}, "dim is 1000000000.*, wanted a positive whole number up to 2,147"),
        ({"hidden_dim": 2**40}, "hidden_dim is 1099511627776, wanted a positive whole number"),
        ({"n_layers": 10**9}, "n_layers is 1000000000, wanted at most 1000"),
        ({"ffn_dim_multiplier": 1e300}, "ffn_dim_multiplier is 1e\\+300, wanted a positive number"),
        ({"rope_theta": 10**400}, "rope_theta is 10000.*, wanted a positive number up to 1e"),
        ({"rotary_dim": 4.0}, "rotary_dim is 4.0, wanted a positive whole number"),
        ({"dim": 0}, "dim is 0, wanted a positive whole number"),
        ({"dim": 4096.0}, "dim is 4096.0, wanted a positive whole number"),
        ({"n_layers": None}, "n_layers is None, wanted a positive whole number"),
        ({"n_heads": 0}, "n_heads is 0, wanted"),
        ({"n_heads": 3}, "dim 4096 is not a multiple of n_heads 3"),
        ({"n_kv_heads": 5}, "n_heads 32 is not a multiple of n_kv_heads 5"),
        ({"head_dim": 7}, "head_dim is 7; rotary pairs need an even number"),
        ({"multiple_of": 0}, "multiple_of is 0, wanted a positive whole number"),
        ({"ffn_dim_multiplier": "1.3"}, "ffn_dim_multiplier is '1.3', wanted a positive number"),
        ({"norm_eps": -1e-5}, "norm_eps is -1e-05, wanted a positive number"),
        ({"rope_theta": True}, "rope_theta is True, wanted a positive number"),
        (
            {"use_scaled_rope": True, "rope_scaling_factor": "8"},
            "rope_scaling_factor is '8', wanted a positive number",
        ),
    ],
)
def test_an_impossible_value_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_params({**LLAMA3_8B, **changes})


def test_missing_key_is_named_with_the_keys_found() -> None:
    with pytest.raises(ValueError, match=r"params\.json has no 'n_layers'; found dim, n_heads"):
        ModelConfig.from_params({"dim": 64, "n_heads": 4, "vocab_size": 5})


def test_a_config_made_by_hand_is_checked_too() -> None:
    with pytest.raises(ValueError, match="hidden_dim is -1"):
        replace(TINY, hidden_dim=-1)


def test_params_are_read_by_file_or_by_directory(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps(LLAMA3_8B))
    assert read_params(tmp_path) == read_params(tmp_path / "params.json") == LLAMA3_8B
    assert ModelConfig.read(tmp_path) == ModelConfig.from_params(LLAMA3_8B)


@pytest.mark.parametrize("name", [".", "params.json", "Llama-3.1-8B"])
def test_missing_params_name_the_command_that_makes_them(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"params\.json is missing.*convert_from_meta"):
        read_params(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ("[1]", "must hold an object, found list")]
)
def test_params_that_are_no_object_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_params(tmp_path)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("rope_thete", "did you mean 'rope_theta'?"),
        ("sliding_windows", "did you mean 'sliding_window'?"),
        ("moe", "may change the mathematics"),
        ("quantization_args", "may change the mathematics"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_known_one(key: str, hint: str) -> None:
    with pytest.raises(
        ValueError, match=rf"params.json: '{key}' \(8\) is no key.*{re.escape(hint)}"
    ):
        ModelConfig.from_params({**LLAMA3_8B, key: 8})


def test_unknown_key_without_a_value_changes_nothing() -> None:
    assert ModelConfig.from_params({**LLAMA3_8B, "moe": None}) == ModelConfig.from_params(LLAMA3_8B)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rotary_dim": 7}, "rotary_dim is 7, wanted an even number up to head_dim 16"),
        ({"rotary_dim": 18}, "rotary_dim is 18, wanted an even number up to head_dim 16"),
        ({"sliding_window": 0}, "sliding_window is 0, wanted a positive whole number"),
        (
            {"rope_scaling": LongRope((1.0,), (1.0,) * 8, 16, 1.0)},
            "rope_short_factor has 1 numbers, wanted 8",
        ),
    ],
)
def test_sizes_that_no_rotation_can_have_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


@pytest.mark.parametrize(
    "scaling",
    [
        None,
        RopeScaling(8.0),
        RopeScaling(4.0, 2.0, 8.0, 64),
        LongRope((1.0,) * 8, (2.0,) * 8, 16, 1.2),
    ],
)
def test_scaling_read_from_its_own_params_is_the_same(scaling: object) -> None:
    config = replace(TINY, rope_scaling=scaling)
    params = {name: getattr(config, name) for name in ("dim", "n_layers", "n_heads", "vocab_size")}
    assert ModelConfig.from_params({**params, **rope_params(scaling)}).rope_scaling == scaling


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rope_long_factor": [None]}, "rope_short_factor is None, wanted a list of numbers"),
        ({"rope_attention_factor": 1.2}, "rope_short_factor is None, wanted a list of numbers"),
        (
            {"rope_short_factor": [1.0], "rope_long_factor": [None]},
            "rope_long_factor is -1, wanted a positive number",
        ),
        ({"qkv_bias": "yes"}, "qkv_bias is 'yes', wanted true or false"),
        ({"tied_embeddings": 1}, "tied_embeddings is 1, wanted true or false"),
    ],
)
def test_params_of_another_type_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_params({**LLAMA3_8B, **params})
