"""What two ranks send one another in a step is what docs/deepspeed.md lists, to the byte."""

import json
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from launches import launch
from tiny_models import TINY
from tiny_runs import settings_in

from training.planning.memory import base_parameters

pytestmark = pytest.mark.long

HALF = 2
# As where a model is far larger than what DeepSpeed keeps gathered, which is a billion values.
KEEP_NOTHING = {
    "stage3_max_live_parameters": 0,
    "stage3_max_reuse_distance": 0,
    "stage3_prefetch_bucket_size": 0,
}
PARTITIONED = {"stage": 3, "stage3_param_persistence_threshold": 0}
ZERO: dict[str, dict[str, Any]] = {
    "stage1": {"stage": 1},
    "stage2": {"stage": 2},
    "stage3": PARTITIONED,
    "stage3_large": PARTITIONED | KEEP_NOTHING,
}
POLICIES = {"none": 2.0, "full": 2.5}


class Step(NamedTuple):
    """The collectives of a step, its micro-batches, and bytes of the gradients and all weights."""

    calls: Counter[tuple[str, int]]
    micro_batches: int
    gradients: int
    weights: int


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    workspace = tmp_path_factory.mktemp("collectives")
    make = settings_in(workspace)
    for part in ("cases", "out"):
        (workspace / part).mkdir()
    cases = {(name, "bfloat16", "none"): zero for name, zero in ZERO.items()}
    cases["stage0", "float32", "none"] = {"stage": 0}
    cases["recomputed", "bfloat16", "full"] = PARTITIONED | KEEP_NOTHING
    for (name, dtype, policy), zero in cases.items():
        config = make(
            name=name,
            model__dtype=dtype,
            training__batch_size=7,
            training__activation_checkpointing=policy,
            deepspeed_config={"zero_optimization": zero},
        )
        (workspace / "cases" / f"{name}.json").write_text(config.model_dump_json())
    script, out = "tests/training/zero/collectives.py", workspace / "out"
    done = launch(2, script, "--cases", workspace / "cases", "--output-dir", out)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {file.stem: read(file) for file in out.glob("*.json")}


def read(file: Path) -> Step:
    counted = json.loads(file.read_text())
    size = 2 * HALF if file.stem == "stage0" else HALF
    trained = sum(map(prod, counted["trained"].values()))
    weights = size * (trained + base_parameters(TINY))
    assert counted["micro_batches"] == 3
    calls = Counter((name, sent) for name, sent in counted["calls"])
    return Step(calls, counted["micro_batches"], size * trained, weights)


# A step's loss, whether to stop and whether its weights are finite; the norm's square; whether a
# gradient is infinite.
FIGURES = ("allreduce", 12)
NORM = ("allreduce", 4)
INFINITE = ("allreduce", 1)
NORM_IN_DOUBLE = ("allreduce", 8)


def test_stage_0_sums_gradients_once_a_step(steps: dict[str, Step]) -> None:
    step = steps["stage0"]
    assert step.calls == Counter([("allreduce", step.gradients), ("allreduce", 4), FIGURES])


def test_stage_1_sums_gradients_and_gathers_weights_once(steps: dict[str, Step]) -> None:
    step = steps["stage1"]
    both = [("allreduce", step.gradients), ("allgather_base", step.gradients)]
    assert step.calls == Counter([*both, INFINITE, NORM, FIGURES])


def test_stage_2_sums_gradients_in_every_micro_batch(steps: dict[str, Step]) -> None:
    step = steps["stage2"]
    sums = [("allreduce", step.gradients)] * step.micro_batches
    gathered = ("allgather_base", step.gradients)
    assert step.calls == Counter([*sums, gathered, INFINITE, NORM, FIGURES])


def test_stage_3_gathers_weights_in_every_micro_batch(steps: dict[str, Step]) -> None:
    step = steps["stage3"]
    parts = [("allgather_base", step.weights), ("reduce_scatter_base", step.gradients)]
    assert step.calls == Counter([*parts * step.micro_batches, NORM_IN_DOUBLE, FIGURES])


@pytest.mark.parametrize("policy", POLICIES)
def test_stage_3_gathers_a_large_model_at_most_twice(steps: dict[str, Step], policy: str) -> None:
    """Forward and backward; recomputed blocks, which hold most of it, a third time in part."""
    step = steps["stage3_large" if policy == "none" else "recomputed"]
    gathered = sum(sent * n for (name, sent), n in step.calls.items() if name == "allgather_base")
    most = POLICIES[policy] * step.weights * step.micro_batches
    assert 1.5 * step.weights * step.micro_batches < gathered <= most
    reduced = {call: n for call, n in step.calls.items() if call[0] != "allgather_base"}
    scattered = [("reduce_scatter_base", step.gradients)] * step.micro_batches
    assert reduced == Counter([*scattered, NORM_IN_DOUBLE, FIGURES])
