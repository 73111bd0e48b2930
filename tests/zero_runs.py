"""Runs of two processes, sharded by DeepSpeed, made once for all the tests that read them."""

from pathlib import Path
from typing import NamedTuple

from launches import launch
from tiny_runs import settings_in


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


class ShardedRuns(NamedTuple):
    """The workspace of all runs. Whoever changes a run takes a copy."""

    workspace: Path

    @property
    def base(self) -> Path:
        return self.workspace / "base"

    def run(self, kind: Kind) -> Path:
        """The run's directory: step-000002, step-000004, final and what DeepSpeed left there."""
        return self.workspace / "checkpoints" / kind.name


def make_sharded_runs(workspace: Path) -> ShardedRuns:
    """Train every kind for four steps, all in one launch of two processes."""
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
    script = "tests/training/zero/zero_cases.py"
    done = launch(2, script, "--cases", cases, "--output-dir", output)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return ShardedRuns(workspace)
