"""What fits which devices, what is chosen for them, and what is said where nothing fits."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from model.lora.config import LoraConfig
from model.shapes import SHAPES
from training.planning.cards import GB, find_card
from training.planning.fitting import choose_policy, fitting_policy
from training.planning.memory import Method
from training.planning.plan import (
    Settings,
    flags_between,
    memory_use,
    nearest_fitting,
    settings_of,
    tokens_a_second,
    with_policy,
)
from training.setup import open_splits

if TYPE_CHECKING:
    from training.config import Config

SettingsOf = Callable[..., "Config"]
NF4 = {"quantization": "nf4_double"}
QV = Method(SHAPES["8b"], LoraConfig(32, 32.0, targets=("wq", "wv")))
FULL = Method(SHAPES["8b"], None)


@pytest.mark.parametrize(
    ("memory", "policy"), [(24, "full"), (40, "full"), (48, "selective"), (80, "none")]
)
def test_auto_recomputes_no_more_than_the_device_needs(memory: int, policy: str) -> None:
    chosen = with_policy(QV, Settings("auto"), memory * GB)
    assert chosen.policy == policy
    assert with_policy(QV, Settings("full"), 141 * GB).policy == "full"


def test_nearest_settings_recompute_before_they_take_fewer_tokens() -> None:
    assert nearest_fitting(QV, Settings("none"), 24 * GB) == Settings("full")
    nearest = nearest_fitting(QV, Settings("none"), 21 * GB)
    assert nearest == Settings("full", micro_batch_tokens=4096)
    assert nearest_fitting(QV, Settings("none"), 21 * GB, longest=8192) is None


def test_a_setting_that_fits_is_its_own_nearest() -> None:
    for policy in ("none", "full"):
        assert nearest_fitting(QV, Settings(policy), 141 * GB) == Settings(policy)


def test_more_is_shared_only_where_there_is_deepspeed() -> None:
    assert nearest_fitting(FULL, Settings("full"), 48 * GB) is None
    shared = Settings("full", devices=8, stage=2)
    nearest = nearest_fitting(FULL, shared, 40 * GB, longest=8192)
    assert nearest is not None and nearest.stage == 3
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


def test_roofline_is_near_that_of_counted_kernels() -> None:
    """Counted kernel by kernel at this shape on an H200: 22.8 k and 16.9 k tokens a second."""
    for policy, wanted in (("none", 22_800), ("full", 16_900)):
        found = tokens_a_second(QV, policy, find_card("H200"), 0.28, 300)
        assert found == pytest.approx(wanted, rel=0.1)


def test_settings_are_read_from_deepspeeds_section(settings: SettingsOf) -> None:
    zero = {"stage": 3, "offload_param": {"device": "cpu"}, "reduce_bucket_size": 7}
    config = settings(deepspeed_config={"zero_optimization": zero})
    found = settings_of(config, 4)
    assert (found.stage, found.offload_weights, found.offload_optimizer) == (3, True, False)
    assert found.buckets == 500_000_007


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


def test_unknown_card_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"--gpu is 'B17', wanted one of RTX 4070 \(12 GB\)"):
        find_card("B17")
