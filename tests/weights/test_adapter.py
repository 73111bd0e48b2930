"""An adapter is read from where a user has it, and what is wrong with it is one clear line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from native_directories import write_adapter, write_native
from safetensors.torch import save_file
from tiny_models import TINY, random_model
from torch import Tensor

from model.lora.config import LoraConfig
from storage.manifest import write_manifest
from weights.adapter import (
    base_directory,
    base_quantization,
    detach_adapter,
    read_adapter,
    write_base_record,
)

LORA = LoraConfig(rank=4, alpha=8.0, targets=("wq", "wv"))


def test_a_checkpoint_directory_and_its_file_are_the_same_adapter(tmp_path: Path) -> None:
    state = write_adapter(tmp_path / "lora", TINY, LORA)
    for path in (tmp_path / "lora", tmp_path / "lora" / "adapter.safetensors"):
        adapter = read_adapter(path)
        assert (adapter.lora, adapter.params) == (LORA, TINY)
        assert all(torch.equal(adapter.state[name], tensor) for name, tensor in state.items())
        adapter.check(TINY, Path("base"))


@pytest.mark.parametrize("name", ["lora_state.pt", "lora_state.pth", "lora_state.safetensors"])
def test_settings_may_lie_in_another_directory_than_the_tensors(tmp_path: Path, name: str) -> None:
    state = write_adapter(tmp_path / "settings", TINY, LORA)
    (tmp_path / "settings" / "adapter.safetensors").unlink()
    file = tmp_path / name
    save_file(state, file) if file.suffix == ".safetensors" else torch.save(state, file)
    adapter = read_adapter(file, tmp_path / "settings")
    assert adapter.lora == LORA
    assert set(adapter.state) == set(state)


def write_converted(directory: Path, state: dict[str, Tensor], form: str) -> None:
    """Write tensors as DeepSpeed's zero_to_fp32.py does; `form` is the name it gives the file.

    An index stands for two files, each with half of the tensors.
    """
    directory.mkdir()
    name = form.removesuffix(".index.json")
    stem, suffix = Path(name).stem, Path(name).suffix
    save: Callable[[dict[str, Tensor], Path], Any]
    save = torch.save if suffix == ".bin" else save_file  # type: ignore[assignment]
    if name == form:
        save(state, directory / form)
        return
    names = sorted(state)
    halves = (names[::2], names[1::2])
    weight_map = {}
    for number, half in enumerate(halves, 1):
        file = f"{stem}-{number:05d}-of-00002{suffix}"
        save({name: state[name] for name in half}, directory / file)
        weight_map |= dict.fromkeys(half, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (directory / form).write_text(json.dumps(index))


FORMS = [
    name + suffix
    for name in ("pytorch_model.bin", "model.safetensors")
    for suffix in ("", ".index.json")
]


@pytest.mark.parametrize("form", FORMS)
def test_what_zero_to_fp32_wrote_is_read_whatever_its_form(tmp_path: Path, form: str) -> None:
    state = write_adapter(tmp_path / "settings", TINY, LORA)
    converted = tmp_path / "lora_state_consolidated.pt"
    write_converted(converted, state, form)
    adapter = read_adapter(converted, tmp_path / "settings")
    adapter.check(TINY, Path("base"))
    assert adapter.state.keys() == state.keys()
    assert all(torch.equal(adapter.state[name], tensor) for name, tensor in state.items())
    shutil.copyfile(tmp_path / "settings" / "lora.json", converted / "lora.json")
    assert read_adapter(converted).lora == LORA


def test_two_conversions_in_one_directory_are_told(tmp_path: Path) -> None:
    state = write_adapter(tmp_path / "lora", TINY, LORA)
    write_converted(tmp_path / "converted", state, "pytorch_model.bin")
    save_file(state, tmp_path / "converted" / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"holds pytorch_model\.bin and model\.safetensors, perhap"
    ):
        read_adapter(tmp_path / "converted", tmp_path / "lora")


def test_a_converted_pickle_that_could_run_code_is_not_opened(tmp_path: Path) -> None:
    write_adapter(tmp_path / "lora", TINY, LORA)
    (tmp_path / "converted").mkdir()
    torch.save({"x": Path("x")}, tmp_path / "converted" / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds more than plain tensors and was not opened"):
        read_adapter(tmp_path / "converted", tmp_path / "lora")


def move_outside(index: dict[str, Any], directory: Path) -> None:
    for tensor, name in index["weight_map"].items():
        shutil.copyfile(directory / name, directory.parent / name)
        index["weight_map"][tensor] = f"../{name}"


def name_an_absolute_path(index: dict[str, Any], directory: Path) -> None:
    for tensor, name in index["weight_map"].items():
        index["weight_map"][tensor] = str(directory / name)


def forget_a_tensor(index: dict[str, Any], directory: Path) -> None:
    del index["weight_map"]["layers.0.attention.wq.lora_a"]


def promise_a_tensor(index: dict[str, Any], directory: Path) -> None:
    index["weight_map"]["bias"] = next(iter(index["weight_map"].values()))


def lose_a_file(index: dict[str, Any], directory: Path) -> None:
    (directory / index["weight_map"]["layers.0.attention.wq.lora_a"]).unlink()


def name_no_files(index: dict[str, Any], directory: Path) -> None:
    index["weight_map"] = list(index["weight_map"])


def name_numbers(index: dict[str, Any], directory: Path) -> None:
    index["weight_map"]["layers.0.attention.wq.lora_a"] = 1


@pytest.mark.parametrize("form", FORMS[1::2])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (move_outside, r"lora_a is in '\.\./.*00001-of-00002\..*wanted a file's name without path"),
        (name_an_absolute_path, r"lora_a is in '/.*00001-of-00002\..*wanted a file's name without"),
        (name_numbers, "wq.lora_a is in 1, wanted a file's name without path"),
        (forget_a_tensor, r"disagree on layers\.0\.attention\.wq\.lora_a; write both again"),
        (promise_a_tensor, "disagree on bias; write both again"),
        (lose_a_file, r"00001-of-00002\.\w+ is missing, and .*\.index\.json names it"),
        (name_no_files, r"\.index\.json is no index of weights"),
    ],
)
def test_an_index_names_files_beside_it_and_exactly_their_tensors(
    tmp_path: Path, form: str, change: Callable[[dict[str, Any], Path], None], problem: str
) -> None:
    state = write_adapter(tmp_path / "lora", TINY, LORA)
    directory = tmp_path / "converted"
    write_converted(directory, state, form)
    index = json.loads((directory / form).read_text())
    change(index, directory)
    (directory / form).write_text(json.dumps(index))
    with pytest.raises((ValueError, FileNotFoundError), match=problem) as refusal:
        read_adapter(directory, tmp_path / "lora")
    assert "\n" not in str(refusal.value)


def test_an_index_that_is_no_json_is_told(tmp_path: Path) -> None:
    write_adapter(tmp_path / "lora", TINY, LORA)
    (tmp_path / "pytorch_model.bin.index.json").write_text("half of")
    with pytest.raises(ValueError, match=r"\.index\.json is not JSON"):
        read_adapter(tmp_path, tmp_path / "lora")


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing does not exist; wanted a LoRA checkpoint"):
        read_adapter(tmp_path / "nothing")


def test_a_run_directory_points_to_its_best_checkpoint(tmp_path: Path) -> None:
    write_adapter(tmp_path / "run" / "final", TINY, LORA)
    with pytest.raises(FileNotFoundError, match=r"has no adapter\.safetensors; did you mean .*fin"):
        read_adapter(tmp_path / "run")
    write_adapter(tmp_path / "run" / "best", TINY, LORA)
    with pytest.raises(FileNotFoundError, match=r"did you mean .*run/best\?"):
        read_adapter(tmp_path / "run")


def test_an_empty_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no adapter\.safetensors$"):
        read_adapter(tmp_path)


def test_whole_weights_are_no_adapter(tmp_path: Path) -> None:
    write_native(tmp_path / "base", TINY)
    with pytest.raises(ValueError, match=r"holds whole weights .* wanted a LoRA adapter"):
        read_adapter(tmp_path / "base")


def test_missing_settings_are_named(tmp_path: Path) -> None:
    write_adapter(tmp_path / "lora", TINY, LORA)
    (tmp_path / "lora" / "lora.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"lora\.json is missing"):
        read_adapter(tmp_path / "lora")


@pytest.mark.parametrize("kept", [0, 7, 300, -1])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_truncated_file_is_told(tmp_path: Path, suffix: str, kept: int) -> None:
    state = write_adapter(tmp_path / "lora", TINY, LORA)
    file = tmp_path / "lora" / f"cut{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"cut\.\w+ \(.* bytes\) is truncated or not") as caught:
        read_adapter(file)
    assert "\n" not in str(caught.value)


def test_a_pickle_that_could_run_code_is_not_opened(tmp_path: Path) -> None:
    write_adapter(tmp_path / "lora", TINY, LORA)
    torch.save({"layers.0.attention.wq.lora_a": Path("x")}, tmp_path / "lora" / "foreign.pt")
    with pytest.raises(ValueError, match="holds more than plain tensors and was not opened"):
        read_adapter(tmp_path / "lora" / "foreign.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_diverged_adapter_is_refused(tmp_path: Path, value: float) -> None:
    state = write_adapter(tmp_path / "lora", TINY, LORA)
    state["layers.1.attention.wv.lora_b"][3, 2] = value
    save_file(state, tmp_path / "lora" / "adapter.safetensors")
    with pytest.raises(ValueError, match=r"layers\.1\.attention\.wv\.lora_b holds NaN or infinite"):
        read_adapter(tmp_path / "lora")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("layers.0.attention.wq.lora_a"), "1 tensors of the adapter are m"),
        (lambda state: state.update({"bias": torch.zeros(2)}), r"1 left over \(first \['bias'\]\)"),
    ],
)
def test_every_tensor_has_its_place(tmp_path: Path, change, problem: str) -> None:  # type: ignore[no-untyped-def]
    state = write_adapter(tmp_path / "lora", TINY, LORA)
    change(state)
    save_file(state, tmp_path / "lora" / "adapter.safetensors")
    with pytest.raises(ValueError, match=problem):
        read_adapter(tmp_path / "lora").check(TINY, Path("base"))


def test_targets_the_model_does_not_have_are_named(tmp_path: Path) -> None:
    write_adapter(tmp_path / "lora", TINY, LORA)
    LoraConfig(rank=4, alpha=8.0, targets=("wq", "q_proj")).write(tmp_path / "lora")
    with pytest.raises(ValueError, match="lora target 'q_proj' matches no linear layer"):
        read_adapter(tmp_path / "lora").check(TINY, Path("base"))


def test_adapter_of_other_weights_of_equal_shape_is_refused(tmp_path: Path) -> None:
    bases = [write_native(tmp_path / str(seed), TINY, seed=seed) for seed in (0, 1)]
    for base in bases:
        write_manifest(base, "native model")
    write_adapter(tmp_path / "lora", TINY, LoraConfig(rank=2))
    write_base_record(tmp_path / "lora", bases[0])
    adapter = read_adapter(tmp_path / "lora")
    adapter.check(TINY, bases[0])
    with pytest.raises(ValueError, match=r"was trained on weights with sha256 .* name the base"):
        adapter.check(TINY, bases[1])


def test_a_directory_of_peft_is_told_how_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(ValueError, match=r"holds an adapter of PEFT; .*scripts/import_adapter\.py"):
        read_adapter(tmp_path)


def test_a_model_without_its_adapter_is_the_base_again(tmp_path: Path) -> None:
    model = random_model(TINY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for lora in (LORA, LoraConfig(rank=2, alpha=1.0)):
        write_adapter(tmp_path / f"rank {lora.rank}", TINY, lora)
        read_adapter(tmp_path / f"rank {lora.rank}").attach(model)
        assert model.state_dict().keys() != before.keys()
        detach_adapter(model)
        after = model.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_the_base_of_a_checkpoint_is_where_it_lay(tmp_path: Path) -> None:
    write_base_record(tmp_path, Path("models/base"))
    assert base_directory(tmp_path) == "models/base"
    assert base_directory(tmp_path / "nowhere") is None
    (tmp_path / "base.json").write_text("{")
    with pytest.raises(ValueError, match=r"base\.json (cannot be read|is not JSON)"):
        base_directory(tmp_path)


def test_unknown_storage_of_a_base_is_refused(tmp_path: Path) -> None:
    write_base_record(tmp_path, Path("models/base"), "int8")
    with pytest.raises(ValueError, match="stored in int8, wanted one of nf4, nf4_double, fp8; it"):
        base_quantization(tmp_path)
