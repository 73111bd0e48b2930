from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import TINY
from tiny_runs import write_base

from console.flags import UsageError
from model.shapes import find_shape
from scripts.plan import main
from training.config import Config, read_config
from training.planning import choosing
from training.planning.cards import GB
from training.planning.choosing import choose_here

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    base = write_base(tmp_path / "base")
    where = {"model.checkpoint_dir": str(base), "data.dataset_dir": str(tmp_path / "data")}
    return read_config(ROOT / "configs/teach.json", {**where, "model.device": "cpu"})


def test_a_fitting_configuration_is_kept_and_made_definite(config: Config):
    values, reason = choose_here(config)
    chosen = Config.model_validate(values)
    assert (chosen.model.device, chosen.model.dtype) == ("cpu", "float32")
    assert chosen.training.micro_batch_tokens == config.training.micro_batch_tokens
    assert chosen.schedule.learning_rate == choosing.RATES[0][1]
    assert "on cpu" in reason and "base in float32" in reason


def test_settings_that_were_given_are_not_chosen(config: Config):
    model = config.model.model_copy(update={"dtype": "bfloat16"})
    schedule = config.schedule.model_copy(update={"learning_rate": 1e-5})
    asked = config.model_copy(update={"model": model, "schedule": schedule})
    values, reason = choose_here(asked, ["model.dtype", "schedule.learning_rate"])
    assert values["model"]["dtype"] == "bfloat16"
    assert values["schedule"]["learning_rate"] == 1e-5
    assert "base in bfloat16" in reason and "learning rate 1e-05" in reason


def test_less_is_kept_where_memory_is_short(config: Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choosing, "_free", lambda device: 30 * GB)
    monkeypatch.setattr(choosing.ModelConfig, "read", lambda directory: find_shape("8b"))
    values, reason = choose_here(config)
    assert values["model"]["quantization"] == "nf4_double"
    assert values["schedule"]["learning_rate"] == choosing.RATE
    assert "30.0 GB free: base in nf4_double" in reason


def test_what_never_fits_is_refused(config: Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choosing, "_free", lambda device: 2 * GB)
    monkeypatch.setattr(choosing.ModelConfig, "read", lambda directory: find_shape("8b"))
    with pytest.raises(ValueError, match=r"no settings fit .*; take a smaller model"):
        choose_here(config)


def test_fp8_on_a_gpu_without_it_is_refused(config: Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choosing, "find_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    model = config.model.model_copy(update={"quantization": "fp8"})
    with pytest.raises(ValueError, match=r"has compute capability 8\.0"):
        choose_here(config.model_copy(update={"model": model}))


def test_plan_chooses_nothing_for_several_devices(tmp_path: Path):
    with pytest.raises(ValueError, match=r"ds_finetune\.json has a deepspeed_config, and"):
        main(str(ROOT / "configs/ds_finetune.json"), save_file=str(tmp_path / "config.json"))


def test_a_wider_model_gets_a_smaller_rate():
    rates = [choosing._rate(replace(TINY, dim=width)) for width in (192, 576, 2048, 4096)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 4


def test_plan_writes_the_chosen_configuration(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "config.json"
    where = {"model.checkpoint_dir": config.model.checkpoint_dir, "model.device": "cpu"}
    main(str(ROOT / "configs/teach.json"), save_file=str(file), **where)
    assert read_config(file).model.dtype == "float32"
    assert f"finetune.py --config-file {file}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags", [{"gpu": "H100"}, {"num_gpus": 1}, {"shape": "8b"}, {"mean_length": 300.0}]
)
def test_flags_of_a_plan_are_refused_where_one_is_saved(flags: dict[str, Any], tmp_path: Path):
    file = tmp_path / "config.json"
    with pytest.raises(UsageError, match="is for a plan without it"):
        main(str(ROOT / "configs/teach.json"), save_file=str(file), **flags)
    assert not file.exists()
