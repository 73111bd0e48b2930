"""Before a run on a GPU: does the formula say that it fits, and what is computed again."""

import torch
import torch.distributed as dist

from data.tokenized import TokenizedDataset
from model.config import ModelConfig
from training.config import Config
from training.planning.cards import GB
from training.planning.memory import POLICIES, base_parameters
from training.planning.nearest import Choice, flags_between, nearest_fitting
from training.planning.plan import (
    fits,
    memory_use,
    method_of,
    settings_of,
    usable,
    with_policy,
)
from weights.directory import resolve_directory

# From so many weights on a step on a processor takes minutes.
LARGE = 1e9


def fitting_policy(
    config: Config,
    train: TokenizedDataset,
    device: torch.device,
    fit_anyway: bool = False,
    devices: int = 1,
) -> str:
    """Return what is computed again in the backward pass: none, selective or full.

    On CUDA, print it with its reason, and raise ValueError with the nearest settings that fit where
    these do not, unless `fit_anyway`. Every rank returns the same. On the CPU `auto` is none, and a
    large model that nobody sent there is told of.
    """
    if device.type != "cuda":
        weights = base_parameters(ModelConfig.read(resolve_directory(config.model.checkpoint_dir)))
        if config.model.device == "auto" and weights > LARGE:
            _say_once(
                f"{weights / 1e9:.1f} billion weights on the processor, which is slow: torch sees "
                "no CUDA device; python scripts/doctor.py says what it lacks"
            )
        asked = config.training.activation_checkpointing
        return POLICIES[0] if asked == "auto" else asked
    policy, reason = choose_policy(config, train, free_memory(device), devices, fit_anyway)
    _say_once(f"activation checkpointing: {policy}; {reason}")
    return policy


def _say_once(line: str) -> None:
    """Print a line on the first rank alone."""
    if not dist.is_initialized() or dist.get_rank() == 0:
        print(line)


def choose_policy(
    config: Config, train: TokenizedDataset, free: int, devices: int, fit_anyway: bool = False
) -> tuple[str, str]:
    """Return the policy for `free` bytes on each device, and its reason; raise as above."""
    model = ModelConfig.read(resolve_directory(config.model.checkpoint_dir))
    method, asked = method_of(config, model), settings_of(config, devices)
    share = train.trained_tokens / train.total_tokens
    chosen = with_policy(method, asked, free, share)
    wanted = memory_use(method, chosen, share).device_total
    reason = (
        f"by the formula a step takes {wanted / GB:.1f} GB, and {usable(free) / GB:.1f} GB of "
        f"the device's free {free / GB:.1f} GB are counted on"
    )
    if fits(method, chosen, free, share) or fit_anyway:
        return chosen.policy, reason
    longest = int(train.lengths.max())
    nearest = nearest_fitting(Choice(method, asked), free, share, longest)
    hint = nearest and flags_between(Choice(method, asked), nearest)
    raise ValueError(
        f"this run does not fit: {reason}; "
        + (f"what fits: {hint}" if hint else "no settings of this model and method fit")
        + "; or try it with --fit-anyway"
    )


def free_memory(device: torch.device) -> int:
    """Return the free bytes of this device, of all ranks' devices the least."""
    free = torch.tensor(torch.cuda.mem_get_info(device)[0], device=device)
    if dist.is_initialized():
        dist.all_reduce(free, op=dist.ReduceOp.MIN)
    return int(free.item())
