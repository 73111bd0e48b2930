import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from meta_directories import write_tiktoken_file
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_models import LLAMA3_SHAPES, TINY, random_model
from torch import Tensor

from model.attention import Documents
from model.config import ModelConfig
from weights.directory import (
    WEIGHTS_FILE,
    layout_bytes,
    layout_of,
    load_model,
    open_weights,
    resolve_directory,
    weights_file,
    write_safetensors,
)
from weights.meta_params import native_params
from weights.table import bitwise_equal, expected_shapes


def native_params_of(config: ModelConfig) -> dict[str, Any]:
    keys = ("dim", "n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden_dim", "vocab_size")
    params = {key: getattr(config, key) for key in keys}
    params["use_scaled_rope"] = config.rope_scaling is not None
    tied = config.tied_embeddings
    return native_params(params, config.vocab_size, tied=tied, sentencepiece=False)


def write_native(path: Path, config: ModelConfig, **extra: Tensor) -> dict[str, Tensor]:
    """Write a native directory with the library's own safetensors; return its tensors."""
    path.mkdir()
    model = random_model(config)
    state = {**{name: p.detach() for name, p in model.named_parameters()}, **extra}
    save_file(state, path / WEIGHTS_FILE)
    (path / "params.json").write_text(json.dumps(native_params_of(config)))
    write_tiktoken_file(path / "tokenizer.model", config.vocab_size)
    return state


@pytest.fixture
def native(tmp_path: Path) -> Path:
    write_native(tmp_path / "native", TINY)
    return tmp_path / "native"


# Naming a model


@pytest.mark.parametrize("name", [".", "consolidated.safetensors", "consolidated.pth"])
def test_model_is_found_by_directory_file_or_older_name(native: Path, name: str) -> None:
    assert resolve_directory(native / name).resolve() == native.resolve()
    assert weights_file(str(native / name)).name == WEIGHTS_FILE
    assert load_model(native / name).config == TINY


def test_an_older_directory_with_a_pth_file_is_read(native: Path) -> None:
    state = load_file(native / WEIGHTS_FILE)
    (native / WEIGHTS_FILE).unlink()
    torch.save(state, native / "consolidated.pth")
    assert weights_file(native) == native / "consolidated.pth"
    assert bitwise_equal(load_model(native).norm.weight.detach(), state["norm.weight"])


def test_a_home_directory_may_be_written_with_a_tilde(
    native: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(native.parent))
    assert resolve_directory("~/native") == native


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "has no consolidated.safetensors; found nothing .*convert_from_meta_weights"),
        (["a", "b"], "has no consolidated.safetensors; found a, b "),
        (["consolidated.00.pth"], "holds Meta's shards, .*convert_from_meta_weights.py --llama3"),
        (["lora.json"], r"holds a LoRA adapter \(lora.json\).*convert_lora_weights.py"),
        (["adapter.safetensors"], "holds a LoRA adapter .*convert_lora_weights.py"),
    ],
)
def test_a_directory_without_weights_says_what_it_is(
    tmp_path: Path, files: list[str], message: str
) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        resolve_directory(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "nowhere/consolidated.pth", "model.bin"])
def test_a_path_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not exist; wanted a model directory or its"):
        load_model(tmp_path / name)


# Loading


@pytest.mark.parametrize("shape", LLAMA3_SHAPES)
def test_loaded_model_has_the_config_and_bits_stored(shape: str, tmp_path: Path) -> None:
    config = LLAMA3_SHAPES[shape]
    state = write_native(tmp_path / "native", config)
    model = load_model(tmp_path / "native")
    assert model.config == config
    parameters = dict(model.named_parameters())
    assert list(parameters) == list(expected_shapes(config))
    assert all(bitwise_equal(parameters[name].detach(), state[name]) for name in state)
    assert (model.output.weight is model.tok_embeddings.weight) == config.tied_embeddings


def test_a_loaded_model_computes_what_the_saved_one_did(native: Path) -> None:
    tokens, documents = torch.arange(20), Documents([0, 20])
    with torch.no_grad():
        wanted = random_model(TINY)(tokens, tokens, documents)
        assert torch.equal(load_model(native)(tokens, tokens, documents), wanted)


def test_the_dtype_is_kept_unless_another_is_asked_for(native: Path) -> None:
    assert {p.dtype for p in load_model(native).parameters()} == {torch.float32}
    halved = load_model(native, dtype=torch.bfloat16)
    assert {p.dtype for p in halved.parameters()} == {torch.bfloat16}
    exact = load_file(native / WEIGHTS_FILE)["norm.weight"]
    assert bitwise_equal(halved.norm.weight.detach(), exact.bfloat16())


def test_a_loaded_model_is_independent_of_its_file(native: Path) -> None:
    before = (native / WEIGHTS_FILE).read_bytes()
    model = load_model(native)
    with torch.no_grad():
        model.norm.weight.zero_()
    assert (native / WEIGHTS_FILE).read_bytes() == before
    (native / WEIGHTS_FILE).write_bytes(b"")
    assert model.tok_embeddings.weight.abs().sum() > 0


def test_nothing_is_left_on_the_meta_device(native: Path) -> None:
    model = load_model(native)
    assert {x.device.type for x in (*model.parameters(), *model.buffers())} == {"cpu"}


def test_missing_left_over_and_misshapen_tensors_are_all_listed(native: Path) -> None:
    state = load_file(native / WEIGHTS_FILE)
    del state["layers.0.attention.wq.weight"]
    state |= {"norm.weight": torch.ones(63), "visitor": torch.ones(1)}
    save_file(state, native / WEIGHTS_FILE)
    with pytest.raises(ValueError) as error:
        load_model(native)
    for part in (
        str(native / WEIGHTS_FILE),
        "1 missing (layers.0.attention.wq.weight)",
        "1 left over (visitor)",
        "1 of the wrong shape (norm.weight is [63], wanted [64])",
    ):
        assert part in str(error.value)


def test_tied_model_may_hold_a_copy_but_no_other_output(tmp_path: Path) -> None:
    config = LLAMA3_SHAPES["llama3_2"]
    copy = random_model(config).tok_embeddings.weight.detach().clone()
    write_native(tmp_path / "same", config, **{"output.weight": copy})
    assert load_model(tmp_path / "same").config.tied_embeddings
    write_native(tmp_path / "other", config, **{"output.weight": copy + 1})
    with pytest.raises(ValueError, match=r"output.weight differs from tok_embeddings.weight"):
        load_model(tmp_path / "other")


def test_missing_params_name_the_file(native: Path) -> None:
    (native / "params.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"params\.json is missing"):
        load_model(native)


# Opening files


def test_opened_tensors_are_mapped_and_not_read(tmp_path: Path) -> None:
    big = {"a": torch.zeros(2000, 4096), "b": torch.ones(3)}
    for name, save in (("big.safetensors", save_file), ("big.pth", torch.save)):
        save(big, tmp_path / name)
        before = anonymous_bytes()
        tensors = open_weights(tmp_path / name)
        tensors["a"].sum()
        assert anonymous_bytes() - before < big["a"].nbytes / 4
        assert bitwise_equal(tensors["b"], big["b"])


def anonymous_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("RssAnon is read from /proc")
    line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def test_a_truncated_file_says_so(native: Path) -> None:
    torch.save(load_file(native / WEIGHTS_FILE), native / "whole.pth")
    for name in (WEIGHTS_FILE, "whole.pth"):
        size = (native / name).stat().st_size
        os.truncate(native / name, size - 1000)
        with pytest.raises(ValueError, match=rf"\({size - 1000:,} bytes\) is truncated or not a"):
            open_weights(native / name)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x00" * 100])
def test_a_file_that_is_no_checkpoint_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"is truncated or not a .*; fetch or write it again"):
        open_weights(tmp_path / name)


def test_a_pickle_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    class Command:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"a": torch.zeros(1), "b": Command()}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="holds more than plain tensors and was not opened"):
        open_weights(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"a": torch.zeros(1)}}, "'model' is of type dict, wanted a flat dictionary"),
        ({"step": 3}, "'step' is of type int, wanted a flat dictionary of tensors"),
        ([torch.zeros(1)], "holds type list, wanted named tensors"),
    ],
)
def test_checkpoint_not_a_flat_dictionary_of_tensors_is_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=message):
        open_weights(tmp_path / "a.pth")


def test_quantised_tensors_are_refused_by_name(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2), "b": torch.zeros(2, dtype=torch.int8)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(ValueError, match=r"b is int8, wanted bfloat16, .*; quantised checkpoints"):
        open_weights(tmp_path)


# Writing safetensors


def test_written_safetensors_read_back_in_the_library(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "z": torch.randn(3, 5, generator=generator),
        "a": torch.randn(7, 2, generator=generator).bfloat16(),
        "half": torch.randn(6, generator=generator).half(),
        "view": torch.randn(8, 6, generator=generator)[:, 1:3],
    }
    moved: list[int] = []
    layout = layout_of(tensors)
    write_safetensors(tmp_path / "a.safetensors", layout, tensors.items(), moved.append)
    assert sum(moved) == layout_bytes(layout) == sum(tensor.nbytes for tensor in tensors.values())
    for loaded in (load_file(tmp_path / "a.safetensors"), open_weights(tmp_path / "a.safetensors")):
        assert set(loaded) == set(tensors)
        assert all(bitwise_equal(loaded[name], tensor) for name, tensor in tensors.items())
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert file.offset_keys() == list(tensors)


def test_the_data_begins_where_mapped_tensors_are_aligned(tmp_path: Path) -> None:
    for length in range(1, 5):
        tensors = {"n" * length: torch.ones(16)}
        write_safetensors(tmp_path / "a.safetensors", layout_of(tensors), tensors.items())
        (tensor,) = open_weights(tmp_path / "a.safetensors").values()
        assert tensor.data_ptr() % 64 == 0


def test_tensors_out_of_step_with_the_layout_are_refused(tmp_path: Path) -> None:
    layout = layout_of({"a": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"found b \[2\] float32 to write, wanted a \[2\] float32"):
        write_safetensors(tmp_path / "a.safetensors", layout, [("b", torch.zeros(2))])


def test_a_copied_directory_is_the_same_model(native: Path, tmp_path: Path) -> None:
    shutil.copytree(native, tmp_path / "moved")
    assert load_model(tmp_path / "moved").config == load_model(native).config
