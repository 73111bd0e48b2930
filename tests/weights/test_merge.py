"""A merged directory holds exactly base + adapter, written whole or not at all."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from native_directories import write_adapter, write_native
from safetensors.torch import load_file
from tiny_models import LLAMA3_SHAPES, TINY

import weights.directory
import weights.merge
from model.attention import Documents
from model.config import ModelConfig
from model.lora.adapter import add_lora, load_adapter
from model.lora.config import LoraConfig
from model.lora.layers import LoraLinear
from storage.manifest import damaged_files, read_manifest, write_manifest
from weights.adapter import read_adapter
from weights.directory import load_model, open_weights
from weights.merge import MERGE_FILE, Merged, merge_checkpoint
from weights.merge_base import open_base

LORA = LoraConfig(rank=4, alpha=8.0, targets=("wq", "wv", "w2"))


def merge_in(
    tmp_path: Path, dtype: str | None = None, base: str = "base", lora: str = "lora"
) -> Merged:
    adapter = read_adapter(tmp_path / lora)
    return merge_checkpoint(
        open_base(tmp_path / base, adapter), adapter, tmp_path / "merged", dtype
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A base in bfloat16 and an adapter for it."""
    write_native(tmp_path / "base", TINY, torch.bfloat16)
    write_adapter(tmp_path / "lora", TINY, LORA)
    return tmp_path


OWN_SCALES = replace(LORA, rslora=True, ranks=(("wv", 2),), alphas=(("layers.0.*.w2", 3.0),))


@pytest.mark.parametrize("lora", [LORA, OWN_SCALES], ids=["one scale", "own scales"])
@pytest.mark.parametrize("shape", LLAMA3_SHAPES)
def test_the_merged_model_answers_as_base_and_adapter_do(
    shape: str, lora: LoraConfig, tmp_path: Path
) -> None:
    config = LLAMA3_SHAPES[shape]
    write_native(tmp_path / "base", config, torch.float32)
    state = write_adapter(tmp_path / "lora", config, lora, size=0.3)
    done = merge_in(tmp_path)
    unmerged, merged = load_model(tmp_path / "base"), load_model(tmp_path / "merged")
    tokens, positions = torch.arange(3, 43), torch.arange(40)
    with torch.no_grad():
        plain = unmerged(tokens, positions, Documents([0, 40]))
        add_lora(unmerged, lora)
        load_adapter(unmerged, state)
        expected = unmerged(tokens, positions, Documents([0, 40]))
        found = merged(tokens, positions, Documents([0, 40]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (expected - plain).abs().max() > 0.1
    assert done.proof.weight_error <= 1


def test_only_targeted_weights_change_and_dtype_and_order_stay(workspace: Path) -> None:
    merge_in(workspace)
    base, merged = open_weights(workspace / "base"), open_weights(workspace / "merged")
    assert list(merged) == list(base)
    assert {tensor.dtype for tensor in merged.values()} == {torch.bfloat16}
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert len(changed) == 3 * TINY.n_layers
    assert {name.split(".")[-2] for name in changed} == {"wq", "wv", "w2"}


def test_another_dtype_is_rounded_once_from_float32(workspace: Path) -> None:
    merge_in(workspace, dtype="float32")
    merged, base = open_weights(workspace / "merged"), open_weights(workspace / "base")
    assert {tensor.dtype for tensor in merged.values()} == {torch.float32}
    state = load_file(workspace / "lora" / "adapter.safetensors")
    name = "layers.1.attention.wv"
    a, b = (state[f"{name}.lora_{side}"].double() for side in "ab")
    exact = base[f"{name}.weight"].double() + LORA.scale_of(name) * b @ a
    torch.testing.assert_close(merged[f"{name}.weight"].double(), exact, atol=1e-7, rtol=0)


def test_merged_directory_is_native_and_holds_its_proof(workspace: Path) -> None:
    done = merge_in(workspace)
    names = sorted(path.name for path in done.directory.iterdir())
    assert names == [
        "chat_format.json",
        "consolidated.safetensors",
        "manifest.json",
        "merge.json",
        "params.json",
        "tokenizer.model",
    ]
    assert read_manifest(done.directory)["kind"] == "merged model"
    assert damaged_files(done.directory) == []
    assert ModelConfig.read(done.directory) == TINY
    record = json.loads((done.directory / MERGE_FILE).read_text())
    assert record["proof"] == asdict(done.proof)
    assert record["proof"]["merged_weights"] == 3 * TINY.n_layers
    assert "logits" not in record
    assert record["lora"]["rank"] == LORA.rank
    assert len(record["adapter_sha256"]) == 64


def test_merging_again_writes_the_same_bytes(workspace: Path) -> None:
    merge_in(workspace)
    before = {path.name: path.read_bytes() for path in (workspace / "merged").iterdir()}
    merge_in(workspace)
    assert {path.name: path.read_bytes() for path in (workspace / "merged").iterdir()} == before


def test_a_base_without_params_and_tokenizer_takes_the_checkpoints(workspace: Path) -> None:
    (workspace / "base" / "params.json").unlink()
    (workspace / "base" / "tokenizer.model").unlink()
    merge_in(workspace)
    assert (workspace / "merged" / "tokenizer.model").is_file()
    assert ModelConfig.read(workspace / "merged") == TINY


def test_the_older_consolidated_pth_may_be_the_base(workspace: Path) -> None:
    merge_in(workspace)
    expected = (workspace / "merged" / "consolidated.safetensors").read_bytes()
    tensors = load_file(workspace / "base" / "consolidated.safetensors")
    (workspace / "base" / "consolidated.safetensors").unlink()
    torch.save(dict(sorted(tensors.items())), workspace / "base" / "consolidated.pth")
    merge_in(workspace, base="base/consolidated.pth")
    merged = open_weights(workspace / "merged")
    (workspace / "first.safetensors").write_bytes(expected)
    for name, tensor in load_file(workspace / "first.safetensors").items():
        assert torch.equal(merged[name], tensor)


def test_a_wrong_merge_is_refused_and_leaves_nothing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = LoraLinear.merged

    def wrong(layer, weight, rows=slice(None)):  # type: ignore[no-untyped-def]
        in_the_proof = weight.dtype == torch.float64
        return right(layer, weight, rows) + (0 if in_the_proof else 1.5) * weight

    monkeypatch.setattr(LoraLinear, "merged", wrong)
    with pytest.raises(ValueError, match="the merge is not proven, nothing was written: layers"):
        merge_in(workspace)
    assert sorted(path.name for path in workspace.iterdir()) == ["base", "lora"]


def test_a_merge_that_does_not_read_back_is_refused(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(file, layout, tensors, advance):  # type: ignore[no-untyped-def]
        changed = ((n, t + 0.01 if n == "norm.weight" else t) for n, t in tensors)
        weights.directory.write_safetensors(file, layout, changed, advance)

    monkeypatch.setattr(weights.merge, "write_safetensors", faulty)
    with pytest.raises(OSError, match=r"norm\.weight does not read back as it was written"):
        merge_in(workspace)
    assert not (workspace / "merged").exists()


def test_the_base_is_never_written_over(workspace: Path) -> None:
    adapter = read_adapter(workspace / "lora")
    before = (workspace / "base" / "consolidated.safetensors").read_bytes()
    write_manifest(workspace / "base", "native model")
    with pytest.raises(FileExistsError, match="holds 'native model', and this command writes"):
        merge_checkpoint(open_base(workspace / "base", adapter), adapter, workspace / "base")
    assert (workspace / "base" / "consolidated.safetensors").read_bytes() == before


OTHER_SHAPES = [
    ({"dim": 128}, "its dim is 128, and .* has 64"),
    ({"n_layers": 3}, "its n_layers is 3, and .* has 2"),
    ({"rope_theta": 10000.0}, "its rope_theta is 10000.0, and .* has 500000.0"),
    ({"family": "mistral", "dim": 128}, "its family is mistral, and .* has llama"),
]


@pytest.mark.parametrize(("change", "problem"), OTHER_SHAPES)
def test_the_adapter_of_another_model_is_refused(
    workspace: Path, change: dict[str, Any], problem: str
) -> None:
    write_adapter(workspace / "other", replace(TINY, **change), LORA)
    with pytest.raises(ValueError, match=problem):
        merge_in(workspace, lora="other")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"dim": 128}, r"does not fit .*lora_a has shape \[4, 128\], wanted \[4, 64\]"),
        ({"n_layers": 3}, r"0 tensors of the adapter are missing .* and 6 left over"),
        ({"n_layers": 1}, r"6 tensors of the adapter are missing .* and 0 left over"),
    ],
)
def test_without_params_the_shapes_tell_it(
    workspace: Path, change: dict[str, int], problem: str
) -> None:
    write_adapter(workspace / "other", replace(TINY, **change), LORA)
    (workspace / "other" / "params.json").unlink()
    with pytest.raises(ValueError, match=problem):
        merge_in(workspace, lora="other")


def test_an_unknown_dtype_is_named(workspace: Path) -> None:
    with pytest.raises(ValueError, match="dtype is 'fp8', wanted one of bfloat16, float16"):
        merge_in(workspace, dtype="fp8")


def test_a_full_disk_is_told_before_any_work(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(workspace)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OSError, match=r"needs .*B and its disk has 1\.0 kB free"):
        merge_in(workspace)
