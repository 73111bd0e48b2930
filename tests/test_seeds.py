"""The command lines of two projects that this one follows run as they were printed.

The first is the base project's README, word for word: in a folder that looks like a clone of this
project, with tiny weights where it has Llama 3 8B. Of the other, tool_using.py, each command is
run as the commands here that do the same.
"""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from command_lines import ROOT
from commands import Outcome, run_command
from launches import environment, free_port

HOME = "home"
LLAMA = "~/models/Llama3/Llama-3-8B-Instruct"
PREPARE = (
    "python3 scripts/convert_from_meta_weights.py --llama3-dir "
    f"~/models/Llama3/Meta-Llama-3-8B-Instruct --output-dir {LLAMA}",
    "python3 scripts/clean_dataset.py --source-file "
    "~/datasets/function_calling/glaive-function-calling-v2.json --save-file "
    "./datasets/cleaned-glaive-function-calling-v2.json --remove-no-fc",
    "python3 scripts/build_dataset.py --source-file "
    "./datasets/cleaned-glaive-function-calling-v2.json --tokenizer-file "
    f"{LLAMA}/tokenizer.model --save-dir ./datasets/glaive-function-calling-v2",
)
TRAIN = "python3 finetune.py"
TRAIN_ON_MANY = "DS_SKIP_CUDA_CHECK=1 deepspeed --num_gpus=1 ds_finetune.py"
CONSOLIDATE = """\
mkdir ./checkpoints/converted_lora_state

cd ./checkpoints/ds_llama3_fc

python zero_to_fp32.py ./ ../converted_lora_state/lora_state_consolidated.pt


cp lora.json ../converted_lora_state/
cp params.json ../converted_lora_state/
"""
MERGE = (
    "python3 scripts/convert_lora_weights.py --config-dir ./checkpoints/converted_lora_state "
    f"--base-ckpt-path {LLAMA}/consolidated.pth --lora-ckpt-path "
    "./checkpoints/converted_lora_state/lora_state_consolidated.pt --output-dir "
    "./checkpoints/finetuned_merged"
)
USE = (
    "python3 chat_completion.py --ckpt_dir ./checkpoints/finetuned_merged/ --tokenizer_path "
    f"{LLAMA}/tokenizer.model",
    f"python3 chat_completion.py --ckpt_dir {LLAMA}  --tokenizer_path {LLAMA}/tokenizer.model",
    "python3 scripts/convert_to_meta_weights.py --config-file "
    "./checkpoints/finetuned_merged/params.json --ckpt-file "
    "./checkpoints/finetuned_merged/consolidated.pth --num-shards 1 --output-dir "
    "~/models/Llama3/FineTuned-FC-Llama-3-8B-Instruct",
)
# Settings that make a run of the printed commands short; the base project says to edit the file.
SHORT = {
    "model": {"checkpoint_dir": LLAMA, "dtype": "float32", "device": "cpu"},
    "training": {"batch_size": 2, "max_steps": 2, "micro_batch_tokens": 4096},
    "validation": {"every": 2, "max_conversations": 2, "best_metric": "loss", "generated": None},
}
DIALOGS = [{"tools": [], "messages": [{"role": "user", "content": "Hello"}]}]
Type = Callable[[str], Outcome]


def clone(folder: Path) -> Path:
    """Make a folder that looks like a clone of the project, and a home with what users have."""
    project, models = folder / "project", folder / HOME / "models" / "Llama3"
    (project / "configs").mkdir(parents=True)
    for name in ("scripts", "finetune.py", "ds_finetune.py", "chat_completion.py"):
        (project / name).symlink_to(ROOT / name)
    for name in ("finetune", "ds_finetune"):
        settings = json.loads((ROOT / f"configs/{name}.json").read_text())
        if "deepspeed_config" in settings:
            settings["deepspeed_config"] = {"zero_optimization": {"stage": 2}}
        (project / f"configs/{name}.json").write_text(json.dumps(settings | SHORT))
    (project / "configs/dialogs.json").write_text(json.dumps(DIALOGS))
    shutil.copytree(ROOT / "demo/base", models / "Meta-Llama-3-8B-Instruct")
    data = folder / HOME / "datasets/function_calling/glaive-function-calling-v2.json"
    data.parent.mkdir(parents=True)
    rows = json.loads((ROOT / "demo/glaive-sample.json").read_text(encoding="utf-8"))
    data.write_text(json.dumps(rows[:30]))
    return project


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Run a line in this process as a shell would start it in the working directory."""

    def run(line: str) -> Outcome:
        _, script, *arguments = shlex.split(line)
        expanded = [str(Path(a).expanduser()) if a.startswith("~/") else a for a in arguments]
        module = import_module(script.removesuffix(".py").replace("/", "."))
        return run_command(module.main, expanded, monkeypatch, capsys)

    return run


def test_the_base_projects_commands_run_as_printed(
    type_in: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = clone(tmp_path)
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path / HOME))
    # Without DeepSpeed the merge takes what the run itself saved; all else is as printed.
    merge = MERGE.replace("/lora_state_consolidated.pt", "").replace(
        "./checkpoints/converted_lora_state", "./checkpoints/llama3_fc/final"
    )
    for line in (*PREPARE, TRAIN, merge, *USE):
        ended = type_in(line)
        assert (ended.code, ended.error) == (0, ""), line
    assert (project / "datasets/cleaned-glaive-function-calling-v2.report.json").is_file()
    exported = tmp_path / HOME / "models/Llama3/FineTuned-FC-Llama-3-8B-Instruct"
    assert {"consolidated.00.pth", "params.json"} <= {path.name for path in exported.iterdir()}


@pytest.mark.long
def test_a_shell_runs_the_base_projects_commands_as_printed(tmp_path: Path) -> None:
    project = clone(tmp_path)
    # A port of its own, as other tests launch too; the line itself has none.
    home = environment(HOME=str(tmp_path / HOME), MASTER_PORT=str(free_port()))
    for line in (*PREPARE, TRAIN, TRAIN_ON_MANY, CONSOLIDATE, MERGE, *USE):
        ended = subprocess.run(
            ["bash", "-ec", line], cwd=project, env=home, capture_output=True, text=True
        )
        assert ended.returncode == 0, f"{line}: {ended.stderr}"
    board = subprocess.run(
        ["bash", "-c", "timeout 60 tensorboard --inspect --logdir ./logs"],
        cwd=project,
        env=home,
        capture_output=True,
        text=True,
    )
    assert board.returncode == 0 and "loss" in board.stdout


def test_tool_using_commands_have_equivalents_here(
    type_in: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generate only, custom training with checkpoints, the base model, all checkpoints."""
    project = clone(tmp_path)
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path / HOME))
    settings = (
        "--name=tool_using_model --checkpoint.output_dir=output --training.epochs=5 "
        "--schedule.learning_rate=1e-5 --checkpoint.every=1 --validation.every=1 "
        "--checkpoint.keep_last=10 --schedule.warmup_steps=1 --data.dataset_dir=./data/tokens"
    )
    compare = (
        "--checkpoint_dir output/tool_using_model --data_path data/tool_using_dataset.json "
        "--num_examples 2 --output_file checkpoint_evaluation.json --max_new_tokens 8"
    )
    for line in (
        PREPARE[0],
        "python scripts/generate_dataset.py --generate_only --num_examples 40",
        "python scripts/build_dataset.py --source-file data/tool_using_dataset.json "
        f"--tokenizer-file {LLAMA} --save-dir ./data/tokens",
        f"python scripts/evaluate.py --ckpt_dir {LLAMA} --data_path data/tool_using_dataset.json "
        "--num_examples 2 --max_new_tokens 8",
        f"python finetune.py {settings}",
        f"python scripts/evaluate_checkpoints.py {compare}",
    ):
        ended = type_in(line)
        assert (ended.code, ended.error) == (0, ""), line
    found = json.loads((project / "checkpoint_evaluation.json").read_text(encoding="utf-8"))
    assert found["about"]["temperature"] == 0.1
    assert {"base", "step-000001", "step-000002"} <= set(found["checkpoints"])
