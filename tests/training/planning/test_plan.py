"""What fits which devices, what is chosen for them, and what is said where nothing fits."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from model.lora.config import LoraConfig
from model.shapes import SHAPES
from training.planning.cards import GB, find_card
from training.planning.fitting import choose_policy, fitting_policy
from training.planning.memory import Method
from training.planning.nearest import Choice, flags_between, nearest_fitting
from training.planning.plan import (
    MOMENT_BYTES,
    Settings,
    fits,
    memory_use,
    method_of,
    settings_of,
    with_policy,
)
from training.planning.text import Dataset
from training.setup import open_splits

if TYPE_CHECKING:
    from training.config import Config

SettingsOf = Callable[..., "Config"]
NF4 = {"quantization": "nf4_double"}
QV = Method(SHAPES["8b"], LoraConfig(32, 32.0, targets=("wq", "wv")))
FULL = Method(SHAPES["8b"], None)


@pytest.mark.parametrize(
    ("memory", "policy"), [(24, "full"), (40, "selective"), (48, "none"), (80, "none")]
)
def test_auto_recomputes_no_more_than_the_device_needs(memory: int, policy: str) -> None:
    chosen = with_policy(QV, Settings("auto"), memory * GB)
    assert chosen.policy == policy
    assert with_policy(QV, Settings("full"), 141 * GB).policy == "full"


def test_nearest_settings_recompute_before_they_take_fewer_tokens() -> None:
    asked = Choice(QV, Settings("none"))
    assert nearest_fitting(asked, 24 * GB) == Choice(QV, Settings("full"))
    nearest = nearest_fitting(asked, 21 * GB)
    assert nearest == Choice(QV, Settings("full", micro_batch_tokens=4096))


def test_a_setting_that_fits_is_its_own_nearest() -> None:
    for policy in ("none", "full"):
        asked = Choice(QV, Settings(policy))
        assert nearest_fitting(asked, 141 * GB) == asked


def test_a_smaller_micro_batch_than_any_that_is_proposed_fits_too() -> None:
    asked = Choice(QV, Settings("none", micro_batch_tokens=512))
    assert nearest_fitting(asked, 141 * GB) == asked


def test_adapter_that_does_not_fit_gets_a_quantized_base() -> None:
    asked = Choice(QV, Settings("full"))
    nearest = nearest_fitting(asked, 12 * GB)
    assert nearest is not None
    assert flags_between(asked, nearest) == "--model.quantization=nf4_double"
    assert nearest_fitting(asked, 5 * GB) is None


def test_base_in_fp8_that_does_not_fit_goes_to_four_bits() -> None:
    asked = Choice(replace(QV, quantization="fp8"), Settings("full"))
    assert nearest_fitting(asked, 16 * GB) == asked
    nearest = nearest_fitting(asked, 10 * GB)
    assert nearest is not None and nearest.method.quantization == "nf4_double"


def test_all_weights_that_do_not_fit_get_smaller_moments_then_weights() -> None:
    asked = Choice(FULL, Settings("full"))
    nearest = nearest_fitting(asked, 120 * GB)
    assert nearest is not None
    assert flags_between(asked, nearest) == "--optimizer.kind=adamw8bit"
    rounded = nearest_fitting(asked, 80 * GB)
    assert rounded is not None
    assert flags_between(asked, rounded) == (
        "--optimizer.kind=adamw8bit --optimizer.stochastic_rounding=true"
    )


def test_more_is_shared_only_where_there_is_deepspeed() -> None:
    assert nearest_fitting(Choice(FULL, Settings("full")), 48 * GB) is None
    shared = Choice(FULL, Settings("full", devices=8, stage=2))
    nearest = nearest_fitting(shared, 36 * GB, longest=8192)
    assert nearest is not None and nearest.settings.stage == 3
    assert flags_between(shared, nearest) == "--deepspeed_config.zero_optimization.stage=3"


@pytest.mark.parametrize(("stage", "each"), [(1, 16 + 16 + 12), (2, 16 + 2 + 12), (3, 2 + 2 + 12)])
def test_each_stage_shares_what_the_documentation_says(stage: int, each: int) -> None:
    """8.03 G parameters over eight ranks: weights and gradients in two bytes, the rest in 12."""
    use = memory_use(FULL, Settings("full", devices=8, stage=stage))
    kinds = ("weights", "gradients", "masters", "optimizer")
    assert sum(use.device[kind] for kind in kinds) == pytest.approx(each * 1.004e9, rel=0.01)


def test_what_is_offloaded_leaves_the_device_for_the_host() -> None:
    kept = memory_use(FULL, Settings("full", devices=8, stage=3))
    moved = memory_use(FULL, Settings("full", devices=8, stage=3, offload_optimizer=True))
    assert moved.host == {kind: kept.device[kind] for kind in ("masters", "optimizer")}
    assert kept.device_total - moved.device_total == sum(moved.host.values())


def test_settings_are_read_from_deepspeeds_section(settings: SettingsOf) -> None:
    zero = {"stage": 3, "offload_param": {"device": "cpu"}, "reduce_bucket_size": 7}
    config = settings(deepspeed_config={"zero_optimization": zero})
    found = settings_of(config, 4)
    assert (found.stage, found.offload_weights, found.offload_optimizer) == (3, True, False)
    assert found.buckets == 500_000_007


def test_numbers_of_deepspeeds_section_may_be_floats_or_auto(settings: SettingsOf) -> None:
    zero = {"stage": "auto", "reduce_bucket_size": 5e7, "allgather_bucket_size": "auto"}
    found = settings_of(settings(deepspeed_config={"zero_optimization": zero}), 4)
    assert (found.stage, found.buckets) == (2, 550_000_000)


def test_run_that_cannot_fit_is_refused_with_what_fits(settings: SettingsOf) -> None:
    config = settings(training__activation_checkpointing="none")
    train = open_splits(config).train
    with pytest.raises(ValueError, match=r"does not fit.*--fit-anyway") as error:
        choose_policy(config, train, free=10**9, devices=1)
    assert "\n" not in str(error.value)
    assert choose_policy(config, train, 10**9, 1, fit_anyway=True)[0] == "none"


def test_what_fits_with_a_base_in_four_bits_alone_is_told(settings: SettingsOf) -> None:
    config = settings(model__dtype="bfloat16", training__activation_checkpointing="full")
    train = open_splits(config).train
    # Of 16 GB in bfloat16, and less than 6 in NF4.
    params = {**asdict(SHAPES["8b"]), "use_scaled_rope": False}
    Path(config.model.checkpoint_dir, "params.json").write_text(json.dumps(params))
    with pytest.raises(ValueError, match=r"what fits: --model.quantization=nf4_double; or try"):
        choose_policy(config, train, 12 * GB, 1)
    quantized = config.model_copy(update={"model": config.model.model_copy(update=NF4)})
    policy, reason = choose_policy(quantized, train, 12 * GB, 1)
    assert policy == "full" and "a step takes 5.9 GB" in reason


def test_auto_needs_no_flag_where_it_fits(settings: SettingsOf) -> None:
    config = settings()
    train = open_splits(config).train
    policy, reason = choose_policy(config, train, 24 * GB, 1)
    assert policy == "none" and "24.0 GB" in reason
    assert fitting_policy(config, train, torch.device("cpu")) == "none"


def test_large_model_on_the_processor_is_told_of(
    settings: SettingsOf, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = open_splits(settings()).train
    monkeypatch.setattr("training.planning.fitting.LARGE", 1000)
    fitting_policy(settings(model__device="auto"), train, torch.device("cpu"))
    assert "torch sees no CUDA device; python scripts/doctor.py" in capsys.readouterr().out
    fitting_policy(settings(model__device="cpu"), train, torch.device("cpu"))
    assert not capsys.readouterr().out


def test_plan_says_whose_lengths_it_takes(settings: SettingsOf) -> None:
    built = Dataset.read(settings(), 1000, None)
    assert built.source.startswith(", as ") and built.source.endswith(" has them")
    assert not Dataset.read(settings(), 1000, 300.0).source


def test_conversation_longer_than_a_micro_batch_is_not_planned(settings: SettingsOf) -> None:
    with pytest.raises(ValueError, match="longer than micro_batch_tokens = 8; the longest is"):
        Dataset.read(settings(training__micro_batch_tokens=8), None, None)


def test_unknown_card_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"--gpu is 'B17', wanted one of RTX 4070 \(12 GB\)"):
        find_card("B17")


def test_all_weights_of_8b_fit_80_gb_with_what_takes_least_memory() -> None:
    rounded = Method(SHAPES["8b"], None, rounded=True)
    least = Settings("auto", moment_bytes=MOMENT_BYTES["adamw8bit"], in_backward=True)
    use = memory_use(rounded, with_policy(rounded, least, 80 * GB))
    # By hand: 8.03 G weights of two bytes, and moments of two with an absmax each for 256.
    assert use.device["masters"] == pytest.approx(16.06e9, rel=1e-3)
    assert use.device["optimizer"] == pytest.approx(8.03e9 * (2 + 8 / 256), rel=1e-3)
    assert use.device["gradients"] == 0
    assert fits(rounded, with_policy(rounded, least, 80 * GB), 80 * GB)
    masters = Method(SHAPES["8b"], None, autocast=True)
    assert not fits(masters, Settings("full"), 80 * GB)


def test_optimizer_decides_the_bytes_of_a_trained_number(settings: SettingsOf) -> None:
    optimizer = {"kind": "adamw8bit", "stochastic_rounding": True}
    config = settings(lora=None, model__dtype="bfloat16", optimizer=optimizer)
    assert settings_of(config, 1).moment_bytes == 2 + 8 / 256
    method = method_of(config, SHAPES["8b"])
    assert (method.trained_bytes, method.autocast) == (2, False)
    plain = method_of(settings(lora=None, model__dtype="bfloat16"), SHAPES["8b"])
    assert (plain.trained_bytes, plain.autocast) == (4, True)


@pytest.mark.parametrize(("policy", "norms"), [("none", 2), ("selective", 1), ("full", 0)])
def test_shared_weights_keep_the_outputs_of_their_norms(policy: str, norms: int) -> None:
    """2 bytes x 4,096 wide x 32 layers x 8,192 tokens each."""
    second, third = (
        memory_use(FULL, Settings(policy, devices=8, stage=stage)).device["activations"]
        for stage in (2, 3)
    )
    assert third - second == norms * 2 * 4096 * 32 * 8192
