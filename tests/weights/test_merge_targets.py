"""An adapter of a quantised base is merged into what it was trained against, or the original."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from native_directories import write_adapter, write_native
from tiny_models import FAMILY_SHAPES
from torch import Tensor

from model.attention import Documents
from model.lora.config import LoraConfig
from model.lora.layers import LoraLinear
from model.nf4 import dequantize, quantize
from storage.manifest import write_manifest
from weights.adapter import read_adapter, write_base_record
from weights.building import is_linear_weight, quantize_on_arrival, quantized_linear
from weights.directory import load_model, open_weights
from weights.merge import MERGE_FILE, Merged, merge_checkpoint
from weights.merge_base import check_target, open_base
from weights.merge_logits import random_probes
from weights.nf4.conversion import quantize_directory

CONFIG = FAMILY_SHAPES["qwen2"]
LORA = LoraConfig(rank=4, alpha=8.0, targets=("wq", "w2"))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A base in bfloat16, the same in NF4, and an adapter that was trained on it quantised."""
    write_native(tmp_path / "base", CONFIG, torch.bfloat16)
    write_manifest(tmp_path / "base", "native model")
    quantize_directory(tmp_path / "base", tmp_path / "nf4")
    write_adapter(tmp_path / "lora", CONFIG, LORA)
    write_base_record(tmp_path / "lora", tmp_path / "base", "nf4_double")
    return tmp_path


def merge(folder: Path, base: str = "base", target: str | None = None, **options: str) -> Merged:
    adapter = read_adapter(folder / "lora")
    opened = open_base(folder / base, adapter, target)
    return merge_checkpoint(opened, adapter, folder / "merged", **options)


def delta(folder: Path, name: str) -> Tensor | None:
    state = open_weights(folder / "lora" / "adapter.safetensors")
    linear = name.removesuffix(".weight")
    if f"{linear}.lora_a" not in state:
        return None
    return (state[f"{linear}.lora_b"] @ state[f"{linear}.lora_a"]).mul(LORA.alpha / LORA.rank)


@pytest.mark.parametrize("dtype", [None, "float32"])
@pytest.mark.parametrize(
    ("base", "target"),
    [("base", None), ("base", "dequantized"), ("nf4", None), ("base", "original")],
)
def test_merged_weights_are_the_targets_plus_the_adapter(
    base: str, target: str | None, dtype: str | None, workspace: Path
) -> None:
    done = merge(workspace, base, target, **({} if dtype is None else {"dtype": dtype}))
    original, merged = open_weights(workspace / "base"), open_weights(workspace / "merged")
    assert merged.keys() == original.keys()
    for name, weight in original.items():
        start = weight
        if target != "original" and is_linear_weight(name):
            start = dequantize(quantize(weight), tuple(weight.shape), weight.dtype)
        added = delta(workspace, name)
        wanted = start if added is None else start.float() + added
        wanted = wanted.to(weight.dtype if dtype is None else torch.float32)
        assert torch.equal(merged[name], wanted), name
    assert done.proof.weight_error <= 1 and done.linears == 4


def test_adapter_of_a_base_in_fp8_is_merged_into_it_dequantized(workspace: Path) -> None:
    write_base_record(workspace / "lora", workspace / "base", "fp8")
    done = merge(workspace)
    original, merged = open_weights(workspace / "base"), open_weights(workspace / "merged")
    for name in filter(is_linear_weight, original):
        start, added = quantized_linear(original[name], "fp8"), delta(workspace, name)
        wanted = start.dequantized(torch.bfloat16)
        assert torch.equal(merged[name], wanted if added is None else (wanted + added).bfloat16())
    assert done.targets is not None and done.targets.original is not None
    assert done.targets.dequantized.mean < done.targets.original.mean


def test_proof_refuses_the_other_target(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = LoraLinear.merged
    other = open_weights(workspace / "base")

    def merged(layer: LoraLinear, weight: Tensor, rows: slice = slice(None)) -> Tensor:
        if weight.dtype == torch.float64:
            return right(layer, weight, rows)
        same = [w for w in other.values() if w.shape == weight.shape]
        return right(layer, min(same, key=lambda w: float((w - weight).abs().sum())), rows)

    monkeypatch.setattr(LoraLinear, "merged", merged)
    with pytest.raises(ValueError, match="the merge is not proven, nothing was written"):
        merge(workspace)


@pytest.mark.parametrize("target", ["original", "dequantized"])
def test_both_targets_are_measured_beside_what_was_trained(target: str, workspace: Path) -> None:
    done = merge(workspace, target=target)
    assert done.targets is not None and done.targets.original is not None
    place = quantize_on_arrival("cpu", torch.float32, "nf4_double")
    model = load_model(workspace / "base", place=place)
    read_adapter(workspace / "lora").attach(model)
    merged = load_model(workspace / "merged", dtype=torch.float32)
    gaps = []
    for probe in random_probes(CONFIG.vocab_size):
        tokens, places = torch.tensor(probe), torch.arange(len(probe))
        with torch.no_grad():
            logits = [m(tokens, places, Documents([0, len(probe)])) for m in (model, merged)]
        gaps.append((logits[0] - logits[1]).abs())
    found = getattr(done.targets, target)
    assert found.mean == pytest.approx(float(torch.cat(gaps).mean()), rel=1e-3)
    assert done.targets.nearer == "dequantized"
    assert 10 * done.targets.dequantized.mean < done.targets.original.mean
    record = json.loads((workspace / "merged" / MERGE_FILE).read_text())
    assert (record["target"], record["quantization"]) == (target, "nf4_double")
    assert record["targets"][target]["mean"] == found.mean


def test_both_targets_give_the_same_figures_whichever_is_written(workspace: Path) -> None:
    figures = {str(merge(workspace, base).targets) for base in ("base", "nf4")}
    assert figures == {str(merge(workspace, target="original").targets)}


def test_original_that_is_gone_is_left_out_of_the_figures(workspace: Path) -> None:
    (workspace / "base").rename(workspace / "moved")
    figures = merge(workspace, "nf4").targets
    assert figures is not None and figures.original is figures.nearer is None


def forget_quantization(folder: Path) -> None:
    write_base_record(folder / "lora", folder / "base")


def train_on_single(folder: Path) -> None:
    write_base_record(folder / "lora", folder / "base", "nf4")


def take_another_base(folder: Path) -> None:
    write_native(folder / "other", CONFIG, torch.bfloat16, seed=1)
    write_manifest(folder / "other", "native model")
    quantize_directory(folder / "other", folder / "nf4")


def change_nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "base", "target", "problem"),
    [
        (change_nothing, "base", "both", "--target is 'both', wanted one of original, dequantized"),
        (forget_quantization, "base", "original", "was not quantised, so there is one target"),
        (forget_quantization, "nf4", None, "whole ones are wanted; name those they were made of"),
        (change_nothing, "nf4", "original", "nf4_double; name those they were made of: --base-ckp"),
        (train_on_single, "nf4", None, "was trained on a base in nf4, and {}/nf4 holds nf4_double"),
        (take_another_base, "nf4", None, "was trained on weights with sha256"),
    ],
)
def test_contradictory_targets_are_one_line(
    spoil: Callable[[Path], None], base: str, target: str | None, problem: str, workspace: Path
) -> None:
    spoil(workspace)
    with pytest.raises(ValueError) as raised:
        merge(workspace, base, target)
    assert problem.format(workspace) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (workspace / "merged").exists()


def test_dora_of_a_quantized_base_is_not_merged_into_the_original(workspace: Path) -> None:
    adapter = read_adapter(workspace / "lora")
    adapter = replace(adapter, lora=replace(adapter.lora, dora=True))
    check_target(adapter, "dequantized")
    with pytest.raises(ValueError, match=r"is a DoRA adapter of a base in nf4_double.*dequantized"):
        check_target(adapter, "original")
