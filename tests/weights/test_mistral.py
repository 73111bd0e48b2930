"""Mistral's own `consolidated.safetensors` in and out."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from meta_directories import write_tiktoken_file
from safetensors.torch import save_file
from small_tokenizers import write_tokenizer_json
from tiny_models import TINY, random_model

from model.config import ModelConfig
from weights.conversion import convert_from_meta, convert_to_meta
from weights.directory import WEIGHTS_FILE, load_model, open_weights
from weights.meta_params import meta_params
from weights.table import bitwise_equal, expected_shapes

KEYS = ("dim", "n_layers", "head_dim", "hidden_dim", "n_heads", "n_kv_heads", "norm_eps")


def write_mistral(path: Path, tokenizer: str = "tokenizer.model", **params: Any) -> Path:
    """Write a random model as Mistral does; return `path`."""
    path.mkdir()
    save_file(random_model(TINY).state_dict(), path / WEIGHTS_FILE)
    given = {name: getattr(TINY, name) for name in (*KEYS, "vocab_size")}
    (path / "params.json").write_text(json.dumps({**given, **params}))
    write_tiktoken_file(path / tokenizer, TINY.vocab_size)
    return path


def convert(source: Path, target: Path) -> ModelConfig:
    convert_from_meta(source, target)
    return load_model(target).config


def test_mistral_directory_becomes_native_bit_for_bit(tmp_path: Path) -> None:
    source = write_mistral(tmp_path / "mistral", rope_theta=1e6)
    assert convert(source, tmp_path / "native").family == "mistral"
    native, given = open_weights(tmp_path / "native"), open_weights(source / WEIGHTS_FILE)
    assert list(native) == list(expected_shapes(TINY))
    assert all(bitwise_equal(tensor, given[name]) for name, tensor in native.items())


@pytest.mark.parametrize(
    ("params", "theta", "window"),
    [
        ({}, 1000000.0, None),
        ({"sliding_window": 8}, 10000.0, 8),
        ({"_sliding_window": 8, "rope_theta": 50000.0}, 50000.0, 8),
        ({"sliding_window": None, "moe": None, "model_type": "transformer"}, 1000000.0, None),
    ],
)
def test_what_params_leave_open_is_filled_in(
    params: dict[str, Any], theta: float, window: int | None, tmp_path: Path
) -> None:
    config = convert(write_mistral(tmp_path / "mistral", **params), tmp_path / "native")
    assert (config.rope_theta, config.sliding_window) == (theta, window)


@pytest.mark.parametrize("key", ["moe", "lora", "vision_encoder", "use_biases"])
def test_other_mathematics_is_refused_by_name(key: str, tmp_path: Path) -> None:
    source = write_mistral(tmp_path / "mistral", **{key: {"num_experts": 8}})
    with pytest.raises(ValueError, match=key):
        convert_from_meta(source, tmp_path / "native")
    assert not (tmp_path / "native").exists()


@pytest.mark.parametrize("window", [None, 8])
def test_export_is_what_was_read(window: int | None, tmp_path: Path) -> None:
    changes = {} if window is None else {"sliding_window": window}
    source = write_mistral(tmp_path / "mistral", rope_theta=1e6, **changes)
    convert(source, tmp_path / "native")
    convert_to_meta(tmp_path / "native", tmp_path / "native", 1, tmp_path / "back")
    written = json.loads((tmp_path / "back" / "params.json").read_text())
    assert written == json.loads((source / "params.json").read_text())
    shutil.rmtree(source)
    assert load_model(tmp_path / "native").config == convert(tmp_path / "back", tmp_path / "again")
    for name in (WEIGHTS_FILE, "tokenizer.model"):
        again, native = (tmp_path / place / name for place in ("again", "native"))
        assert again.read_bytes() == native.read_bytes()


def test_tokenizer_with_a_version_gets_its_usual_name(tmp_path: Path) -> None:
    source = write_mistral(tmp_path / "mistral", "tokenizer.model.v3")
    convert(source, tmp_path / "native")
    assert (tmp_path / "native" / "tokenizer.model").is_file()


def test_the_newest_version_of_several_tokenizers_is_used(tmp_path: Path) -> None:
    source = write_mistral(tmp_path / "mistral", "tokenizer.model.v11")
    for name in ("tokenizer.model", "tokenizer.model.v3"):
        write_tiktoken_file(source / name, 300)
    convert(source, tmp_path / "native")
    used = (tmp_path / "native" / "tokenizer.model").read_bytes()
    assert used == (source / "tokenizer.model.v11").read_bytes()


def test_an_export_has_one_tokenizer_and_it_has_its_version(tmp_path: Path) -> None:
    source = write_mistral(tmp_path / "mistral", "tokenizer.model.v3")
    shutil.copy(source / "tokenizer.model.v3", source / "tokenizer.model.v1")
    convert(source, tmp_path / "native")
    convert_to_meta(tmp_path / "native", tmp_path / "native", 1, tmp_path / "back")
    written = {file.name for file in (tmp_path / "back").glob("tokenizer*")}
    assert written == {"tokenizer.model.v3"}
    convert(tmp_path / "back", tmp_path / "again")
    again = (tmp_path / "again" / "tokenizer.model").read_bytes()
    assert again == (source / "tokenizer.model.v3").read_bytes()


def test_a_foreign_tokenizer_json_beside_is_refused(tmp_path: Path) -> None:
    source = write_mistral(tmp_path / "mistral", "tokenizer.model.v3")
    write_tokenizer_json(source / "tokenizer.json", "smollm2", TINY.vocab_size + 100)
    with pytest.raises(ValueError, match=r"mistral/tokenizer\.json has 484 tokens"):
        convert_from_meta(source, tmp_path / "native")
    assert not (tmp_path / "native").exists()


def test_mistral_is_exported_whole_only(tmp_path: Path) -> None:
    convert(write_mistral(tmp_path / "mistral"), tmp_path / "native")
    with pytest.raises(ValueError, match="--num-shards is 2, wanted one of 1"):
        convert_to_meta(tmp_path / "native", tmp_path / "native", 2, tmp_path / "back")


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "phi3"])
def test_families_with_other_layers_are_refused_in_metas_format(family: str) -> None:
    config = replace(TINY, family=family, qkv_bias=family == "qwen2", qk_norm=family == "qwen3")
    with pytest.raises(ValueError, match=r"Meta's format cannot hold .*convert_to_hf_weights"):
        meta_params({}, config)


def test_a_directory_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    source = write_mistral(tmp_path / "mistral")
    for file in source.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"mistral has no tokenizer .* copy it there"):
        convert_from_meta(source, tmp_path / "native")
