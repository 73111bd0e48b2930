"""The export of an adapter as a user types it."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Outcome, run_command
from native_directories import write_adapter, write_native
from tiny_models import TINY

from model.lora.config import LoraConfig
from scripts.export_adapter import main
from weights.adapter import write_base_record
from weights.nf4.conversion import quantize_directory

ROOT = Path(__file__).parents[2]
LORA = LoraConfig(rank=4, alpha=8.0, targets=("wq", "wv"))
Export = Callable[..., Outcome]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A LoRA checkpoint."""
    write_adapter(tmp_path / "lora", TINY, LORA)
    return tmp_path


@pytest.fixture
def export(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Export:
    """Run the script on an adapter."""

    def command(lora: str = "lora", output: str = "out") -> Outcome:
        flags = ["--lora-ckpt-path", workspace / lora, "--output-dir", workspace / output]
        return run_command(main, flags, monkeypatch, capsys)

    return command


def test_the_script_exports_and_names_the_next_command(workspace: Path) -> None:
    command = ["scripts/export_adapter.py", "--lora-ckpt-path", workspace / "lora"]
    done = subprocess.run(
        [sys.executable, *command, "--output-dir", workspace / "out"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"PEFT adapter of a llama model in {workspace}/out: 4 layers, rank up to 4" in (
        done.stdout
    )
    assert f"--max-lora-rank 8 --lora-modules NAME={workspace}/out" in done.stdout
    names = {path.name for path in (workspace / "out").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "manifest.json"} < names


def test_dora_is_noted_for_vllm(export: Export, workspace: Path) -> None:
    write_adapter(workspace / "dora", TINY, replace(LORA, dora=True))
    outcome = export("dora")
    assert "note: it has magnitudes (DoRA), which PEFT reads and vLLM does not" in outcome.out
    assert "vllm serve" not in outcome.out


def test_an_export_replaces_an_earlier_one(export: Export, workspace: Path) -> None:
    assert export().code == export().code == 0


def test_layers_of_several_scales_are_noted_for_vllm(export: Export, workspace: Path) -> None:
    write_adapter(workspace / "mixed", TINY, replace(LORA, alphas=(("wv", 5.0),)))
    outcome = export("mixed")
    assert "note: it has layers of different scales, which PEFT reads and vLLM does not" in (
        outcome.out
    )
    assert "vllm serve" not in outcome.out
    assert "note:" not in export(output="plain").out


def remove_params(workspace: Path) -> None:
    (workspace / "lora" / "params.json").unlink()


def remove_adapter(workspace: Path) -> None:
    (workspace / "lora" / "adapter.safetensors").unlink()


def take_another_models_params(workspace: Path) -> None:
    write_adapter(workspace / "other", replace(TINY, n_layers=3), LORA)
    (workspace / "other" / "params.json").replace(workspace / "lora" / "params.json")


def take_a_whole_model(workspace: Path) -> None:
    remove_adapter(workspace)
    write_native(workspace / "base", TINY)
    (workspace / "base" / "consolidated.safetensors").rename(
        workspace / "lora" / "consolidated.safetensors"
    )


def use_the_target_for_something_else(workspace: Path) -> None:
    (workspace / "out").mkdir()
    (workspace / "out" / "thesis.txt").write_text("years of work")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (remove_params, "params.json is missing; copy it there from the base that the adapter"),
        (remove_adapter, "has no adapter.safetensors"),
        (take_another_models_params, "4 tensors of the adapter are missing"),
        (take_a_whole_model, "holds whole weights"),
        (use_the_target_for_something_else, "was not written by this command"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    export: Export, workspace: Path, spoil: Callable[[Path], None], problem: str
) -> None:
    spoil(workspace)
    before = sorted(workspace.iterdir())
    outcome = export()
    assert (outcome.code, outcome.out) == (1, "")
    assert problem in outcome.error and outcome.error.count("\n") == 1
    assert sorted(workspace.iterdir()) == before


def test_storage_of_a_quantized_base_is_printed_and_in_the_card(
    export: Export, workspace: Path
) -> None:
    write_base_record(workspace / "lora", workspace / "base", "nf4_double")
    outcome = export()
    assert "note: it was trained on a base in nf4_double; load its base with" in outcome.out
    assert "bnb_4bit_quant_type='nf4', bnb_4bit_use_double_quant=True)" in outcome.out
    card = (workspace / "out" / "README.md").read_text()
    assert "- bnb_4bit_use_double_quant: True" in card
    write_base_record(workspace / "lora", workspace / "base")
    assert "nf4" not in export().out
    assert not (workspace / "out" / "README.md").exists()


def test_exported_base_is_the_one_that_was_quantized(export: Export, workspace: Path) -> None:
    base = write_native(workspace / "base", TINY)
    quantize_directory(base, workspace / "nf4")
    write_base_record(workspace / "lora", workspace / "nf4", "nf4_double")
    export()
    settings = json.loads((workspace / "out" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(base)
