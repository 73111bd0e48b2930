"""Whether a run fits its devices.

training/planning/memory.py has the bytes of a step. Without DeepSpeed they are checked against the
step itself; how ZeRO shares them is DeepSpeed's documentation put into numbers, and not measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from model.config import ModelConfig
from training.planning.memory import (
    FLOAT32,
    POLICIES,
    Method,
    activation_bytes,
    base_parameters,
    frozen_bytes,
    trained_parameters,
)

if TYPE_CHECKING:
    from training.config import Config

# Left free on a device: CUDA's context, workspaces of libraries, fragmentation.
RESERVED_BYTES, RESERVED_SHARE = 10**9, 0.05
# Trained tokens of all, where no dataset says it; Glaive's conversations have 0.28.
TRAINED_SHARE = 0.3
# DeepSpeed's defaults, in numbers and not bytes.
BUCKET, LIVE_PARAMETERS, PREFETCH = 500_000_000, 1_000_000_000, 50_000_000
# What an optimizer keeps for a number: two moments, in 8 bits with two absmax for 256 of them.
MOMENT_BYTES = {"adamw": 2 * FLOAT32, "adamw8bit": 2 + 2 * FLOAT32 / 256, "sgd": 0}


@dataclass(frozen=True)
class Settings:
    """What decides the memory of a run beside its method.

    stage: ZeRO's, None without DeepSpeed.
    buckets: Numbers that DeepSpeed holds to reduce and to gather at stages 1 and 2.
    moment_bytes: What the optimizer keeps for each trained number.
    in_backward: Whether a gradient is freed as soon as its weight is updated.
    """

    policy: str = "none"
    micro_batch_tokens: int = 8192
    devices: int = 1
    stage: int | None = None
    offload_optimizer: bool = False
    offload_weights: bool = False
    buckets: int = 2 * BUCKET
    moment_bytes: float = 2 * FLOAT32
    in_backward: bool = False


@dataclass(frozen=True)
class Use:
    """Bytes by kind, of one rank, on its device and in the host's memory."""

    device: Mapping[str, int]
    host: Mapping[str, int]

    @property
    def device_total(self) -> int:
        """All bytes on the device."""
        return sum(self.device.values())


def method_of(config: "Config", model: ModelConfig) -> Method:
    """Return what a configuration trains; with DeepSpeed all weights may be in bfloat16."""
    half = config.model.dtype != "float32"
    rounded = config.optimizer.stochastic_rounding
    masters = config.lora is None and config.deepspeed_config is None and not rounded
    return Method(
        model,
        config.lora,
        bytes_per_number=2 if half else FLOAT32,
        autocast=half and masters,
        quantization=config.model.quantization,
        rounded=rounded,
    )


def settings_of(config: "Config", devices: int) -> Settings:
    """Return what a configuration says of memory; the policy may still be `auto`."""
    given = config.deepspeed_config
    zero: Mapping[str, Any] = (given or {}).get("zero_optimization", {})
    buckets = [_number(zero, f"{kind}_bucket_size", BUCKET) for kind in ("reduce", "allgather")]
    return Settings(
        policy=config.training.activation_checkpointing,
        micro_batch_tokens=config.training.micro_batch_tokens,
        devices=devices,
        stage=None if given is None else _number(zero, "stage", 2),
        offload_optimizer=_offloads(zero, "offload_optimizer"),
        offload_weights=_offloads(zero, "offload_param"),
        buckets=sum(buckets),
        moment_bytes=MOMENT_BYTES[config.optimizer.kind],
        in_backward=config.optimizer.in_backward,
    )


def memory_use(method: Method, settings: Settings, trained_share: float = TRAINED_SHARE) -> Use:
    """Return the bytes of one rank at the peak of a step."""
    trained, stage, ranks = trained_parameters(method), settings.stage, settings.devices
    masters, optimizer = method.trained_bytes * trained, int(settings.moment_bytes * trained)
    weights, buffers = frozen_bytes(method), 0
    gradients = 0 if settings.in_backward else method.trained_bytes * trained
    if stage is not None:
        number = method.bytes_per_number
        # Weights that compute beside their masters; with float32 they are the same at stage 0.
        weights += number * trained if stage else 0
        gradients = number * trained // (ranks if stage >= 2 else 1)
        buffers = number * min(settings.buckets, 2 * trained)
        masters, optimizer = (kind // (ranks if stage else 1) for kind in (masters, optimizer))
        if stage == 3:
            weights //= ranks
            whole = base_parameters(method.model) + trained
            buffers = number * min(LIVE_PARAMETERS + PREFETCH + BUCKET, whole)
    rows = round(trained_share * settings.micro_batch_tokens)
    activations = activation_bytes(method, settings.policy, settings.micro_batch_tokens, rows)
    if stage == 3:
        # The outputs of norms, which training/recomputation.py keeps there.
        model, norms = method.model, {"none": 2, "selective": 1, "full": 0}[settings.policy]
        kept = norms * method.bytes_per_number * model.dim * model.n_layers
        activations += kept * settings.micro_batch_tokens
    device = {"weights": weights, "masters": masters, "gradients": gradients}
    device |= {"optimizer": optimizer, "activations": activations, "communication": buffers}
    # Training refuses to move an optimizer that is not shared, and weights below stage 3.
    moved = ["masters", "optimizer"] * (settings.offload_optimizer and bool(stage))
    moved += ["weights"] * (settings.offload_weights and stage == 3)
    return Use(device | dict.fromkeys(moved, 0), {kind: device[kind] for kind in moved})


def usable(memory: int) -> int:
    """Return how many bytes of a device's free memory a step may take by the formula."""
    return max(0, int(memory * (1 - RESERVED_SHARE)) - RESERVED_BYTES)


def with_policy(
    method: Method, settings: Settings, memory: int, trained_share: float = TRAINED_SHARE
) -> Settings:
    """Return settings with `auto` replaced by the policy that recomputes least and fits.

    Where none fits it is `full`.
    """
    if settings.policy != "auto":
        return settings
    for policy in POLICIES:
        tried = replace(settings, policy=policy)
        if fits(method, tried, memory, trained_share):
            break
    return tried


def fits(
    method: Method, settings: Settings, memory: int, trained_share: float = TRAINED_SHARE
) -> bool:
    """Return whether a step fits a device with `memory` free bytes."""
    return memory_use(method, settings, trained_share).device_total <= usable(memory)


def _offloads(zero: Mapping[str, Any], key: str) -> bool:
    section = zero.get(key)
    return isinstance(section, Mapping) and section.get("device", "none") != "none"


def _number(zero: Mapping[str, Any], key: str, default: int) -> int:
    """Return a number of DeepSpeed's section, where it may also be 5e8 or `auto`, its default."""
    value = zero.get(key)
    return int(value) if isinstance(value, int | float) else default
