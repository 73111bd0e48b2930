"""A run that is stopped, or cannot go on, says how to go on, and ends where it would have ended."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from talking_runs import talking_in, write_talking_base
from torch import equal

import training.objective
from console.command import one_line
from inference.generate import Batch
from storage.atomic import directory_lock
from training.backends import NativeBackend
from training.config import Config

ROOT = Path(__file__).parents[2]
Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]
TIMED = ("reply_seconds", "tokens_per_second", "share_of_matmul_peak", "memory_gib")


def kill_at_call(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int) -> list[int]:
    """Send SIGTERM to this process at a call of a function; return the list of its calls."""
    calls: list[int] = []
    function = getattr(owner, name)

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(len(calls) + 1)
        if calls[-1] == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return function(*args, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


def left(config: Config) -> tuple[Any, ...]:
    """What a finished run left that does not depend on the clock, without its weights."""
    lines = map(json.loads, (config.log_dir / "metrics.jsonl").read_text().splitlines())
    rows = [{k: v for k, v in row.items() if k not in TIMED} for row in lines]
    records = [(config.run_dir / name / "progress.json").read_text() for name in ("best", "final")]
    return rows, records, sorted(path.name for path in config.run_dir.iterdir())


def check_same_end(one: Config, other: Config) -> None:
    assert left(one) == left(other)
    for name in ("best", "final"):
        found, wanted = (
            load_file(config.run_dir / name / "adapter.safetensors") for config in (one, other)
        )
        assert found.keys() == wanted.keys()
        assert all(equal(found[key], wanted[key]) for key in found)


# Of a run of six steps that validates after the third and the sixth.
@pytest.mark.parametrize(("batches_before", "step"), [(1, 3), (8, 6)])
def test_sigterm_ends_a_validation_and_the_run_goes_on_bit_for_bit(
    settings: Settings,
    train_run: Train,
    monkeypatch: pytest.MonkeyPatch,
    batches_before: int,
    step: int,
) -> None:
    config, whole = settings(), settings(name="whole")
    calls = kill_at_call(monkeypatch, training.objective, "loss_and_hits", batches_before + 1)
    with pytest.raises(InterruptedError, match=f"saved after step {step} of 6; .* --resume"):
        train_run(config)
    assert len(calls) == batches_before + 1, "no batch after the signal"
    monkeypatch.undo()
    train_run(config, resume=True)
    train_run(whole)
    check_same_end(config, whole)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_talking_base(tmp_path_factory.mktemp("talking") / "base")


def test_sigterm_ends_replies_and_the_run_goes_on_bit_for_bit(
    tmp_path: Path, base: Path, train_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated = {"prompts": 3, "max_new_tokens": 20, "batch_size": 2}
    make = talking_in(tmp_path, base)
    short: dict[str, Any] = {"training__max_steps": 4, "checkpoint__every": 2}
    short["validation"] = {"every": 2, "generated": generated}
    config, whole = make(**short), make(name="whole", **short)
    passes = kill_at_call(monkeypatch, Batch, "step", 3)
    with pytest.raises(InterruptedError, match="saved after step 2 of 4"):
        train_run(config)
    assert len(passes) == 3, "no pass after the signal"
    monkeypatch.undo()
    train_run(config, resume=True)
    train_run(whole)
    check_same_end(config, whole)


def test_a_resume_without_a_whole_checkpoint_names_what_is_in_the_way(
    settings: Settings, train_run: Train
) -> None:
    config = settings()
    train_run(config)
    (config.run_dir / "step-000004" / "state.safetensors").unlink()
    shutil.rmtree(config.run_dir / "step-000006")
    wanted = "remove step-000004, best, final there, or choose another --name, and start without"
    with pytest.raises(FileNotFoundError, match=wanted):
        train_run(config, resume=True)
    for name in ("step-000004", "best", "final"):
        shutil.rmtree(config.run_dir / name)
    train_run(config)


def test_best_alone_is_in_the_way_with_resume_and_without(
    settings: Settings, train_run: Train
) -> None:
    """As when a run is killed between its first validation and its first checkpoint."""
    config = settings()
    train_run(config)
    for path in (*config.run_dir.glob("step-*"), config.run_dir / "final"):
        shutil.rmtree(path)
    with pytest.raises(FileNotFoundError, match="remove best there, or choose another --name"):
        train_run(config, resume=True)
    with pytest.raises(FileExistsError, match=r"best is left .*; choose another --name, or remove"):
        train_run(config)


def test_two_runs_never_write_to_one_log_directory(
    settings: Settings, train_run: Train, tmp_path: Path
) -> None:
    config = settings(checkpoint__output_dir=str(tmp_path / "elsewhere"))
    config.log_dir.mkdir(parents=True)
    with (
        directory_lock(config.log_dir),
        pytest.raises(FileExistsError, match=f"{config.log_dir} is being written by another"),
    ):
        train_run(config)


def test_logs_and_checkpoints_may_lie_in_one_directory(
    settings: Settings, train_run: Train
) -> None:
    config = settings(logging__output_dir=settings().checkpoint.output_dir)
    train_run(config)
    assert config.log_dir == config.run_dir and (config.log_dir / "metrics.jsonl").is_file()


@pytest.mark.parametrize("most", [600, 20_000])
def test_a_log_that_cannot_grow_is_named_with_a_way_out(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str], most: int
) -> None:
    """At 600 bytes a line of metrics.jsonl does not fit, at 20,000 the weights do not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    config = settings()
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(OSError) as raised:
            train_run(config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    place = config.log_dir if most == 600 else config.run_dir / "step-000002"
    assert one_line(raised.value).startswith(f"{place}: File too large; make room, or write to")
    assert "Traceback" not in capsys.readouterr().err
    train_run(config, resume=False)


@pytest.mark.long
def test_training_goes_on_when_nobody_reads_its_output(settings: Settings, tmp_path: Path) -> None:
    config = settings(logging__every=1)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    line = f"{sys.executable} finetune.py --config-file {tmp_path}/config.json | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert done.stderr == "warning: stdout: Broken pipe; the run goes on without it\n"
    assert (config.run_dir / "final" / "adapter.safetensors").is_file()
