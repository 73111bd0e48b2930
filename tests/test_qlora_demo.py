"""QLoRA beside LoRA on the demo's base and data, each trained as `make demo` does it."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import ROOT

from scripts.run_demo import journey

NEEDED = ("convert_from_meta_weights", "clean_dataset", "generate_dataset", "build_dataset")


def run(command: str) -> None:
    done = subprocess.run(
        [sys.executable, *shlex.split(command)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def prepare(output: Path) -> str:
    """Convert the demo's base and build its dataset; return the command that fine-tunes."""
    commands = [stage.command for stage in journey(output)]
    [finetune] = [command for command in commands if command.startswith("finetune.py")]
    for command in commands[: commands.index(finetune)]:
        if any(name in command for name in NEEDED):
            run(command)
    return finetune


def last_loss(output: Path, name: str) -> float:
    lines = (output / "logs" / name / "metrics.jsonl").read_text().splitlines()
    loss: float = [row for row in map(json.loads, lines) if row["kind"] == "validation"][-1]["loss"]
    return loss


@pytest.mark.long
def test_qlora_on_the_demo_is_within_2_percent_of_lora(tmp_path: Path):
    finetune = prepare(tmp_path) + " --validation.generated=null --validation.best_metric=loss"
    run(f"{finetune} --name=lora")
    run(f"{finetune} --name=qlora --model.quantization=nf4_double")
    lora, qlora = (last_loss(tmp_path, name) for name in ("lora", "qlora"))
    assert qlora < 1.02 * lora, (qlora, lora)
