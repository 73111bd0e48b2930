"""What a run's directory holds, whoever wrote it, in the order of the steps."""

import json
from pathlib import Path

import pytest
from native_directories import write_adapter, write_native
from tiny_models import TINY
from zero_runs import NOT_SHARDED, SHARDED, Kind, ShardedRuns

from model.config import ModelConfig
from model.lora.config import LoraConfig
from storage.manifest import sha256_of_file, write_manifest
from weights.adapter import base_directory, read_adapter
from weights.run_directory import PROGRESS_FILE, saved_models

LORA = LoraConfig(rank=2, targets=("wq",))


def checkpoint(run: Path, name: str, step: int | None = None) -> Path:
    write_adapter(run / name, TINY, LORA)
    if step is not None:
        (run / name / PROGRESS_FILE).write_text(json.dumps({"step": step}))
    return run / name


def names(run: Path) -> list[tuple[str, int | None]]:
    return [(model.directory.name, model.step) for model in saved_models(run)]


def test_checkpoints_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    checkpoint(tmp_path, "kept by hand")
    checkpoint(tmp_path, "final", 1000)
    checkpoint(tmp_path, "best", 200)
    for step in ("step-1000", "step-000200", "step-90"):
        checkpoint(tmp_path, step)
    assert names(tmp_path) == [
        ("step-90", 90),
        ("step-000200", 200),
        ("best", 200),
        ("step-1000", 1000),
        ("final", 1000),
        ("kept by hand", None),
    ]


def test_damaged_half_written_and_foreign_directories_are_left_out(tmp_path: Path) -> None:
    for name in ("step-10", "step-20.damaged", ".step-30.removed", ".step-40.abc.partial"):
        checkpoint(tmp_path, name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "latest").write_text("step-10")
    assert names(tmp_path) == [("step-10", 10)]


def test_a_directory_of_weights_is_itself_the_checkpoint(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, "final", 7)
    assert names(path) == [("final", 7)]
    (whole,) = saved_models(write_native(tmp_path / "merged", TINY))
    assert not whole.is_adapter and whole.sha256() == sha256_of_file(whole.file)


@pytest.mark.parametrize("content", ["", "[]", '{"step": null}'])
def test_a_damaged_step_is_none(tmp_path: Path, content: str) -> None:
    (checkpoint(tmp_path, "best") / PROGRESS_FILE).write_text(content)
    assert names(tmp_path) == [("best", None)]


def test_a_step_that_changed_since_it_was_written_is_told(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, "best", 7)
    write_manifest(path, "checkpoint")
    (saved,) = saved_models(tmp_path)
    saved.check_step()
    (path / PROGRESS_FILE).write_text('{"step": 5}')
    with pytest.raises(ValueError, match=r"progress.json differs from its sha256"):
        saved.check_step()


def test_an_adapter_that_changed_since_it_was_written_is_told(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, "step-1")
    write_manifest(path, "checkpoint")
    (saved,) = saved_models(tmp_path)
    assert saved.sha256() == sha256_of_file(path / "adapter.safetensors")
    (path / "adapter.safetensors").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"is damaged: its sha256 is .* take another checkpoint"):
        saved.sha256()
    (path / "adapter.safetensors").unlink()
    (missing,) = saved_models(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no adapter\.safetensors"):
        missing.sha256()


def test_what_holds_no_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist; wanted a run's directory"):
        saved_models(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        saved_models(tmp_path)


@pytest.mark.parametrize("kind", [NOT_SHARDED, *SHARDED], ids=lambda kind: kind.name)
def test_a_run_of_many_ranks_holds_gathered_weights(sharded_runs: ShardedRuns, kind: Kind) -> None:
    found = saved_models(sharded_runs.run(kind))
    names = [model.directory.name for model in found]
    assert names == ["step-000002", "step-000004", "best", "final"]
    for model in found:
        assert model.is_adapter == (kind.trained == "lora")
        assert model.sha256() == sha256_of_file(model.file)
        assert base_directory(model.directory) == str(sharded_runs.base)
        if model.is_adapter:
            adapter = read_adapter(model.directory)
            adapter.check(ModelConfig.read(sharded_runs.base), sharded_runs.base)
