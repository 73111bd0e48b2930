"""What is not finite on one rank, or cannot be written by one, is the same news for all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from launches import launch
from safetensors.torch import load_file
from tiny_runs import settings_in, train_natively

from training.config import Config
from training.feed import Feed
from training.objective import Supervised
from training.zero.ranks import Ranks

from .poisoned import Poisoned

# Launches of two ranks: half a minute each.
pytestmark = pytest.mark.long

KINDS = [(0, "float32"), (1, "float32"), (2, "bfloat16"), (2, "float32"), (3, "float32")]
KINDS += [(3, "bfloat16")]


class Runs(NamedTuple):
    """Where the runs were made, and settings over the same workspace."""

    workspace: Path
    make: Callable[..., Config]

    def seen(self, name: str) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads((self.workspace / "out" / f"{name}.json").read_text())
        return seen

    def rows(self, name: str) -> list[dict[str, Any]]:
        lines = (self.workspace / "logs" / name / "metrics.jsonl").read_text().splitlines()
        return [row for row in map(json.loads, lines) if row["kind"] == "train"]


def zero(stage: int) -> dict[str, Any]:
    return {"zero_optimization": {"stage": stage, "stage3_param_persistence_threshold": 0}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    workspace = tmp_path_factory.mktemp("not-finite")
    over = settings_in(workspace)

    def make(**changes: Any) -> Config:
        sgd = {"optimizer__kind": "sgd", "schedule__learning_rate": 1.0}
        return over(**{**sgd, "training__on_nonfinite": "skip", **changes})

    for part in ("cases", "out"):
        (workspace / part).mkdir()
    cases = [
        make(name=f"skip-{stage}-{dtype}", model__dtype=dtype, deepspeed_config=zero(stage))
        for stage, dtype in KINDS
    ]
    large = {"optimizer": {"kind": "adamw"}, "schedule__learning_rate": 1e39}
    stops = {"training__on_nonfinite": "stop"}
    cases += [make(name=f"stop-{stage}", deepspeed_config=zero(stage), **stops) for stage in (2, 3)]
    cases += [
        make(name=f"update-{stage}", deepspeed_config=zero(stage), **large) for stage in (1, 3)
    ]
    for config in cases:
        (workspace / "cases" / f"{config.name}.json").write_text(config.model_dump_json())
    script, out = "tests/training/zero/not_finite_cases.py", workspace / "out"
    done = launch(2, script, "--cases", workspace / "cases", "--output-dir", out, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Runs(workspace, make)


@pytest.mark.parametrize(("stage", "dtype"), KINDS)
def test_all_ranks_skip_the_step_that_is_bad_on_one(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, stage: int, dtype: str
) -> None:
    name = f"skip-{stage}-{dtype}"
    assert runs.seen(name)["said"] == ["", ""]
    assert [row["step"] for row in runs.rows(name) if "rows" in row] == [2, 5]
    assert [row["step"] for row in runs.rows(name) if "gradient_norm" not in row] == [2, 5]
    poison = Poisoned(Ranks(0, 1, torch.device("cpu")))
    monkeypatch.setattr(Feed, "step", lambda *given: poison.taken(*given))
    monkeypatch.setattr(Supervised, "loss", lambda *given: poison.poisoned(*given))
    native = train_natively(runs.make(name=f"native-{name}", model__dtype=dtype))
    found = load_file(runs.workspace / "out" / f"{name}.safetensors")
    tolerance = 1e-6 if dtype == "float32" else 2e-2
    for parameter, wanted in native.trained_state():
        torch.testing.assert_close(found[parameter], wanted, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("stage", "dtype"), KINDS)
def test_ranks_with_skipped_steps_resume_bit_for_bit(runs: Runs, stage: int, dtype: str) -> None:
    assert runs.seen(f"skip-{stage}-{dtype}")["same"] is True


@pytest.mark.parametrize("stage", [2, 3])
def test_all_ranks_stop_with_the_same_line_and_rows(runs: Runs, stage: int) -> None:
    first, other = runs.seen(f"stop-{stage}")["said"]
    assert first == other
    assert first.startswith("step 2: loss nan, gradient norm ") and "its rows are " in first


@pytest.mark.parametrize("stage", [1, 3])
def test_an_update_of_ranks_that_is_not_finite_is_never_saved(runs: Runs, stage: int) -> None:
    first, other = runs.seen(f"update-{stage}")["said"]
    assert first == other and "after its update the norm of the weights is not finite" in first
    assert not list((runs.workspace / "checkpoints" / f"update-{stage}").glob("*/"))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_full_disk_of_one_rank_ends_all_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    config = settings_in(tmp_path)(name="full", deepspeed_config=zero(3), validation__every=None)
    file = tmp_path / "full.json"
    file.write_text(config.model_dump_json())
    monkeypatch.setenv("FULL_DISK_RANK", str(rank))
    done = launch(2, "tests/training/zero/full_disk_case.py", f"--config-file={file}")
    assert done.returncode == 1
    [said] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert str(config.run_dir) in said and "Traceback" not in done.stderr
    assert [path.name for path in config.run_dir.iterdir() if path.is_dir()] == []
