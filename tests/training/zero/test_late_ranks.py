"""Collectives that hold the device and not the host, as NCCL's do, and a rank that is late."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from launches import launch
from tiny_runs import settings_in

from storage.manifest import damaged_files, read_manifest
from training.backends import NativeBackend
from training.config import Config

# Its two launches wait for one another: half a minute.
pytestmark = pytest.mark.long
ZERO_3 = {"zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0}}


class Launched(NamedTuple):
    """What was started, what each of two ranks saw, and settings over the same workspace."""

    done: subprocess.CompletedProcess[str]
    seen: list[dict[str, Any]]
    workspace: Path
    make: Callable[..., Config]

    @property
    def run_dir(self) -> Path:
        return self.workspace / "checkpoints" / "late"

    def on_both(self, key: str) -> Any:
        """Return what both ranks saw alike."""
        first, other = (seen[key] for seen in self.seen)
        assert first == other
        return first

    def losses(self, name: str) -> list[float]:
        lines = (self.workspace / "logs" / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    workspace = tmp_path_factory.mktemp("late")
    over = settings_in(workspace)

    def make(**changes: Any) -> Config:
        return over(training__max_steps=2, **changes)

    config = make(name="late", deepspeed_config=ZERO_3)
    file = workspace / "config.json"
    file.write_text(config.model_dump_json())
    script = "tests/training/zero/late_cases.py"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DEEPSPEED_TIMEOUT", "1")  # minutes; ranks that miss one another would hang
        done = launch(2, script, f"--config-file={file}", f"--output-dir={workspace}")
    seen = [json.loads(f.read_text()) for f in sorted(workspace.glob("rank-*.json"))]
    assert len(seen) == 2, done.stdout[-3000:] + done.stderr[-3000:]
    return Launched(done, seen, workspace, make)


def test_shared_storage_is_not_refused_when_a_rank_looks_late(launched: Launched) -> None:
    assert [seen["refused"] for seen in launched.seen] == [0, 0]


def test_a_rank_without_the_shared_storage_is_named_by_all(launched: Launched) -> None:
    said = launched.on_both("blind")
    assert said.startswith(f"{launched.run_dir} on rank 1 is not the directory that rank 0 writes")


def test_an_error_of_rank_0_is_the_same_on_all(launched: Launched) -> None:
    assert launched.on_both("told") == [
        "ValueError: as it is",
        "FileNotFoundError: weights.bin: No such file or directory",
        "ValueError: weights.bin is missing; copy it there",
        "ValueError: data.jsonl, line 7 is broken",
        "ValueError: data.jsonl, line 7",
        "KeyError: KeyError: 'a key' (run again with --debug for the traceback)",
        "Speechless: no message",
        "ValueError: row 7 is broken",
        f"ValueError: {'long ' * 20}",
        "SystemExit: SystemExit: 3 (run again with --debug for the traceback)",
    ]


def test_an_unpicklable_result_is_an_error_on_all_ranks(launched: Launched) -> None:
    told = launched.on_both("results")
    assert told[0] == "done: a name"
    assert "Can't pickle" in told[1]
    assert "missing 1 required positional argument" in told[2]


def test_work_of_every_rank_is_told_to_all(launched: Launched) -> None:
    assert launched.on_both("of_all") == [
        "['rank 0', 'rank 1']",
        "ValueError: as it is",
        "FileNotFoundError: weights.bin: No such file or directory",
        "ValueError: weights.bin is missing; copy it there",
    ]


def test_each_rank_hashes_the_files_it_wrote(launched: Launched) -> None:
    first, other = (set(seen["hashed"]) for seen in launched.seen)
    assert other == {"rng-00001.safetensors"} | {
        f"zero_pp_rank_1_mp_rank_00_{states}.pt" for states in ("model_states", "optim_states")
    }
    files = read_manifest(launched.run_dir / "step-000002")["files"]
    assert first | other == set(files) and not first & other


def test_damage_to_another_ranks_file_is_told_to_all(launched: Launched) -> None:
    assert launched.on_both("damage") == [
        [],
        ["rng-00001.safetensors has another sha256 than when it was written"],
    ]


def test_wait_returns_after_the_late_rank_arrives(launched: Launched) -> None:
    assert [seen["waited"] for seen in launched.seen] == [True, True]


def test_a_checkpoint_appears_when_all_ranks_have_written_theirs(launched: Launched) -> None:
    step = launched.run_dir / "step-000002"
    assert damaged_files(step) == []
    listed = read_manifest(step)["files"]
    for rank in range(2):
        assert f"rng-0000{rank}.safetensors" in listed
        assert f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" in listed


def test_training_reads_sums_only_after_they_are_reduced(
    launched: Launched, train_run: Callable[..., NativeBackend]
) -> None:
    train_run(launched.make(name="native"))
    found, wanted = launched.losses("late"), launched.losses("native")
    assert len(found) == 3
    assert found == pytest.approx(wanted, abs=1e-5)


def test_an_unpicklable_error_ends_the_run_with_its_message(launched: Launched) -> None:
    assert launched.done.returncode == 1
    told = [line for line in launched.done.stderr.splitlines() if line.startswith("error: ")]
    assert told == ["error: the end"]
