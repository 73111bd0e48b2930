"""Stages that more than one journey has."""

import os
from pathlib import Path

from console import outcomes
from console.journey import Stage


def merge(base: str, adapter: str, output: str) -> Stage:
    """Return the stage that merges an adapter into its base; all three as a command takes them."""
    return Stage(
        "merge the adapter, with proof",
        f"scripts/convert_lora_weights.py --base-ckpt-path {base} --lora-ckpt-path {adapter} "
        f"--output-dir {output}",
        lambda root: outcomes.merged(root, Path(output).name),
    )


def resume_flag(run: Path) -> str:
    """Return the flag that goes on with an interrupted training, where it left a checkpoint."""
    return " --resume" if any(run.glob("step-*")) else ""


def from_root(path: Path | str, root: Path) -> str:
    """Return a path for commands that run in `root`: relative where it lies inside."""
    absolute = Path(os.path.abspath(path))
    return str(absolute.relative_to(root) if absolute.is_relative_to(root) else absolute)
