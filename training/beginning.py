"""What is checked and said as a run begins."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from model.blockwise import slow_kernels_line
from model.quantized import NF4_KINDS
from storage.replacement import restore
from training.best import Generated
from training.progress import Progress
from training.start import other_storage_line

if TYPE_CHECKING:
    from training.config import Config


def check_base_exists(config: "Config", config_file: str, flags: Collection[str]) -> None:
    """Raise FileNotFoundError where there is no base, with what named it: a flag, or the file."""
    base = config.model.checkpoint_dir
    restore(Path(base).expanduser())
    if Path(base).expanduser().exists():
        return
    source = "the flag" if "model.checkpoint_dir" in flags else config_file
    raise FileNotFoundError(
        f"model.checkpoint_dir is {base} (from {source}), which does not exist; name yours with "
        "--model.checkpoint_dir=D (python scripts/convert_from_meta_weights.py makes one)"
    )


def check_writable_directory(directory: Path) -> None:
    """Raise PermissionError where nothing can be written, before training starts."""
    nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise PermissionError(
            f"{directory} cannot be written: {nearest} is read-only or no directory; "
            "choose another checkpoint.output_dir"
        )


def start_warnings(
    config: "Config",
    device: torch.device,
    generated: Generated | None,
    resume: bool,
    total_steps: int,
) -> Iterator[str]:
    """Yield what the user should know before the first step."""
    training = config.training
    if training.max_steps is not None and total_steps < training.max_steps:
        others = ("epochs", "max_tokens")
        limits = " and ".join(f"training.{n}" for n in others if getattr(training, n) is not None)
        yield (
            f"this run takes {total_steps:,} of training.max_steps ({training.max_steps:,}), since "
            f"{limits} ends it before; set that to null to take them all"
        )
    if generated and generated.warning:
        yield generated.warning
    if config.reward and generated is None:
        yield (
            "best/ follows the loss on recorded replies, which says little of rewards; add "
            "--validation.generated.prompts=100, and best/ follows balanced"
        )
    if config.model.quantization in NF4_KINDS or config.optimizer.kind == "adamw8bit":
        yield from filter(None, [slow_kernels_line(device)])
    if not resume:
        yield from filter(None, [other_storage_line(config)])


def check_same_prompts(progress: Progress, fingerprint: str) -> None:
    """Remember which prompts are replied to; ValueError when the run began with others."""
    if progress.sample not in (None, fingerprint):
        raise ValueError(
            "this run was scored on other prompts so far: what validation.generated says "
            "(prompts, conversations_file, max_new_tokens) or the file it names has changed; put "
            "it back, or use another --name"
        )
    progress.sample = fingerprint


def reply_interval(config: "Config") -> int | str | None:
    """Return every how many steps, or at what, replies are generated; None at the end alone."""
    validation = config.validation
    own = validation.generated and validation.generated.every
    return own or validation.every
