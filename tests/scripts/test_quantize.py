"""Quantising a base as a user types it, and what training and exports say to the result."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_lines import next_commands
from commands import Outcome, run_command
from native_directories import write_native
from tiny_models import TINY

from scripts import convert_to_hf_weights, convert_to_meta_weights
from scripts.quantize import main

Quantize = Callable[..., Outcome]


@pytest.fixture
def quantize(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Quantize:
    write_native(tmp_path / "base", TINY, torch.bfloat16)

    def command(*flags: object) -> Outcome:
        given = ["--ckpt-dir", tmp_path / "base", "--output-dir", tmp_path / "nf4", *flags]
        return run_command(main, given, monkeypatch, capsys)

    return command


def test_sizes_and_next_commands_are_printed(quantize: Quantize, tmp_path: Path) -> None:
    outcome = quantize()
    assert (outcome.code, outcome.error) == (0, "")
    assert "14 weights in nf4_double, 7 tensors as they were; read back and compared" in outcome.out
    train, chat = next_commands(outcome.out)
    assert f"--model.checkpoint_dir={tmp_path}/nf4 --model.quantization=nf4_double" in train
    assert f"chat_completion.py --ckpt-dir {tmp_path}/nf4" in chat
    assert quantize("--quantization", "nf4").code == 0


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--quantization", "int8"), "--quantization is 'int8', wanted one of nf4, nf4_double"),
        (("--output-dir", "base"), "was not written by this command"),
        (("--ckpt-dir", "nowhere"), "does not exist; wanted a model directory"),
    ],
)
def test_wrong_input_is_one_line(
    flags: tuple[str, str],
    problem: str,
    quantize: Quantize,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = quantize(*flags)
    assert (outcome.code, outcome.out) == (1, "")
    assert problem in outcome.error and outcome.error.count("\n") == 1


def test_exports_name_the_original_weights(
    quantize: Quantize,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quantize()
    stored, out = tmp_path / "nf4", ["--output-dir", tmp_path / "out"]
    meta = ["--config-file", stored, "--ckpt-file", stored, "--num-shards", 1, *out]
    for command, flags in (
        (convert_to_hf_weights.main, ["--ckpt-dir", stored, *out]),
        (convert_to_meta_weights.main, meta),
    ):
        outcome = run_command(command, flags, monkeypatch, capsys)
        assert outcome.code == 1 and outcome.error.count("\n") == 1
        assert f"name those they were made of: {tmp_path / 'base'}" in outcome.error
    assert not (tmp_path / "out").exists()
