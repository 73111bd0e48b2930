"""An adapter in PEFT's layout: what is written, and that it comes back as it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from native_directories import write_adapter
from peft_adapters import LORAS, SHAPES, Base
from safetensors.torch import load_file, save_file

from model.lora.adapter import adapter_of
from model.lora.config import LoraConfig
from storage.manifest import damaged_files, read_manifest
from weights.adapter import base_directory, read_adapter, write_base_record
from weights.chat_record import read_chat_record
from weights.peft.conversion import export_adapter, import_adapter

Bases = Callable[[str], Base]
# Hugging Face fuses layers of these, and in "by layer" those have different scales.
RESCALED = [("phi3", "by layer"), ("phi4", "by layer")]
PAIRS = [(name, lora) for name in SHAPES for lora in LORAS]


def there_and_back(base: Base, lora: LoraConfig, tmp_path: Path) -> Path:
    write_adapter(tmp_path / "lora", base.config, lora, size=0.3)
    export_adapter(tmp_path / "lora", tmp_path / "peft")
    import_adapter(tmp_path / "peft", base.native, tmp_path / "back")
    return tmp_path / "back"


def settings_in(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "adapter_config.json").read_text())


@pytest.mark.parametrize(("name", "lora"), [pair for pair in PAIRS if pair not in RESCALED])
def test_an_adapter_comes_back_bit_for_bit(
    name: str, lora: str, base_of: Bases, tmp_path: Path
) -> None:
    back = read_adapter(there_and_back(base_of(name), LORAS[lora], tmp_path))
    state = read_adapter(tmp_path / "lora").state
    assert back.state.keys() == state.keys()
    assert all(torch.equal(back.state[key], tensor) for key, tensor in state.items())
    for linear in {key.rpartition(".")[0] for key in state}:
        assert back.lora.rank_of(linear) == LORAS[lora].rank_of(linear)
        assert back.lora.scale_of(linear) == pytest.approx(LORAS[lora].scale_of(linear), rel=1e-12)


@pytest.mark.parametrize(("name", "lora"), RESCALED)
def test_fused_layers_of_other_scales_come_back_with_equal_products(
    name: str, lora: str, base_of: Bases, tmp_path: Path
) -> None:
    back = read_adapter(there_and_back(base_of(name), LORAS[lora], tmp_path))
    state = read_adapter(tmp_path / "lora").state
    assert back.state.keys() == state.keys()
    for linear in {key.rpartition(".")[0] for key in state}:
        a, b = adapter_of(state, linear) or ()
        found_a, found_b = adapter_of(back.state, linear) or ()
        product = LORAS[lora].scale_of(linear) * b @ a
        found = back.lora.scale_of(linear) * found_b @ found_a
        torch.testing.assert_close(found, product, atol=1e-6, rtol=0)


def test_the_configuration_comes_back_as_it_was_written(base_of: Bases, tmp_path: Path) -> None:
    lora = LoraConfig(rank=4, alpha=8.0, dropout=0.1, targets=("wq", "wv"), ranks=(("wv", 2),))
    back = read_adapter(there_and_back(base_of("llama"), lora, tmp_path))
    assert (back.lora.dropout, back.lora.targets) == (0.1, ("wq", "wv"))
    assert [back.lora.rank_of(f"layers.1.attention.{name}") for name in ("wq", "wv")] == [4, 2]


def test_one_rank_and_scale_need_no_patterns(base_of: Bases, tmp_path: Path) -> None:
    done = there_and_back(base_of("llama"), LORAS["plain"], tmp_path)
    settings = settings_in(tmp_path / "peft")
    assert (settings["r"], settings["lora_alpha"]) == (4, 12)
    assert settings["rank_pattern"] == settings["alpha_pattern"] == {}
    assert settings["task_type"] == "CAUSAL_LM"
    linears = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"
    assert sorted(settings["target_modules"]) == sorted(linears.split())
    assert LoraConfig.read(done) == LORAS["plain"]


def test_fused_layers_have_the_summed_rank_and_the_same_scale(
    base_of: Bases, tmp_path: Path
) -> None:
    there_and_back(base_of("phi3"), LORAS["plain"], tmp_path)
    settings = settings_in(tmp_path / "peft")
    # vLLM has no other rank and scale than these two say.
    assert (settings["r"], settings["lora_alpha"]) == (12, 36)
    assert settings["rank_pattern"] == {"o_proj": 4, "gate_up_proj": 8, "down_proj": 4}
    assert settings["alpha_pattern"] == {"o_proj": 12, "gate_up_proj": 24, "down_proj": 12}
    tensors = load_file(tmp_path / "peft" / "adapter_model.safetensors")
    b = tensors["base_model.model.model.layers.1.self_attn.qkv_proj.lora_B.weight"]
    blocks = [b[:64, :4], b[64:96, 4:8], b[96:, 8:]]
    assert b.count_nonzero() == sum(block.count_nonzero() for block in blocks) == 4 * len(b)


def test_a_fused_layer_has_blocks_of_adapted_parts_only(base_of: Bases, tmp_path: Path) -> None:
    back = there_and_back(base_of("phi3"), LORAS["some"], tmp_path)
    tensors = load_file(tmp_path / "peft" / "adapter_model.safetensors")
    b = tensors["base_model.model.model.layers.0.self_attn.qkv_proj.lora_B.weight"]
    assert b.shape == (64 + 32 + 32, 2 * 3)
    assert not b[64:96].any()
    assert LoraConfig.read(back).targets == ("wq", "wv", "w3", "layers.1.feed_forward.w2")


@pytest.mark.usefixtures("trusted_files")
def test_fused_peft_layer_gives_its_parts_the_same_a(base_of: Bases, tmp_path: Path) -> None:
    write_adapter(tmp_path / "lora", SHAPES["phi3"], LoraConfig(rank=4, targets=("wq",)), size=1)
    export_adapter(tmp_path / "lora", tmp_path / "peft")
    file = tmp_path / "peft" / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors = {name: torch.randn(tensor.shape) for name, tensor in tensors.items()}
    save_file(tensors, file)
    import_adapter(tmp_path / "peft", base_of("phi3").native, tmp_path / "back")
    state = read_adapter(tmp_path / "back").state
    module = "base_model.model.model.layers.0.self_attn.qkv_proj"
    parts = [f"layers.0.attention.{name}" for name in ("wq", "wk", "wv")]
    for name in parts:
        assert torch.equal(state[f"{name}.lora_a"], tensors[f"{module}.lora_A.weight"])
    values = state["layers.0.attention.wv.lora_b"]
    assert torch.equal(values, tensors[f"{module}.lora_B.weight"][96:])


def test_a_new_adapter_of_fused_layers_keeps_all_its_parts(base_of: Bases, tmp_path: Path) -> None:
    """PEFT starts with B = 0 everywhere."""
    write_adapter(tmp_path / "lora", SHAPES["phi3"], LORAS["plain"], size=0.0)
    export_adapter(tmp_path / "lora", tmp_path / "peft")
    import_adapter(tmp_path / "peft", base_of("phi3").native, tmp_path / "back")
    back = read_adapter(tmp_path / "back")
    assert back.state.keys() == read_adapter(tmp_path / "lora").state.keys()
    assert back.lora.rank_of("layers.0.attention.wk") == 12


def test_both_directories_are_whole_and_carry_what_lay_beside(
    base_of: Bases, tmp_path: Path
) -> None:
    base = base_of("llama")
    write_adapter(tmp_path / "lora", base.config, LORAS["plain"])
    write_base_record(tmp_path / "lora", base.native)
    export_adapter(tmp_path / "lora", tmp_path / "peft")
    import_adapter(tmp_path / "peft", base.native, tmp_path / "back")
    kinds = {"peft": "PEFT adapter", "back": "imported adapter"}
    for name, kind in kinds.items():
        assert read_manifest(tmp_path / name)["kind"] == kind
        assert damaged_files(tmp_path / name) == []
        assert (tmp_path / name / "tokenizer.model").is_file()
        record = read_chat_record(tmp_path / name)
        assert record is not None and record.name == "llama3"
    assert settings_in(tmp_path / "peft")["base_model_name_or_path"] == str(base.native)
    assert base_directory(tmp_path / "back") == str(base.native)
    assert read_adapter(tmp_path / "back").params == base.config


def test_an_adapter_keeps_its_dtype(base_of: Bases, tmp_path: Path) -> None:
    base = base_of("phi3")
    state = write_adapter(tmp_path / "lora", base.config, LORAS["plain"])
    halves = {name: tensor.bfloat16() for name, tensor in state.items()}
    save_file(halves, tmp_path / "lora" / "adapter.safetensors")
    export_adapter(tmp_path / "lora", tmp_path / "peft")
    import_adapter(tmp_path / "peft", base.native, tmp_path / "back")
    back = read_adapter(tmp_path / "back").state
    assert all(torch.equal(back[name], tensor) for name, tensor in halves.items())
