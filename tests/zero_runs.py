"""Runs of two processes, sharded by DeepSpeed, made once for all the tests that read them."""

from pathlib import Path
from typing import Any, NamedTuple

from launches import launch
from tiny_runs import pair_settings_in, settings_in


class Kind(NamedTuple):
    """What is trained at a ZeRO stage, and in which precision."""

    trained: str
    stage: int
    dtype: str

    @property
    def name(self) -> str:
        return f"{self.trained}-zero{self.stage}-{self.dtype}"


SHARDED = [
    Kind("lora", 1, "bfloat16"),
    Kind("lora", 2, "float32"),
    Kind("lora", 3, "float32"),
    Kind("full", 2, "bfloat16"),
    Kind("full", 3, "bfloat16"),
]
NOT_SHARDED = Kind("lora", 0, "float32")

# Preferences are learnt by these, and at a stage in the same launch as the kinds above.
PREFERRING: dict[str, Any] = {"adapter": {"rank": 4, "alpha": 8}, "all": None}
SAMPLED_PREFERENCE = ("adapter", 3)


class ShardedRuns(NamedTuple):
    """The workspace of all runs. Whoever changes a run takes a copy."""

    workspace: Path

    @property
    def base(self) -> Path:
        return self.workspace / "base"

    def run(self, kind: Kind) -> Path:
        """The run's directory: step-000002, step-000004, final and what DeepSpeed left there."""
        return self.workspace / "checkpoints" / kind.name

    @property
    def preferring(self) -> Path:
        """The workspace of the run that learnt a preference."""
        return self.workspace / "preferring"


def preferring_settings(zero_stage: int | None, trained: str, make: Any) -> Any:
    """Return the settings of a run on pairs, on one device or sharded at a stage."""
    more: dict[str, Any] = {"name": trained}
    if zero_stage is not None:
        zero = {"stage": zero_stage, "stage3_param_persistence_threshold": 0}
        more = {
            "name": f"{trained}-{zero_stage}",
            "deepspeed_config": {"zero_optimization": zero},
        }
    return make(
        lora=PREFERRING[trained],
        # 30 pairs, 7 a step: the fifth step of an epoch has two, and a rank may have none.
        training={"epochs": 1, "batch_size": 7, "micro_batch_tokens": 80},
        optimizer={"kind": "sgd", "clip_norm": 0.05},
        schedule={"learning_rate": 1.0, "warmup_steps": 0},
        **more,
    )


def make_sharded_runs(workspace: Path) -> ShardedRuns:
    """Train every kind for four steps, and one run on pairs, all in one launch of two processes."""
    make = settings_in(workspace)
    cases, output = workspace / "cases", workspace / "out"
    cases.mkdir()
    output.mkdir()
    for kind in (NOT_SHARDED, *SHARDED):
        zero = {"stage": kind.stage, "stage3_param_persistence_threshold": 0}
        config = make(
            name=kind.name,
            lora={"rank": 4, "alpha": 8} if kind.trained == "lora" else None,
            model__dtype=kind.dtype,
            training__max_steps=4,
            validation__every=4,
            deepspeed_config={"zero_optimization": zero},
        )
        (cases / f"{kind.name}.json").write_text(config.model_dump_json())
    preferring = ShardedRuns(workspace).preferring
    preferring.mkdir()
    trained, stage = SAMPLED_PREFERENCE
    config = preferring_settings(stage, trained, pair_settings_in(preferring))
    (cases / f"{config.name}.json").write_text(config.model_dump_json())
    script = "tests/training/zero/zero_cases.py"
    done = launch(2, script, "--cases", cases, "--output-dir", output)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return ShardedRuns(workspace)
