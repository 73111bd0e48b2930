"""Preferences on two ranks: the same weights as on one device, at every ZeRO stage."""

from itertools import product
from pathlib import Path

import pytest
import torch
from launches import launch
from safetensors.torch import load_file
from tiny_runs import pair_settings_in, train_natively

TRAINED = {"adapter": {"rank": 4, "alpha": 8}, "all": None}
SOME = [("adapter", 3)]
OTHERS = [case for case in product(TRAINED, (0, 1, 2, 3)) if case not in SOME]


@pytest.mark.parametrize(
    "cases", [SOME, pytest.param(OTHERS, marks=pytest.mark.long)], ids=["some", "others"]
)
def test_two_ranks_prefer_as_one_device_does(cases: list[tuple[str, int]], tmp_path: Path) -> None:
    make = pair_settings_in(tmp_path)
    settings = {
        # 30 pairs, 7 a step: the fifth step of an epoch has two, and a rank may have none.
        "training": {"epochs": 1, "batch_size": 7, "micro_batch_tokens": 80},
        "optimizer": {"kind": "sgd", "clip_norm": 0.05},
        "schedule": {"learning_rate": 1.0, "warmup_steps": 0},
    }
    wanted = {}
    for trained in {trained for trained, _ in cases}:
        backend = train_natively(make(name=trained, lora=TRAINED[trained], **settings))
        wanted[trained] = {name: master.clone() for name, master in backend.trained_state()}
    for part in ("cases", "out"):
        (tmp_path / part).mkdir()
    for trained, stage in cases:
        zero = {"stage": stage, "stage3_param_persistence_threshold": 0}
        config = make(
            name=f"{trained}-{stage}",
            lora=TRAINED[trained],
            deepspeed_config={"zero_optimization": zero},
            **settings,
        )
        (tmp_path / "cases" / f"{config.name}.json").write_text(config.model_dump_json())
    script = "tests/training/zero/zero_cases.py"
    done = launch(2, script, "--cases", tmp_path / "cases", "--output-dir", tmp_path / "out")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for trained, stage in cases:
        found = load_file(tmp_path / "out" / f"{trained}-{stage}.safetensors")
        assert found.keys() == wanted[trained].keys()
        for name, master in found.items():
            torch.testing.assert_close(master, wanted[trained][name], atol=1e-6, rtol=0)
        moved = [name for name in found if name.endswith(("lora_b", "w1.weight"))]
        base = load_file(tmp_path / "base" / "consolidated.safetensors")
        assert all((found[n] - base.get(n, 0)).abs().max() > 1e-4 for n in moved), "stood still"


@pytest.mark.long
@pytest.mark.parametrize("trained, stage", SOME)
def test_two_ranks_resume_bit_for_bit(trained: str, stage: int, tmp_path: Path) -> None:
    make, ends = pair_settings_in(tmp_path), []
    zero = {"stage": stage, "stage3_param_persistence_threshold": 0}

    def train(name: str, steps: int, *flags: str) -> None:
        config = make(
            name=name,
            lora=TRAINED[trained],
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
