"""DeepSpeed's configuration: what the user's `deepspeed_config` says, and what our settings decide.

The two may overlap, since sections are pasted from elsewhere; they may not contradict each other.
"""

import difflib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from training.config import Config, OptimizerSection
from training.zero.installed import check_deepspeed

SECTION = "deepspeed_config"
DEFAULT_STAGE = 2
# What our settings decide, and DeepSpeed's names for it.
SCHEDULES = {"WarmupCosineLR": "cosine", "WarmupDecayLR": "linear", "WarmupLR": "constant"}
OPTIMIZERS = {"adam": "adamw", "adamw": "adamw", "sgd": "sgd"}
DERIVED = {
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps",
    "gradient_clipping",
    "optimizer",
    "scheduler",
    "bf16",
    "bfloat16",
    "fp16",
    "zero_allow_untested_optimizer",
    "zero_force_ds_cpu_optimizer",
}
# What goes to DeepSpeed as it is; everything else would have no effect here, or the wrong one.
PASSED_ON = {
    "zero_optimization",
    "data_types",
    "aio",
    "steps_per_print",
    "wall_clock_breakdown",
    "memory_breakdown",
    "dump_state",
    "flops_profiler",
    "comms_logger",
    "log_level",
}


def engine_config(config: Config, world_size: int) -> dict[str, Any]:
    """Return the whole configuration for `deepspeed.initialize`.

    Raises ValueError for an unknown key, for a value that contradicts ours (naming both keys), and
    for what DeepSpeed cannot do right.
    """
    given = without_auto(config.deepspeed_config or {})
    zero = check_together(config)
    _check_same_batches(given, config, world_size)
    _check_readable(zero)
    # Micro-batches are packed by tokens, and the loop says which is the last of a step; DeepSpeed
    # is to count none and to divide by nothing.
    return {
        "steps_per_print": sys.maxsize,
        **{key: value for key, value in given.items() if key in PASSED_ON},
        "zero_optimization": zero,
        "train_batch_size": world_size,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": config.optimizer.clip_norm or 0.0,
        "bf16": {**given.get("bf16", {}), "enabled": config.model.dtype == "bfloat16"},
        "zero_allow_untested_optimizer": True,
        # torch's fused AdamW also where the optimizer is offloaded: nothing to compile.
        "zero_force_ds_cpu_optimizer": False,
    }


def check_together(config: Config) -> dict[str, Any]:
    """Return what is said of ZeRO; ValueError where DeepSpeed cannot train what the rest asks for.

    Nothing of DeepSpeed is imported, and the number of ranks is not needed.
    """
    given = without_auto(config.deepspeed_config or {})
    _check_optimizer(config.optimizer)
    _check_known(given)
    for key, found, ours, wanted in _overlaps(given, config):
        if _ours(key, found) != wanted:
            raise ValueError(
                f"{SECTION}.{key} is {found!r}, and {ours} is {wanted!r}; make them "
                "equal, or remove the former: DeepSpeed is told ours"
            )
    zero = {"stage": DEFAULT_STAGE, **given.get("zero_optimization", {})}
    if config.reward and zero["stage"] == 3:
        raise ValueError(
            f"{SECTION}.zero_optimization.stage is 3, which leaves no rank a whole model, and "
            "reward lets each rank's model speak; set it to 0, 1 or 2"
        )
    _check_possible(zero, config)
    return zero


def zero_stage(engine: Mapping[str, Any]) -> int:
    """Return the ZeRO stage of an engine's configuration."""
    return int(engine["zero_optimization"]["stage"])


def without_auto(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section without the values `"auto"`, which elsewhere stand for derived ones."""
    return {
        key: without_auto(value) if isinstance(value, Mapping) else value
        for key, value in section.items()
        if value != "auto"
    }


def _check_optimizer(settings: OptimizerSection) -> None:
    """Raise ValueError for what DeepSpeed's flat, shared tensors leave no room for."""
    reasons = {
        "in_backward": "gradients are summed over ranks before a step",
        "stochastic_rounding": "the masters are its own, in float32",
    }
    for name, reason in reasons.items():
        if getattr(settings, name):
            raise ValueError(
                f"optimizer.{name} is true, and with DeepSpeed {reason}; add "
                f"--optimizer.{name}=false, or run finetune.py on one device"
            )
    if settings.kind == "adamw8bit":
        raise ValueError(
            "optimizer.kind is 'adamw8bit', and DeepSpeed cuts weights into one flat part a rank, "
            "so that blocks of 256 values would depend on the number of ranks; add "
            "--optimizer.kind=adamw, whose moments ZeRO shares, or run finetune.py on one device"
        )


def _check_known(given: Mapping[str, Any]) -> None:
    for key in given:
        if key not in DERIVED | PASSED_ON:
            close = difflib.get_close_matches(key, DERIVED | PASSED_ON, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            known = ", ".join(sorted(PASSED_ON))
            raise ValueError(
                f"{SECTION}.{key} has no effect here; {hint}passed on to DeepSpeed are {known}"
            )
    # The sections of DeepSpeed's that we look into ourselves.
    for key in ("zero_optimization", "bf16"):
        if not isinstance(given.get(key, {}), Mapping):
            raise ValueError(f"{SECTION}.{key} is {given[key]!r}, wanted an object")


def _overlaps(given: Mapping[str, Any], config: Config) -> Iterator[tuple[str, Any, str, Any]]:
    """Yield (key, value) of what is said twice, with (key, value) of our setting."""
    optimizer, schedule = config.optimizer, config.schedule
    bfloat16 = config.model.dtype == "bfloat16"
    warmup: tuple[str, Any] = ("schedule.warmup_steps", schedule.warmup_steps)
    if schedule.warmup_steps is None:
        warmup = ("schedule.warmup_share", schedule.warmup_share)
    said = {
        "train_batch_size": ("training.batch_size", config.training.batch_size),
        "gradient_clipping": ("optimizer.clip_norm", optimizer.clip_norm or 0.0),
        "bf16.enabled": ("model.dtype == 'bfloat16'", bfloat16),
        "bf16.check_grad_overflow": ("what each step is asked", True),
        "bfloat16.enabled": ("model.dtype == 'bfloat16'", bfloat16),
        "fp16.enabled": ("model.dtype == 'float16'", False),
        "optimizer.type": ("optimizer.kind", optimizer.kind),
        "optimizer.params.lr": ("schedule.learning_rate", schedule.learning_rate),
        "optimizer.params.betas": ("optimizer.betas", list(optimizer.betas)),
        "optimizer.params.eps": ("optimizer.eps", optimizer.eps),
        "optimizer.params.weight_decay": ("optimizer.weight_decay", optimizer.weight_decay),
        "scheduler.type": ("schedule.kind", schedule.kind),
        "scheduler.params.warmup_max_lr": ("schedule.learning_rate", schedule.learning_rate),
        "scheduler.params.warmup_num_steps": warmup,
        "scheduler.params.total_num_steps": ("schedule.total_steps", schedule.total_steps),
        "zero_allow_untested_optimizer": ("what optimizer.kind needs", True),
        "zero_force_ds_cpu_optimizer": ("what optimizer.kind needs", False),
    }
    for key, value in _leaves({k: v for k, v in given.items() if k in DERIVED}):
        if key in said:
            yield key, value, *said[key]
        elif key.startswith(("optimizer.", "scheduler.")):
            raise ValueError(
                f"{SECTION}.{key} has no effect here: optimizer.* and schedule.* of our settings "
                "decide; remove it"
            )


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _ours(key: str, value: Any) -> Any:
    """Return a value of DeepSpeed's as our settings spell it."""
    if key == "scheduler.type":
        return SCHEDULES.get(value, value)
    return OPTIMIZERS.get(str(value).lower(), value) if key == "optimizer.type" else value


def _check_same_batches(given: Mapping[str, Any], config: Config, world_size: int) -> None:
    """Raise ValueError unless a step's conversations are micro batch x accumulation x ranks."""
    keys = ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps")
    said = [(key, given[key]) for key in keys if key in given]
    product = world_size
    for key, value in said:
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{SECTION}.{key} is {value!r}, wanted a positive whole number")
        product *= value
    batch = config.training.batch_size
    if product == batch or (len(said) < 2 and batch % product == 0):
        return
    if said:
        times = " x ".join(f"{SECTION}.{key} {value}" for key, value in said)
        raise ValueError(
            f"{times} x {world_size} ranks is {product}, and training.batch_size is {batch}; make "
            "them equal, or remove the former: training.micro_batch_tokens packs micro-batches"
        )
    if batch < world_size:
        raise ValueError(
            f"training.batch_size is {batch} conversations a step for {world_size} ranks, so some "
            f"would have nothing to do; set it to {world_size} or more, or start fewer ranks"
        )


def _check_possible(zero: Mapping[str, Any], config: Config) -> None:
    stage = zero["stage"]
    if config.model.dtype == "float16":
        raise ValueError(
            "model.dtype is 'float16', which finetune.py alone trains in; add "
            "--model.dtype=bfloat16, or float32 where the devices have no bfloat16"
        )
    if config.model.quantization == "fp8":
        raise ValueError(
            "model.quantization is 'fp8', which finetune.py alone trains on: it is no parameter "
            "that ranks could share; add --model.quantization=nf4_double, or null"
        )
    if stage not in (0, 1, 2, 3):
        raise ValueError(f"{SECTION}.zero_optimization.stage is {stage!r}, wanted 0, 1, 2 or 3")
    if stage == 0 and config.model.dtype == "bfloat16":
        raise ValueError(
            f"{SECTION}.zero_optimization.stage is 0 and model.dtype is 'bfloat16': there "
            "DeepSpeed takes an optimizer step without a gradient before the first, so the numbers "
            "differ; use stage 1, or model.dtype 'float32'"
        )
    if stage == 0 and _offloads(zero, "offload_optimizer"):
        raise ValueError(
            f"{SECTION}.zero_optimization.offload_optimizer has no effect at stage 0; use stage 1 "
            "or more, or remove it"
        )
    if stage < 3 and _offloads(zero, "offload_param"):
        raise ValueError(
            f"{SECTION}.zero_optimization.offload_param needs stage 3, found {stage}; set the "
            "stage to 3, or keep offload_optimizer alone"
        )


def _check_readable(zero: Mapping[str, Any]) -> None:
    """Raise ValueError, with the key and the nearest known one, for what DeepSpeed cannot read."""
    check_deepspeed()
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    try:
        DeepSpeedZeroConfig(**zero)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, ("zero_optimization", *problem["loc"])))
        hint = ""
        if problem["type"] == "extra_forbidden":
            fields = DeepSpeedZeroConfig.model_fields
            known = [*fields, *(field.alias for field in fields.values() if field.alias)]
            near = difflib.get_close_matches(str(problem["loc"][-1]), [*known, "device"], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{SECTION}.{where} is {problem['input']!r}: DeepSpeed says {problem['msg']}{hint}"
        ) from None


def _offloads(zero: Mapping[str, Any], key: str) -> bool:
    return isinstance(zero.get(key), Mapping) and zero[key].get("device", "none") != "none"
