"""Every file in configs/ can be used as it is; the sharded ones train where DeepSpeed runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_lines import ROOT
from launches import launch
from talking_runs import HELD_OUT, TRAINED, write_talking_base, write_talking_dataset

CONFIGS = sorted(p.stem for p in (ROOT / "configs").glob("*.json") if p.stem != "dialogs")
SHARDED = [name for name in CONFIGS if name.startswith("ds_")]
# Where the launcher warns that there is no hostfile, and no GPU.
LAUNCHERS_OWN = ("runner.py", "real_accelerator.py")
# Whose original follows the validation loss.
BY_LOSS = ("ds_mistral_glaive_full", "mistral_glaive")
# Sizes that a file leaves to the model at hand.
TINY = ("--training.micro_batch_tokens=4096", "--training.batch_size=4", "--training.max_steps=3")


def contents(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"configs/{name}.json").read_text(encoding="utf-8"))


def zero(name: str) -> dict[str, Any]:
    return contents(name)["deepspeed_config"]["zero_optimization"]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_ready_configuration_is_valid_on_one_or_eight_devices(name: str):
    from training.config import read_config
    from training.setup import check_no_deepspeed_settings
    from training.zero.settings import engine_config, zero_stage

    file = ROOT / f"configs/{name}.json"
    config = read_config(file)
    if name in SHARDED:
        ranks = min(8, config.training.batch_size)
        assert zero_stage(engine_config(config, ranks)) == zero(name)["stage"]
        assert engine_config(config, world_size=1)["gradient_clipping"] == 1.0
    else:
        check_no_deepspeed_settings(config, str(file))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_ready_configuration_selects_best_by_balanced(name: str):
    from training.config import read_config

    validation = read_config(ROOT / f"configs/{name}.json").validation
    assert validation.best_metric == ("loss" if name in BY_LOSS else "balanced")
    assert validation.generated is not None


def test_ready_configurations_have_different_names():
    names = [contents(name)["name"] for name in CONFIGS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", SHARDED)
def test_deepspeed_knows_every_key_that_is_passed_on(name: str):
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    read = DeepSpeedZeroConfig(**zero(name))
    assert read.stage == zero(name)["stage"]
    assert not read.model_extra


def test_the_deepspeed_default_matches_the_base_projects_settings():
    default, one_device = contents("ds_finetune"), contents("finetune")
    assert zero("ds_finetune")["stage"] == 2
    # Micro batch 2 x accumulation 16 on one GPU.
    assert default["training"]["batch_size"] == 2 * 16
    rates = ("learning_rate", "min_learning_rate", "warmup_share", "total_steps")
    # 200 of 5,000 steps there; here the same share of the run's own length.
    assert [default["schedule"][key] for key in rates] == [2e-4, 1e-5, 200 / 5000, None]
    own = ("name", "schedule", "deepspeed_config")
    assert {k: v for k, v in default.items() if k not in own} == {
        k: v for k, v in one_device.items() if k not in own
    }


def test_sharded_configurations_differ_as_their_names_say():
    assert [(name, bool(contents(name)["lora"]), zero(name)["stage"]) for name in SHARDED] == [
        ("ds_finetune", True, 2),
        ("ds_full_zero3", False, 3),
        ("ds_full_zero3_offload", False, 3),
        ("ds_lora_zero3", True, 3),
        ("ds_mistral_glaive_full", False, 3),
    ]
    for key in ("offload_param", "offload_optimizer"):
        assert [name for name in SHARDED if key in zero(name)] == ["ds_full_zero3_offload"]
        assert zero("ds_full_zero3_offload")[key] == {"device": "cpu", "pin_memory": True}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ds_finetune", marks=pytest.mark.long),
        pytest.param("ds_full_zero3_offload", marks=pytest.mark.long),
        pytest.param("ds_lora_zero3", marks=pytest.mark.long),
        pytest.param("ds_full_zero3", marks=pytest.mark.long),
    ],
)
def test_a_ready_configuration_trains_on_two_ranks_without_warnings(name: str, tmp_path: Path):
    base = write_talking_base(tmp_path / "base")
    write_talking_dataset(tmp_path / "dataset", base, HELD_OUT, TRAINED)
    ended = launch(
        2,
        "ds_finetune.py",
        f"--config-file=configs/{name}.json",
        f"--model.checkpoint_dir={tmp_path}/base",
        "--model.device=cpu",
        f"--data.dataset_dir={tmp_path}/dataset",
        f"--checkpoint.output_dir={tmp_path}/checkpoints",
        f"--logging.output_dir={tmp_path}/logs",
        *TINY,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    warned = [line for line in ended.stdout.splitlines() if "warning" in line.lower()]
    assert not [line for line in warned if not any(own in line for own in LAUNCHERS_OWN)]
    run = tmp_path / "checkpoints" / contents(name)["name"]
    weights = "adapter" if contents(name)["lora"] else "consolidated"
    assert (run / f"final/{weights}.safetensors").is_file()
    steps = (tmp_path / "logs" / run.name / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in steps]
    assert [row["kind"] for row in rows] == ["train"] * 3 + ["validation"]
    assert rows[-1]["prompts_replied_to"] == len(HELD_OUT)
    assert (run / "best/progress.json").is_file()
