"""Launches that fail, ranks that die, runs that go on with as many ranks or with others."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import torch
from launches import ROOT, environment, launch, launch_command
from safetensors.torch import load_file
from tiny_runs import settings_in

from storage.manifest import damaged_files

ZERO_3 = {"zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0}}


class Workspace(NamedTuple):
    """Settings files over one tiny model and dataset."""

    path: Path
    make: Any

    def config_file(self, **changes: Any) -> Path:
        config = self.make(**{"deepspeed_config": ZERO_3, **changes})
        file = self.path / f"{config.name}.config.json"
        file.write_text(config.model_dump_json())
        return file

    def run_dir(self, name: str) -> Path:
        return self.path / "checkpoints" / name

    def adapter(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.run_dir(name) / "final" / "adapter.safetensors")

    def losses(self, name: str) -> dict[int, float]:
        lines = (self.path / "logs" / name / "metrics.jsonl").read_text().splitlines()
        rows = map(json.loads, lines)
        return {row["step"]: row["loss"] for row in rows if row["kind"] == "train"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    path = tmp_path_factory.mktemp("ranks")
    return Workspace(path, settings_in(path))


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


LONG: dict[str, Any] = {
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.2},
    "training__epochs": 20,
    "training__max_steps": 60,
    "validation__every": None,
}


@pytest.fixture(scope="module")
def killed(workspace: Workspace) -> tuple[int, float, str]:
    """A run of 60 steps whose rank 1 is killed at work: exit code, seconds to the end, errors."""
    return kill(workspace, "killed", victim=1, ranks=2)


def kill(workspace: Workspace, name: str, victim: int, ranks: int) -> tuple[int, float, str]:
    """Start a run, kill one of its ranks at work, and wait for the end."""
    file = workspace.config_file(name=name, **LONG)
    command = launch_command(ranks, "ds_finetune.py", "--config-file", file)
    job = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: (workspace.run_dir(name) / "step-000004").is_dir(), job)
        [process] = [
            process
            for process in psutil.Process(job.pid).children(recursive=True)
            if {"ds_finetune.py", f"--local_rank={victim}"} <= set(process.cmdline())
        ]
        process.send_signal(signal.SIGKILL)
        start = time.monotonic()
        _, stderr = job.communicate(timeout=60)
        return job.returncode, time.monotonic() - start, stderr
    finally:
        job.kill()


def wait_for(condition: Any, job: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 200
    while not condition():
        assert job.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_rank_ends_the_job_and_is_named(killed: tuple[int, float, str]) -> None:
    code, seconds, stderr = killed
    assert code != 0
    assert seconds < 60
    [said] = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert "rank 1 (process " in said and "died" in said and "--resume" in said


@pytest.mark.long
def test_a_killed_rank_0_is_reported_once_by_the_others(
    workspace: Workspace,
) -> None:
    code, _, stderr = kill(workspace, "first", victim=0, ranks=3)
    assert code != 0
    [said] = stderr.splitlines()
    assert said.startswith("error: rank 0 (process ") and "--resume" in said


@pytest.mark.long
def test_a_killed_run_resumes_to_the_same_weights_and_losses(
    workspace: Workspace, killed: tuple[int, float, str]
) -> None:
    run_dir = workspace.run_dir("killed")
    assert not (run_dir / "final").exists(), "the run was killed before its end"
    steps = sorted(run_dir.glob("step-*"))
    assert steps and all(damaged_files(step) == [] for step in steps)
    whole = workspace.config_file(name="whole", **LONG)
    assert launch(2, "ds_finetune.py", "--config-file", whole).returncode == 0
    for part in ("checkpoints", "logs"):
        shutil.copytree(workspace.path / part / "killed", workspace.path / part / "fewer")
    resumed = workspace.config_file(name="killed", **LONG)
    assert launch(2, "ds_finetune.py", "--config-file", resumed, "--resume").returncode == 0
    found, wanted = workspace.adapter("killed"), workspace.adapter("whole")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert workspace.losses("killed") == workspace.losses("whole")


@pytest.mark.long
@pytest.mark.parametrize("stage", [2, 3])
def test_qlora_on_ranks_resumes_to_the_same_weights_and_losses(
    workspace: Workspace, stage: int
) -> None:
    zero = {"zero_optimization": {"stage": stage, "stage3_param_persistence_threshold": 0}}

    def train(name: str, steps: int, *flags: str) -> None:
        file = workspace.config_file(
            name=f"{name}-{stage}",
            deepspeed_config=zero,
            model__quantization="nf4_double",
            model__dtype="bfloat16",
            lora=LONG["lora"],
            schedule={"kind": "constant"},
            training__max_steps=steps,
        )
        assert launch(2, "ds_finetune.py", "--config-file", file, *flags).returncode == 0

    train("qlora-whole", 6)
    train("qlora", 4)
    train("qlora", 6, "--resume")
    found, wanted = (workspace.adapter(f"{name}-{stage}") for name in ("qlora", "qlora-whole"))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert workspace.losses(f"qlora-{stage}") == workspace.losses(f"qlora-whole-{stage}")


@pytest.mark.long
def test_another_number_of_ranks_resumes_with_the_same_samples(
    workspace: Workspace, killed: tuple[int, float, str]
) -> None:
    """Dropout draws differ between ranks, so the run that is continued has none."""
    short = {"name": "two", "training__max_steps": 4, "schedule": {"kind": "constant"}}
    file = workspace.config_file(**short)
    assert launch(2, "ds_finetune.py", "--config-file", file).returncode == 0
    for part in ("checkpoints", "logs"):
        shutil.copytree(workspace.path / part / "two", workspace.path / part / "one")
    longer = {**short, "training__max_steps": 8, "training__epochs": 2}
    two = workspace.config_file(**longer)
    one = workspace.config_file(**{**longer, "name": "one"})
    assert launch(2, "ds_finetune.py", "--config-file", two, "--resume").returncode == 0
    assert launch(1, "ds_finetune.py", "--config-file", one, "--resume").returncode == 0
    found, wanted = workspace.losses("one"), workspace.losses("two")
    assert list(found) == list(range(1, 9))
    assert found == pytest.approx(wanted, abs=1e-5)
    left = {path.name for path in workspace.run_dir("one").iterdir()}
    assert left == {path.name for path in workspace.run_dir("two").iterdir()}


@pytest.mark.long
def test_two_ranks_train_an_adapter_further_until_patience_ends(workspace: Workspace) -> None:
    first = workspace.config_file(name="first_adapter", training__max_steps=2)
    assert launch(2, "ds_finetune.py", "--config-file", first).returncode == 0
    further = workspace.config_file(
        name="further",
        model__adapter_dir=str(workspace.run_dir("first_adapter") / "final"),
        schedule={"learning_rate": 1e-30, "warmup_steps": 0},
        validation={"every": 1, "patience": 2},
    )
    assert launch(2, "ds_finetune.py", "--config-file", further).returncode == 0
    final = workspace.run_dir("further") / "final"
    assert json.loads((final / "progress.json").read_text())["step"] == 3
    found, wanted = workspace.adapter("further"), workspace.adapter("first_adapter")
    assert any(wanted[name].any() for name in wanted if name.endswith("lora_b"))
    assert all(torch.allclose(found[name], wanted[name], rtol=0, atol=1e-20) for name in wanted)


@pytest.mark.long
def test_a_mistake_on_all_ranks_is_reported_once(workspace: Workspace) -> None:
    file = workspace.config_file(name="few", training__batch_size=1)
    done = launch(2, "ds_finetune.py", "--config-file", file)
    assert done.returncode == 1
    [said] = errors(done)
    assert "training.batch_size is 1 conversations a step for 2 ranks" in said


@pytest.mark.long
@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--training.batch_sise=4"], 2, "did you mean --training.batch_size?"),
        (["resume"], 2, "resume"),
    ],
)
def test_a_wrong_flag_is_reported_once(
    workspace: Workspace, flags: list[str], code: int, message: str
) -> None:
    file = workspace.config_file(name="flags")
    done = launch(2, "ds_finetune.py", "--config-file", file, *flags)
    assert done.returncode == code
    [said] = errors(done)
    assert message in said


@pytest.mark.long
def test_a_missing_gpu_is_reported_once(workspace: Workspace) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    file = workspace.config_file(name="nogpu", model__device="auto")
    done = launch(2, "ds_finetune.py", "--config-file", file)
    assert done.returncode == 1
    [said] = errors(done)
    assert "torch sees no CUDA device" in said and "--model.device=cpu" in said


def run_one(file: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "ds_finetune.py", "--config-file", str(file)]
    return subprocess.run(
        command, cwd=ROOT, env=environment(**variables), capture_output=True, text=True, timeout=120
    )


def test_a_port_in_use_is_reported_with_another_to_use(workspace: Workspace) -> None:
    with socket.socket() as bound:
        bound.bind(("", 0))
        bound.listen()
        port = bound.getsockname()[1]
        done = run_one(
            workspace.config_file(name="port"),
            RANK="0",
            LOCAL_RANK="0",
            WORLD_SIZE="1",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
        )
    assert done.returncode == 1
    [said] = errors(done)
    assert f"port {port} of " in said and f"--master_port {port + 1}" in said


def test_starting_without_a_launcher_names_the_command(workspace: Workspace) -> None:
    done = run_one(workspace.config_file(name="alone"))
    assert done.returncode == 1
    [said] = errors(done)
    assert "RANK is not set" in said and "deepspeed --num_gpus=8 ds_finetune.py" in said


@pytest.mark.long
def test_ranks_save_and_end_when_the_launcher_ends(workspace: Workspace) -> None:
    """SIGTERM ends the launcher at once; the ranks it started must end too."""
    longer = {**LONG, "training__max_steps": 600, "training__epochs": 200, "checkpoint__every": 500}
    file = workspace.config_file(name="left", **longer)
    command = launch_command(2, "ds_finetune.py", "--config-file", file)
    # Files and not pipes: the ranks outlive the launcher, and would hold a pipe open.
    with (workspace.path / "left.out").open("w") as out:
        job = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=out, stderr=out)
        metrics = workspace.path / "logs" / "left" / "metrics.jsonl"
        wait_for(lambda: metrics.is_file() and metrics.read_text().count("\n") > 2, job)
        ranks = [
            p for p in psutil.Process(job.pid).children(True) if "ds_finetune.py" in p.cmdline()
        ]
        job.terminate()
        job.wait(timeout=60)
        _, alive = psutil.wait_procs(ranks, timeout=60)
    assert alive == []
    assert "stopped by SIGTERM and saved after step" in (workspace.path / "left.out").read_text()
    [step] = workspace.run_dir("left").glob("step-*")
    assert damaged_files(step) == []
