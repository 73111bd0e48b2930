"""What to change in a run that does not fit: the nearest settings that do, and their flags."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from model.quantized import NF4_KINDS
from training.planning.memory import POLICIES, Method
from training.planning.plan import MOMENT_BYTES, TRAINED_SHARE, Settings, fits

LEAST_MICRO_BATCH = 1024


class Choice(NamedTuple):
    """What is trained, and with what settings."""

    method: Method
    settings: Settings


def nearest_fitting(
    asked: Choice,
    memory: int,
    trained_share: float = TRAINED_SHARE,
    longest: int = LEAST_MICRO_BATCH,
) -> Choice | None:
    """Return the choice nearest to this one that fits a device's bytes, None where none does.

    First more is recomputed, then micro-batches are halved while the `longest` conversation fits
    them, then less is kept (`_keeping_less`).
    """
    for method, settings in _keeping_less(*asked):
        tokens = settings.micro_batch_tokens
        least = min(longest, tokens)
        while tokens >= least:
            for policy in _policies(settings.policy):
                tried = replace(settings, policy=policy, micro_batch_tokens=tokens)
                if fits(method, tried, memory, trained_share):
                    return Choice(method, tried)
            tokens //= 2
    return None


def _policies(asked: str) -> tuple[str, ...]:
    """Return this policy and those that recompute more; `auto` may be any."""
    return POLICIES if asked == "auto" else POLICIES[POLICIES.index(asked) :]


def _keeping_less(method: Method, settings: Settings) -> Iterator[Choice]:
    """Yield choices that keep ever less on a device.

    With DeepSpeed devices share more. Then an adapter's base is in NF4; or where all weights are
    trained on one device, moments are in 8 bits, then weights in 16. At last DeepSpeed moves the
    optimizer to the host, then the weights.
    """
    yield Choice(method, settings)
    if settings.stage is not None:
        for stage in range(max(1, settings.stage) + 1, 4):
            settings = replace(settings, stage=stage)
            yield Choice(method, settings)
    if method.lora is not None:
        kind = method.quantization if method.quantization in NF4_KINDS else "nf4_double"
        yield Choice(replace(method, quantization=kind), settings)
    elif settings.stage is None and settings.moment_bytes:
        settings = replace(settings, moment_bytes=MOMENT_BYTES["adamw8bit"])
        yield Choice(method, settings)
        yield Choice(replace(method, rounded=True, autocast=False), settings)
    if settings.stage is not None:
        settings = replace(settings, offload_optimizer=True)
        yield Choice(method, settings)
        yield Choice(method, replace(settings, offload_weights=True))


def flags_between(choice: Choice, other: Choice) -> str:
    """Return the flags that make the former choice the latter; a policy left open needs none."""
    (method, settings), flags = choice, []
    if settings.policy not in ("auto", other.settings.policy):
        flags.append(f"--training.activation_checkpointing={other.settings.policy}")
    if other.settings.micro_batch_tokens != settings.micro_batch_tokens:
        flags.append(f"--training.micro_batch_tokens={other.settings.micro_batch_tokens}")
    if other.method.quantization != method.quantization:
        flags.append(f"--model.quantization={other.method.quantization}")
    if other.settings.moment_bytes != settings.moment_bytes:
        flags.append("--optimizer.kind=adamw8bit")
    if other.method.rounded and not method.rounded:
        flags.append("--optimizer.stochastic_rounding=true")
    zero = "--deepspeed_config.zero_optimization"
    if other.settings.stage != settings.stage:
        flags.append(f"{zero}.stage={other.settings.stage}")
    if other.settings.offload_optimizer and not settings.offload_optimizer:
        flags.append(f"{zero}.offload_optimizer.device=cpu")
    if other.settings.offload_weights and not settings.offload_weights:
        flags.append(f"{zero}.offload_param.device=cpu")
    return " ".join(flags)
