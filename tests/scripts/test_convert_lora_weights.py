"""The merge as a user types it: flags, what is printed, and one line for what goes wrong."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import Outcome, run_command
from meta_directories import write_tiktoken_file
from native_directories import write_adapter, write_native
from safetensors.torch import load_file
from tiny_models import TINY

from model.lora.config import LoraConfig
from model.lora.layers import LoraLinear
from scripts.convert_lora_weights import main
from weights.adapter import write_base_record

ROOT = Path(__file__).parents[2]
CONFIG = replace(TINY, vocab_size=600)
LORA = LoraConfig(rank=4, alpha=8.0, targets=("wq", "wv"))
Merge = Callable[..., Outcome]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A base in bfloat16 and a LoRA checkpoint of it."""
    write_native(tmp_path / "base", CONFIG, torch.bfloat16)
    write_adapter(tmp_path / "lora", CONFIG, LORA)
    return tmp_path


@pytest.fixture
def merge(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Merge:
    """Run the script; keyword arguments add or replace flags, None leaves one out."""

    def command(**changes: object) -> Outcome:
        flags = {
            "--base-ckpt-path": workspace / "base",
            "--lora-ckpt-path": workspace / "lora",
            "--output-dir": workspace / "merged",
        } | {"--" + name.replace("_", "-"): value for name, value in changes.items()}
        arguments = [x for name, value in flags.items() if value is not None for x in (name, value)]
        return run_command(main, arguments, monkeypatch, capsys)

    return command


def merged_bytes(workspace: Path) -> bytes:
    return (workspace / "merged" / "consolidated.safetensors").read_bytes()


def test_the_proof_is_printed_and_stored(merge: Merge, workspace: Path) -> None:
    outcome = merge()
    assert (outcome.code, outcome.error) == (0, "")
    assert "bfloat16; 4 layers with the adapter merged in" in outcome.out
    record = json.loads((workspace / "merged" / "merge.json").read_text())
    error = record["proof"]["weight_error"]
    assert f"proven: 4 weights are base + adapter within {error:.2f} of what" in outcome.out
    assert "Logits" not in outcome.out and "logits" not in record
    following = outcome.out.split("Next:")[1]
    assert "chat_completion.py --ckpt-dir" in following
    assert "convert_to_hf_weights.py --ckpt-dir" in following


def test_the_logits_are_compared_on_request(merge: Merge, workspace: Path) -> None:
    outcome = merge(logits="true")
    assert (outcome.code, outcome.error) == (0, "")
    logits = json.loads((workspace / "merged" / "merge.json").read_text())["logits"]
    for figures in (logits["merge"], logits["adapter"]):
        assert f"{figures['mean']:.2e}" in outcome.out
        assert f"{figures['divergence']:.2e}" in outcome.out
    assert f"on {logits['probe_tokens']} probe tokens, float32" in outcome.out
    assert logits["merge"]["mean"] < logits["adapter"]["mean"]


def test_the_flags_of_the_original_work_as_printed_there(workspace: Path) -> None:
    """--config-dir with lora.json and params.json, a .pt of tensors, consolidated.pth as base."""
    (workspace / "state").mkdir()
    for name in ("lora.json", "params.json"):
        shutil.move(workspace / "lora" / name, workspace / "state" / name)
    state = load_file(workspace / "lora" / "adapter.safetensors")
    torch.save(state, workspace / "state" / "lora_state_consolidated.pt")
    result = subprocess.run(
        [
            sys.executable,
            "scripts/convert_lora_weights.py",
            "--config-dir",
            workspace / "state",
            "--base-ckpt-path",
            workspace / "base" / "consolidated.pth",
            "--lora-ckpt-path",
            workspace / "state" / "lora_state_consolidated.pt",
            "--output-dir",
            workspace / "merged",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "proven: 4 weights are base + adapter" in result.stdout
    assert (workspace / "merged" / "consolidated.safetensors").is_file()


def test_one_checkpoint_directory_serves_both_flags(merge: Merge, workspace: Path) -> None:
    merge()
    expected = merged_bytes(workspace)
    for flags in (
        {"config_dir": workspace / "lora"},
        {"config_dir": workspace / "lora", "lora_ckpt_path": None},
        {"lora_ckpt_path": workspace / "lora" / "adapter.safetensors"},
    ):
        shutil.rmtree(workspace / "merged")
        assert merge(**flags).code == 0
        assert merged_bytes(workspace) == expected


def test_without_a_tokenizer_random_tokens_are_compared(merge: Merge, workspace: Path) -> None:
    for folder in ("base", "lora"):
        (workspace / folder / "tokenizer.model").unlink()
    assert "on 128 probe tokens" in merge(logits="true").out


def test_an_adapter_lost_to_rounding_is_reported(merge: Merge, workspace: Path) -> None:
    write_adapter(workspace / "small", CONFIG, LORA, size=1e-5)
    small = {"lora_ckpt_path": workspace / "small"}
    assert "add --dtype float32 to keep so small an adapter" in merge(**small).out
    assert "note:" not in merge(**small, dtype="float32").out
    assert "note:" not in merge().out


def refused(outcome: Outcome, workspace: Path) -> str:
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.error.count("\n") == 1
    names = [path.name for path in workspace.iterdir()]
    assert not [name for name in names if "merged" in name or "partial" in name]
    return outcome.error


def test_a_wrong_merge_exits_with_1_and_leaves_nothing(
    merge: Merge, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = LoraLinear.merged

    def nothing_added(layer, weight, rows=slice(None)):  # type: ignore[no-untyped-def]
        in_the_proof = weight.dtype == torch.float64
        return right(layer, weight, rows) if in_the_proof else weight

    monkeypatch.setattr(LoraLinear, "merged", nothing_added)
    assert "the merge is not proven, nothing was written" in refused(merge(), workspace)


def test_a_missing_checkpoint_flag_is_refused(merge: Merge, workspace: Path) -> None:
    problem = refused(merge(lora_ckpt_path=None), workspace)
    assert "name the LoRA checkpoint with --lora-ckpt-path" in problem


def remove_lora_json(workspace: Path) -> None:
    (workspace / "lora" / "lora.json").unlink()


def truncate_base(workspace: Path) -> None:
    file = workspace / "base" / "consolidated.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def truncate_adapter(workspace: Path) -> None:
    file = workspace / "lora" / "adapter.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def take_another_models_adapter(workspace: Path) -> None:
    shutil.rmtree(workspace / "lora")
    write_adapter(workspace / "lora", replace(CONFIG, dim=128), LORA)


def take_a_shorter_models_adapter(workspace: Path) -> None:
    take = replace(CONFIG, n_layers=1)
    shutil.rmtree(workspace / "lora")
    write_adapter(workspace / "lora", take, LORA)
    (workspace / "lora" / "params.json").unlink()


def take_another_tokenizer(workspace: Path) -> None:
    write_tiktoken_file(workspace / "base" / "tokenizer.model", 512)


def use_the_target_for_something_else(workspace: Path) -> None:
    (workspace / "out").mkdir()
    (workspace / "out" / "thesis.txt").write_text("years of work")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (remove_lora_json, "lora.json is missing; every LoRA checkpoint of finetune.py holds one"),
        (truncate_base, "is truncated or not a safetensors file"),
        (truncate_adapter, "is truncated or not a safetensors file"),
        (take_another_models_adapter, "was trained on another model: its dim is 128, and"),
        (take_a_shorter_models_adapter, "4 tensors of the adapter are missing"),
        (take_another_tokenizer, "has 512 tokens, and the model's embedding has 600 rows"),
        (use_the_target_for_something_else, "was not written by this command"),
    ],
)
def test_wrong_input_is_a_one_line_error(
    merge: Merge, workspace: Path, spoil: Callable[[Path], None], problem: str
) -> None:
    spoil(workspace)
    assert problem in refused(merge(output_dir=workspace / "out"), workspace)


def test_both_targets_of_a_quantized_base_are_printed(merge: Merge, workspace: Path) -> None:
    write_base_record(workspace / "lora", workspace / "base", "nf4_double")
    outcome = merge()
    assert (outcome.code, outcome.error) == (0, "")
    record = json.loads((workspace / "merged" / "merge.json").read_text())
    for target in ("original", "dequantized"):
        assert f"{record['targets'][target]['mean']:.2e}" in outcome.out
    assert "nearer to what was trained: dequantized; merged into: dequantized" in outcome.out
    assert "merged into: original" in merge(target="original").out
