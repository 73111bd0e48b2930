"""A directory quantised beforehand is what quantising on arrival gives, and says what it is."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from anonymous_memory import peak_bytes
from native_directories import write_native
from safetensors.torch import load_file, save_file
from tiny_models import FAMILY_SHAPES, LLAMA3_SHAPES, TINY

from model.config import ModelConfig
from model.nf4 import NF4Linear
from storage.manifest import damaged_files, read_manifest, sha256_of_file, write_manifest
from weights.building import Stored, copy_on_arrival, is_linear_weight, quantize_on_arrival
from weights.chat_record import read_chat_record, write_chat_record
from weights.directory import WEIGHTS_FILE, load_model, open_weights, weights_sha256
from weights.nf4.conversion import quantize_directory
from weights.nf4.directory import QUANTIZATION_FILE, check_quantization
from weights.table import expected_shapes

# 7 rows of 9 values leave blocks and bytes that are not full.
UNEVEN = replace(TINY, dim=36, n_heads=2, n_kv_heads=1, head_dim=6, hidden_dim=27)
SHAPES = {**LLAMA3_SHAPES, "qwen2": FAMILY_SHAPES["qwen2"], "uneven": UNEVEN}


@pytest.mark.parametrize("quantization", ["nf4", "nf4_double"])
@pytest.mark.parametrize("shape", SHAPES)
def test_stored_weights_equal_those_quantized_on_arrival(
    shape: str, quantization: str, tmp_path: Path
) -> None:
    write_native(tmp_path / "base", SHAPES[shape], torch.bfloat16)
    quantize_directory(tmp_path / "base", tmp_path / "nf4", quantization)
    found = load_model(tmp_path / "nf4", "cpu", torch.float32)
    place = quantize_on_arrival("cpu", torch.float32, quantization)
    wanted = load_model(tmp_path / "base", place=place)
    assert sum(isinstance(module, NF4Linear) for module in found.modules()) == 14
    assert found.state_dict().keys() == wanted.state_dict().keys()
    for name, tensor in wanted.state_dict().items():
        assert tensor.dtype == found.state_dict()[name].dtype
        assert torch.equal(tensor, found.state_dict()[name]), name


def test_file_takes_a_quarter_and_lists_every_part(tmp_path: Path) -> None:
    write_native(tmp_path / "base", TINY, torch.bfloat16)
    done = quantize_directory(tmp_path / "base", tmp_path / "nf4")
    state = load_file(tmp_path / "nf4" / WEIGHTS_FILE)
    parts = {name.rpartition(".")[2] for name in state if name.startswith("layers.0.attention.wq")}
    assert parts == {"codes", "absmax", "absmax_scale", "offset"}
    assert (done.weights, done.others) == (14, len(state) - 4 * 14)
    before = open_weights(tmp_path / "base")
    kept = sum(before[name].nbytes for name in state if name in before)
    assert done.bytes == sum(tensor.nbytes for tensor in state.values())
    assert done.bytes - kept < 0.27 * (done.bytes_before - kept)


def test_directory_has_manifest_tokenizer_and_chat_record(tmp_path: Path) -> None:
    base = write_native(tmp_path / "base", TINY)
    write_chat_record(base, "llama3")
    quantize_directory(base, tmp_path / "nf4")
    assert damaged_files(tmp_path / "nf4") == []
    assert read_manifest(tmp_path / "nf4")["kind"] == "quantised model"
    assert ModelConfig.read(tmp_path / "nf4") == TINY
    tokenizer = "tokenizer.model"
    assert (tmp_path / "nf4" / tokenizer).read_bytes() == (base / tokenizer).read_bytes()
    record = read_chat_record(tmp_path / "nf4")
    assert record is not None and record.name == "llama3"


@pytest.mark.parametrize("listed", [True, False])
def test_record_names_the_source_by_its_sha256(listed: bool, tmp_path: Path) -> None:
    base = write_native(tmp_path / "base", TINY)
    if listed:
        write_manifest(base, "native model")
    quantize_directory(base, tmp_path / "nf4", "nf4")
    sha256 = sha256_of_file(base / WEIGHTS_FILE)
    record = json.loads((tmp_path / "nf4" / QUANTIZATION_FILE).read_text())
    assert record == {"quantization": "nf4", "directory": str(base), "sha256": sha256}
    assert weights_sha256(tmp_path / "nf4") == sha256


def test_given_place_takes_stored_weights_as_layers(tmp_path: Path) -> None:
    write_native(tmp_path / "base", FAMILY_SHAPES["qwen2"])
    quantize_directory(tmp_path / "base", tmp_path / "nf4")
    taken: dict[str, Stored] = {}
    copy = copy_on_arrival("cpu", None)

    def place(name: str, tensor: Stored) -> torch.nn.Parameter | torch.nn.Module:
        taken[name] = tensor
        return copy(name, tensor)

    load_model(tmp_path / "nf4", place=place)
    assert taken.keys() == expected_shapes(FAMILY_SHAPES["qwen2"]).keys()
    layers = {name for name, tensor in taken.items() if isinstance(tensor, NF4Linear)}
    assert layers == {name for name in taken if is_linear_weight(name)}


def test_other_readers_name_the_original_weights(tmp_path: Path) -> None:
    write_native(tmp_path / "base", TINY)
    quantize_directory(tmp_path / "base", tmp_path / "nf4")
    with pytest.raises(ValueError, match=f"name those they were made of: {tmp_path / 'base'}$"):
        open_weights(tmp_path / "nf4")
    with pytest.raises(ValueError, match="holds weights in nf4_double, and whole ones are wanted"):
        quantize_directory(tmp_path / "nf4", tmp_path / "again")


def test_setting_must_equal_what_is_stored(tmp_path: Path) -> None:
    base = write_native(tmp_path / "base", TINY)
    quantize_directory(base, tmp_path / "nf4")
    check_quantization(tmp_path / "nf4", "nf4_double")
    for setting in (None, "nf4", "nf4_double"):
        check_quantization(base, setting)
    with pytest.raises(ValueError, match=r"is null; add --model\.quantization=nf4_double, or"):
        check_quantization(tmp_path / "nf4", None)
    with pytest.raises(ValueError, match=r"in nf4_double, and model\.quantization is nf4; add"):
        check_quantization(tmp_path / "nf4", "nf4")


def lose_a_part(state: dict[str, torch.Tensor]) -> None:
    del state["layers.1.feed_forward.w2.offset"]


def add_a_weight(state: dict[str, torch.Tensor]) -> None:
    state["layers.1.feed_forward.w2.weight"] = torch.zeros(64, 128)


def cut_the_codes(state: dict[str, torch.Tensor]) -> None:
    state["layers.0.attention.wo.codes"] = state["layers.0.attention.wo.codes"][1:].clone()


def widen_the_scales(state: dict[str, torch.Tensor]) -> None:
    state["layers.0.attention.wo.absmax"] = state["layers.0.attention.wo.absmax"].float()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lose_a_part, r"1 missing \(layers.1.feed_forward.w2.offset\)"),
        (add_a_weight, r"1 left over \(layers.1.feed_forward.w2.weight\)"),
        (cut_the_codes, r"layers.0.attention.wo.codes is \[2047\], wanted \[2048\]"),
        (widen_the_scales, r"layers.0.attention.wo.absmax is float32, wanted uint8"),
    ],
)
@pytest.mark.usefixtures("trusted_files")
def test_wrong_parts_are_named_in_one_line(
    spoil: Callable[[dict[str, Any]], None], problem: str, tmp_path: Path
) -> None:
    write_native(tmp_path / "base", TINY)
    quantize_directory(tmp_path / "base", tmp_path / "nf4")
    state = load_file(tmp_path / "nf4" / WEIGHTS_FILE)
    spoil(state)
    save_file(state, tmp_path / "nf4" / WEIGHTS_FILE)
    with pytest.raises(ValueError, match=problem) as raised:
        load_model(tmp_path / "nf4")
    assert "\n" not in str(raised.value)
    assert "write the directory again with scripts/quantize.py" in str(raised.value)


def test_foreign_record_is_refused(tmp_path: Path) -> None:
    base = write_native(tmp_path / "base", TINY)
    (base / QUANTIZATION_FILE).write_text('{"bits": 4}')
    with pytest.raises(ValueError, match=r"quantization.json is \{'bits': 4\}, wanted"):
        load_model(base)


QUANTIZE = """
from weights.nf4.conversion import quantize_directory

def convert(folder):
    quantize_directory(folder, folder.with_name(folder.name + "-nf4"))
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="RssAnon is read from /proc")
def test_memory_is_that_of_one_tensor(tmp_path: Path) -> None:
    config = replace(TINY, dim=1024, n_heads=16, head_dim=64, hidden_dim=4096)
    for name, layers in (("small", 1), ("large", 4)):
        write_native(tmp_path / name, replace(config, n_layers=layers), torch.bfloat16)
    peak = peak_bytes(QUANTIZE, tmp_path / "small", tmp_path / "large")
    # Quantising takes the same whatever the weight: it goes by chunks of a million values.
    assert peak < 24 * 2**20 < sum(x.nbytes for x in open_weights(tmp_path / "large").values()) / 4
