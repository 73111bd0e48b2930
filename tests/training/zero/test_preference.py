"""Preferences on two ranks: the same weights as on one device, at every ZeRO stage."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from launches import launch
from safetensors.torch import load_file
from tiny_runs import pair_settings_in, train_natively
from torch import Tensor
from zero_runs import PREFERRING, SAMPLED_PREFERENCE, ShardedRuns, preferring_settings

from training.config import Config

OTHERS = [case for case in product(PREFERRING, (0, 1, 2, 3)) if case != SAMPLED_PREFERENCE]


def test_two_ranks_prefer_as_one_device_does(sharded_runs: ShardedRuns, tmp_path: Path) -> None:
    trained, stage = SAMPLED_PREFERENCE
    wanted = one_device(trained, pair_settings_in(tmp_path))
    found = load_file(sharded_runs.workspace / "out" / f"{trained}-{stage}.safetensors")
    check_alike(found, wanted, sharded_runs.preferring / "base")


@pytest.mark.long
def test_two_ranks_prefer_as_one_device_does_at_every_stage(tmp_path: Path) -> None:
    make = pair_settings_in(tmp_path)
    wanted = {trained: one_device(trained, make) for trained in PREFERRING}
    for part in ("cases", "out"):
        (tmp_path / part).mkdir()
    for trained, stage in OTHERS:
        config = preferring_settings(stage, trained, make)
        (tmp_path / "cases" / f"{config.name}.json").write_text(config.model_dump_json())
    script = "tests/training/zero/zero_cases.py"
    done = launch(2, script, "--cases", tmp_path / "cases", "--output-dir", tmp_path / "out")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for trained, stage in OTHERS:
        found = load_file(tmp_path / "out" / f"{trained}-{stage}.safetensors")
        check_alike(found, wanted[trained], tmp_path / "base")


def one_device(trained: str, make: Callable[..., Config]) -> dict[str, Tensor]:
    """Return the masters that one device ends with."""
    backend = train_natively(preferring_settings(None, trained, make))
    return {name: master.clone() for name, master in backend.trained_state()}


def check_alike(found: dict[str, Tensor], wanted: dict[str, Tensor], base_dir: Path) -> None:
    """Check that masters are those of one device, and are not what they began as."""
    assert found.keys() == wanted.keys()
    for name, master in found.items():
        torch.testing.assert_close(master, wanted[name], atol=1e-6, rtol=0)
    moved = [name for name in found if name.endswith(("lora_b", "w1.weight"))]
    base = load_file(base_dir / "consolidated.safetensors")
    assert all((found[n] - base.get(n, 0)).abs().max() > 1e-4 for n in moved), "stood still"


@pytest.mark.long
@pytest.mark.parametrize("trained, stage", [SAMPLED_PREFERENCE])
def test_two_ranks_resume_bit_for_bit(trained: str, stage: int, tmp_path: Path) -> None:
    make, ends = pair_settings_in(tmp_path), []
    zero = {"stage": stage, "stage3_param_persistence_threshold": 0}

    def train(name: str, steps: int, *flags: str) -> None:
        config = make(
            name=name,
            lora=PREFERRING[trained],
            deepspeed_config={"zero_optimization": zero},
            schedule={"kind": "constant", "learning_rate": 1e-3},
            training__max_steps=steps,
        )
        (tmp_path / "config.json").write_text(config.model_dump_json())
        arguments = ("--config-file", tmp_path / "config.json", *flags)
        done = launch(2, "ds_finetune.py", *arguments)
        assert done.returncode == 0, done.stderr[-3000:]

    train("whole", 6)
    train("cut", 4)
    train("cut", 6, "--resume")
    for name in ("whole", "cut"):
        (file,) = (tmp_path / "checkpoints" / name / "final").glob("[ac]*.safetensors")
        ends.append(load_file(file))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
