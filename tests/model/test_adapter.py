"""An adapter is read from where a user has it, and what is wrong with it is one clear line."""

from pathlib import Path

import pytest
import torch
from native_directories import write_adapter, write_native
from safetensors.torch import save_file
from tiny_models import TINY

from model.adapter import read_adapter, write_base_record
from model.lora import LoraConfig
from storage.manifest import write_manifest

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


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing does not exist; wanted a LoRA checkpoint"):
        read_adapter(tmp_path / "nothing")


def test_a_run_directory_points_to_its_final_checkpoint(tmp_path: Path) -> None:
    write_adapter(tmp_path / "run" / "final", TINY, LORA)
    with pytest.raises(FileNotFoundError, match=r"has no adapter\.safetensors; did you mean .*fin"):
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


def test_an_adapter_of_other_weights_of_the_same_shape_is_refused(tmp_path: Path) -> None:
    bases = [write_native(tmp_path / str(seed), TINY, seed=seed) for seed in (0, 1)]
    for base in bases:
        write_manifest(base, "native model")
    write_adapter(tmp_path / "lora", TINY, LoraConfig(rank=2))
    write_base_record(tmp_path / "lora", bases[0])
    adapter = read_adapter(tmp_path / "lora")
    adapter.check(TINY, bases[0])
    with pytest.raises(ValueError, match=r"was trained on weights with sha256 .* name the base"):
        adapter.check(TINY, bases[1])
