"""Pickles of a checkpoint are checked before anything loads them."""

import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytest
import torch
from launches import launch
from torch.serialization import get_safe_globals
from zero_runs import Kind, ShardedRuns

from storage.manifest import write_manifest
from training.zero.shards import (
    RESTRICT,
    check_listed,
    check_own_pickles,
    joined_masters,
    known_classes_only,
)

SHARD = "zero_pp_rank_0_mp_rank_00_optim_states.pt"


class Burglar:
    """Pickles as a call that makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch {self.file}",)


class Looked:
    """Pickles as a call of getattr, as members of enums do before Python 3.11.4."""

    def __init__(self, owner: object, name: str) -> None:
        self.found = owner, name

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return getattr, self.found


def zip_archive(value: object, file: Path) -> None:
    torch.save(value, file)


def newer_protocol(value: object, file: Path) -> None:
    torch.save(value, file, pickle_protocol=4)


def older_layout(value: object, file: Path) -> None:
    torch.save(value, file, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("save", [zip_archive, newer_protocol, older_layout])
def test_a_pickle_that_would_run_code_is_refused_unopened(
    tmp_path: Path, save: Callable[[object, Path], None]
) -> None:
    save({"optimizer_state_dict": {"x": Burglar(tmp_path / "was-here")}}, tmp_path / SHARD)
    with pytest.raises(ValueError, match=rf"{SHARD} .* and was not opened") as refusal:
        check_own_pickles(tmp_path)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "was-here").exists()
    torch.load(tmp_path / SHARD, weights_only=False)
    assert (tmp_path / "was-here").exists(), "the file was dangerous"


def test_the_error_names_the_foreign_class(tmp_path: Path) -> None:
    torch.save({"x": Burglar(tmp_path / "was-here")}, tmp_path / SHARD)
    with pytest.raises(ValueError, match=r"names posix\.system, which no checkpoint of DeepSpeed"):
        check_own_pickles(tmp_path)


def test_every_pickle_of_a_checkpoint_is_checked_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    torch.save({"x": Burglar(tmp_path / "was-here")}, tmp_path / "inner" / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt names posix\.system"):
        check_own_pickles(tmp_path)


@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    torch.save({"x": torch.ones(300)}, tmp_path / SHARD)
    (tmp_path / SHARD).write_bytes((tmp_path / SHARD).read_bytes()[:kept])
    with pytest.raises(ValueError, match="is damaged or not a file of DeepSpeed's") as refusal:
        check_own_pickles(tmp_path)
    assert "\n" not in str(refusal.value)


def test_pickles_of_torch_and_deepspeed_pass(tmp_path: Path, sharded_runs: ShardedRuns) -> None:
    torch.save(OrderedDict(x=torch.ones(3), shape=torch.Size([2])), tmp_path / SHARD)
    check_own_pickles(tmp_path)
    check_own_pickles(sharded_runs.workspace / "checkpoints")


def test_torch_load_is_restricted_to_the_known_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second check, in case a file changes between the first and loading."""
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    torch.save({"x": Burglar(tmp_path / "was-here")}, tmp_path / SHARD)
    import_module("deepspeed")
    before = set(get_safe_globals())
    with known_classes_only(), pytest.raises(Exception, match="Weights only load failed"):
        torch.load(tmp_path / SHARD, weights_only=False)
    assert not (tmp_path / "was-here").exists()
    assert RESTRICT not in os.environ
    assert set(get_safe_globals()) == before


def test_an_earlier_restriction_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    monkeypatch.setenv(RESTRICT, "true")
    with known_classes_only():
        assert os.environ[RESTRICT] == "1"
    assert os.environ[RESTRICT] == "true"


def test_joining_prints_nothing(
    sharded_runs: ShardedRuns,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    masters = joined_masters(sharded_runs.run(Kind("lora", 3, "float32")) / "step-000004")
    assert all(master().dtype == torch.float32 for master in masters.values())
    assert len(masters) == 28
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_resuming_refuses_a_foreign_pickle_before_deepspeed_reads_it(
    sharded_runs: ShardedRuns, tmp_path: Path
) -> None:
    """A manifest proves that files are whole, not who wrote them."""
    kind = Kind("lora", 3, "float32")
    run = tmp_path / "checkpoints" / kind.name
    shutil.copytree(sharded_runs.run(kind), run)
    torch.save({"x": Burglar(tmp_path / "was-here")}, run / "step-000004" / SHARD)
    (run / "step-000004" / "manifest.json").unlink()
    write_manifest(run / "step-000004", "checkpoint")
    config = sharded_runs.workspace / "cases" / f"{kind.name}.json"
    done = launch(
        2,
        "ds_finetune.py",
        f"--config-file={config}",
        f"--checkpoint.output_dir={tmp_path / 'checkpoints'}",
        f"--logging.output_dir={tmp_path / 'logs'}",
        "--training.max_steps=5",
        "--resume",
    )
    assert done.returncode == 1
    assert f"{SHARD} names posix.system" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "was-here").exists()


def listed(step: Path, *names: str) -> Path:
    """Write a checkpoint's files and a manifest of them."""
    for name in names:
        (step / name).write_bytes(b"whole")
    write_manifest(step, "checkpoint")
    return step


STATES = ("rng-00000.safetensors", "rng-00001.safetensors")
OTHER_SHARD = SHARD.replace("rank_0", "rank_1", 1)


def test_a_checkpoint_that_lists_all_ranks_parts_passes(tmp_path: Path) -> None:
    check_listed(listed(tmp_path, SHARD, OTHER_SHARD, *STATES), 2, stage=3)


def test_a_shard_that_no_hash_stands_for_is_refused(tmp_path: Path) -> None:
    listed(tmp_path, SHARD, *STATES)
    (tmp_path / OTHER_SHARD).write_bytes(b"foreign")
    with pytest.raises(ValueError, match=rf"{OTHER_SHARD} is not listed in manifest.json, so"):
        check_listed(tmp_path, 2, stage=3)


@pytest.mark.parametrize("lacking", [OTHER_SHARD, STATES[1]])
def test_a_checkpoint_without_a_ranks_part_is_refused(tmp_path: Path, lacking: str) -> None:
    listed(tmp_path, *{SHARD, OTHER_SHARD, *STATES} - {lacking})
    with pytest.raises(ValueError, match=r"was written by 2 ranks, and manifest.json lists .* 1"):
        check_listed(tmp_path, 2, stage=1)


def test_stage_0_needs_no_parts_but_random_states(tmp_path: Path) -> None:
    check_listed(listed(tmp_path, "mp_rank_00_model_states.pt", *STATES), 2, stage=0)


def test_getattr_in_a_pickle_gives_members_of_known_enums_alone(tmp_path: Path) -> None:
    stages = import_module("deepspeed.runtime.zero.config").ZeroStageEnum
    for owner, name in ((stages, "weights"), (OrderedDict, "fromkeys"), (stages, "mro")):
        torch.save({"stage": Looked(owner, name)}, tmp_path / SHARD)
        check_own_pickles(tmp_path)
        with known_classes_only():
            if name == "weights":
                assert torch.load(tmp_path / SHARD)["stage"] is stages.weights
            else:
                with pytest.raises((UnpicklingError, KeyError, ValueError)):
                    torch.load(tmp_path / SHARD)
