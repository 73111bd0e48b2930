"""What DeepSpeed is told: our settings, the user's section, and no contradiction between them."""

from collections.abc import Callable
from typing import Any

import pytest

from training.config import Config
from training.zero.settings import engine_config, zero_stage

Settings = Callable[..., Config]


def told(
    settings: Settings, section: dict[str, Any], ranks: int = 1, **more: Any
) -> dict[str, Any]:
    return engine_config(settings(deepspeed_config=section, **more), ranks)


def test_derived_keys_follow_our_settings(settings: Settings) -> None:
    engine = told(settings, {"zero_optimization": {"stage": 3}}, ranks=4)
    assert engine["train_batch_size"] == 4
    assert engine["gradient_clipping"] == 1.0
    assert engine["bf16"] == {"enabled": False}
    assert zero_stage(engine) == 3
    halves = told(settings, {}, model__dtype="bfloat16", optimizer={"clip_norm": None})
    assert halves["bf16"] == {"enabled": True}
    assert halves["gradient_clipping"] == 0.0


def test_base_in_fp8_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"'fp8', which finetune.py alone trains on.*=nf4_double"):
        told(settings, {}, model__quantization="fp8", model__dtype="bfloat16")


def test_without_a_section_the_stage_is_2(settings: Settings) -> None:
    assert zero_stage(engine_config(settings(), 2)) == 2


def test_the_users_own_choices_are_passed_on(settings: Settings) -> None:
    zero = {"stage": 3, "offload_param": {"device": "cpu"}, "reduce_bucket_size": "auto"}
    section = {"zero_optimization": zero, "wall_clock_breakdown": True, "bf16": {"enabled": "auto"}}
    engine = told(settings, section)
    assert engine["zero_optimization"] == {"stage": 3, "offload_param": {"device": "cpu"}}
    assert engine["wall_clock_breakdown"] is True


AGREEING = {
    "train_batch_size": 32,
    "train_micro_batch_size_per_gpu": 2,
    "gradient_accumulation_steps": 16,
    "gradient_clipping": 1.0,
    "bf16": {"enabled": True},
    "fp16": {"enabled": False},
    "optimizer": {
        "type": "AdamW",
        "params": {"lr": 3e-4, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0},
    },
    "scheduler": {
        "type": "WarmupCosineLR",
        "params": {"warmup_num_steps": 200, "total_num_steps": 5000},
    },
    "zero_optimization": {"stage": 2},
}
OURS: dict[str, Any] = {
    "model__dtype": "bfloat16",
    "training__batch_size": 32,
    "schedule": {"learning_rate": 3e-4, "warmup_steps": 200, "total_steps": 5000},
}


def test_a_pasted_section_that_says_the_same_twice_is_accepted(settings: Settings) -> None:
    engine = told(settings, AGREEING, **OURS)
    assert engine["train_micro_batch_size_per_gpu"] == engine["gradient_accumulation_steps"] == 1
    assert "optimizer" not in engine and "scheduler" not in engine


@pytest.mark.parametrize(
    ("key", "value", "both"),
    [
        (
            "train_batch_size",
            64,
            ["deepspeed_config.train_batch_size is 64", "training.batch_size"],
        ),
        ("gradient_clipping", 0.5, ["gradient_clipping is 0.5", "optimizer.clip_norm is 1.0"]),
        (
            "bf16",
            {"enabled": False},
            ["bf16.enabled is False", "model.dtype == 'bfloat16' is True"],
        ),
        (
            "bf16",
            {"check_grad_overflow": False},
            ["bf16.check_grad_overflow is False", "is True"],
        ),
        ("fp16", {"enabled": True}, ["fp16.enabled is True", "model.dtype"]),
        (
            "optimizer",
            {"type": "AdamW", "params": {"lr": 1e-3}},
            ["optimizer.params.lr is 0.001", "schedule.learning_rate is 0.0003"],
        ),
        (
            "optimizer",
            {"type": "Lamb"},
            ["deepspeed_config.optimizer.type is 'Lamb'", "optimizer.kind is 'adamw'"],
        ),
        (
            "scheduler",
            {"type": "WarmupDecayLR"},
            ["scheduler.type is 'WarmupDecayLR'", "schedule.kind is 'cosine'"],
        ),
        (
            "scheduler",
            {"params": {"warmup_num_steps": 10}},
            ["scheduler.params.warmup_num_steps is 10", "schedule.warmup_steps is 200"],
        ),
        (
            "gradient_accumulation_steps",
            3,
            ["deepspeed_config.gradient_accumulation_steps 3", "training.batch_size is 32"],
        ),
        ("zero_force_ds_cpu_optimizer", True, ["zero_force_ds_cpu_optimizer is True"]),
    ],
)
def test_a_contradiction_names_both_keys(
    settings: Settings, key: str, value: Any, both: list[str]
) -> None:
    with pytest.raises(ValueError) as refused:
        told(settings, {**AGREEING, key: value}, **OURS)
    assert all(part in str(refused.value) for part in both), refused.value


def test_pasted_warm_up_steps_beside_a_share_are_refused(settings: Settings) -> None:
    pasted = {"scheduler": {"params": {"warmup_num_steps": 200}}}
    with pytest.raises(ValueError, match=r"num_steps is 200, and schedule.warmup_share is 0.04"):
        told(settings, pasted, model__dtype="bfloat16")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"zero_optimisation": {}}, "zero_optimisation has no effect.*'zero_optimization'"),
        ({"amp": {"enabled": True}}, r"deepspeed_config\.amp has no effect"),
        ({"zero_optimization": 3}, "zero_optimization is 3, wanted an object"),
        ({"bf16": True}, "bf16 is True, wanted an object"),
        ({"checkpoint": {"load_universal": True}}, r"deepspeed_config\.checkpoint has no effect"),
        ({"zero_optimization": {"stage": 4}}, "stage is 4, wanted 0, 1, 2 or 3"),
        (
            {"zero_optimization": {"stage": 2, "offload_param": {"device": "cpu"}}},
            "offload_param needs stage 3, found 2",
        ),
        (
            {"zero_optimization": {"stage": 2, "overlap_com": True}},
            r"zero_optimization\.overlap_com is True.*did you mean 'overlap_comm'",
        ),
        (
            {"zero_optimization": {"stage": 2, "offload_optimizer": {"devise": "cpu"}}},
            r"zero_optimization\.offload_optimizer\.devise is 'cpu'.*'device'",
        ),
        (
            {"zero_optimization": {"stage": 2, "reduce_bucket_size": "big"}},
            r"zero_optimization\.reduce_bucket_size is 'big'",
        ),
        (
            {"zero_optimization": {"stage": 0, "offload_optimizer": {"device": "cpu"}}},
            "offload_optimizer has no effect at stage 0",
        ),
        (
            {"optimizer": {"params": {"momentum": 0.9}}},
            r"optimizer\.params\.momentum has no effect",
        ),
    ],
)
def test_a_section_without_the_intended_effect_is_refused(
    settings: Settings, section: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        told(settings, section)


def test_stage_0_in_bfloat16_is_refused_with_the_reason(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"an optimizer step without a gradient.*use stage 1"):
        told(settings, {"zero_optimization": {"stage": 0}}, model__dtype="bfloat16")


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_float16_is_refused_at_every_stage(settings: Settings, stage: int) -> None:
    with pytest.raises(ValueError, match=r"'float16', which finetune.py alone .*dtype=bfloat16"):
        told(settings, {"zero_optimization": {"stage": stage}}, model__dtype="float16")


def test_more_ranks_than_conversations_in_a_step_are_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"batch_size is 5 conversations a step for 8 ranks"):
        engine_config(settings(), 8)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"kind": "adamw8bit"}, r"blocks of 256 values.*--optimizer.kind=adamw"),
        ({"stochastic_rounding": True}, r"masters are its own.*stochastic_rounding=false"),
        ({"in_backward": True, "clip_norm": None}, r"over ranks.*in_backward=false"),
    ],
)
def test_optimizers_of_one_device_are_refused_by_name(
    settings: Settings, optimizer: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        told(settings, {}, lora=None, model__dtype="bfloat16", optimizer=optimizer)
