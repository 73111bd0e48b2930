"""Variants of LoRA through the whole of a run: trained, saved, resumed, merged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from native_directories import write_adapter
from safetensors.torch import load_file
from tiny_models import TINY
from tiny_runs import settings_in

from model.attention import Documents
from model.lora.config import LoraConfig
from model.transformer import Transformer
from training.backends import NativeBackend
from weights.adapter import read_adapter
from weights.directory import load_model, open_weights
from weights.merge import merge_checkpoint
from weights.merge_base import open_base

if TYPE_CHECKING:
    from training.config import Config

Train = Callable[..., NativeBackend]
WITH_BIASES = replace(TINY, family="qwen2", qkv_bias=True)
TIED = replace(TINY, tied_embeddings=True)
VARIANTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "dora": (TINY, {"dora": True, "dropout": 0.2}, "lora_magnitude"),
    "ends": (TINY, {"targets": ["wq", "output", "tok_embeddings"]}, "lora_b"),
    "rows": (TINY, {"targets": ["wq"], "token_rows": [383, 5, 7]}, "token_rows"),
    "tied rows": (TIED, {"targets": ["wq"], "token_rows": [383, 5, 7]}, "token_rows"),
    "biases": (WITH_BIASES, {"biases": True}, "lora_bias"),
}


def settings_of(variant: str, workspace: Path, **changes: Any) -> "Config":
    model, lora, _ = VARIANTS[variant]
    make = settings_in(workspace, model)
    return make(lora={"rank": 4, "alpha": 8, **lora}, **changes)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(name, marks=() if name in ("dora", "tied rows") else pytest.mark.long)
        for name in VARIANTS
    ],
)
def test_a_variant_resumes_bit_for_bit_and_merges(
    variant: str, train_run: Train, tmp_path: Path
) -> None:
    config = settings_of(variant, tmp_path, schedule__total_steps=6)
    whole = train_run(config)
    state = load_file(config.run_dir / "final" / "adapter.safetensors")
    assert state.keys() == dict(whole.trained_state()).keys()
    two_steps = config.training.model_copy(update={"max_steps": 2})
    first = train_run(config.model_copy(update={"name": "again", "training": two_steps}))
    start = dict(first.trained_state())
    for name in (name for name in state if name.endswith(VARIANTS[variant][2])):
        assert (state[name] - start[name]).abs().max() > 1e-4, name
    train_run(config.model_copy(update={"name": "again"}), resume=True)
    again = load_file(config.run_dir.parent / "again" / "final" / "adapter.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())

    adapter = read_adapter(config.run_dir / "final")
    base = open_base(config.model.checkpoint_dir, adapter)
    assert merge_checkpoint(base, adapter, tmp_path / "merged").proof.weight_error <= 1


@pytest.mark.parametrize("variant", ["rows", "tied rows"])
def test_rows_of_other_tokens_stay_bit_equal(
    variant: str, train_run: Train, tmp_path: Path
) -> None:
    config = settings_of(variant, tmp_path)
    train_run(config)
    adapter = read_adapter(config.run_dir / "final")
    base = open_base(config.model.checkpoint_dir, adapter)
    merge_checkpoint(base, adapter, tmp_path / "merged")
    merged = open_weights(tmp_path / "merged")
    listed = torch.zeros(TINY.vocab_size, dtype=torch.bool)
    listed[[383, 5, 7]] = True
    for name in {"tok_embeddings.weight", "output.weight"} & merged.keys():
        same = (merged[name] == base.tensors[name]).all(1)
        assert torch.equal(same, ~listed), name
    tokens = torch.arange(384)
    with torch.no_grad():
        logits = [
            model(tokens, tokens, Documents([0, 384]))
            for model in (load_model(tmp_path / "merged"), attached(config))
        ]
    torch.testing.assert_close(*logits, atol=1e-5, rtol=0)


def attached(config: "Config") -> Transformer:
    model = load_model(config.model.checkpoint_dir)
    read_adapter(config.run_dir / "final").attach(model)
    return model.eval()


@pytest.mark.parametrize(
    ("lora", "problem"),
    [
        ({"token_rows": [384]}, "token_rows has 384, and the model's embedding 384 rows, 0 to 383"),
        ({"token_rows": [3], "targets": ["output"]}, "output is a target: leave one of them out"),
    ],
)
def test_rows_that_cannot_be_trained_are_refused(
    lora: dict[str, Any], problem: str, train_run: Train, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=problem):
        train_run(settings_in(tmp_path)(lora={"rank": 4, "alpha": 8, **lora}))


def test_biases_of_a_model_without_any_are_refused(train_run: Train, tmp_path: Path) -> None:
    config = settings_in(tmp_path)(lora={"rank": 4, "alpha": 8, "biases": True})
    with pytest.raises(ValueError, match=r"none of the adapted layers has a bias .*leave it out"):
        train_run(config)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_under_a_plain_lora_json_is_refused(variant: str, tmp_path: Path) -> None:
    """As an older version would write it, which knows no variants."""
    model, lora, _ = VARIANTS[variant]
    targets = tuple(lora.get("targets", ("wq",)))
    found = {name: value for name, value in lora.items() if name != "targets"}
    rows = {"token_rows": tuple(found["token_rows"])} if "token_rows" in found else {}
    write_adapter(tmp_path / "lora", model, LoraConfig(4, targets=targets, **{**found, **rows}))
    LoraConfig(4, targets=("wq",)).write(tmp_path / "lora")
    adapter = read_adapter(tmp_path / "lora")
    with pytest.raises(ValueError, match=r"left over \(first .*is lora\.json the one"):
        adapter.check(model, tmp_path)


def test_a_run_goes_on_with_the_same_variant_only(train_run: Train, tmp_path: Path) -> None:
    make = settings_in(tmp_path)
    config = make(lora={"rank": 4, "alpha": 8, "dora": True})
    train_run(config)
    start = {"name": "on", "model__adapter_dir": str(config.run_dir / "final")}
    other = make(lora={"rank": 4, "alpha": 8}, **start)
    with pytest.raises(ValueError, match=r"has dora = true, and lora\.dora is false"):
        train_run(other)
