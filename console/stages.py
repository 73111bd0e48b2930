"""Stages that more than one journey has."""

import os
from collections.abc import Mapping
from pathlib import Path

from console import outcomes
from console.command import shell_quote
from console.journey import Stage


def merge(base: str, adapter: str, output: str) -> Stage:
    """Return the stage that merges an adapter into its base; all three as a command takes them."""
    return Stage(
        "merge the adapter, with proof",
        f"scripts/convert_lora_weights.py --base-ckpt-path {base} --lora-ckpt-path {adapter} "
        f"--output-dir {output}",
        lambda root: outcomes.merged(root, Path(output).name),
    )


def plan(
    config_file: str, base: str, dataset: str, directory: str, settings: Mapping[str, str]
) -> Stage:
    """Return the stage that writes the run's config.json; `directory` is the run's, as typed."""
    given = "".join(f" --{key}={shell_quote(value)}" for key, value in settings.items())
    return Stage(
        "choose a configuration for this machine",
        f"scripts/plan.py --config-file {config_file} --save-file {directory}/config.json "
        f"--model.checkpoint_dir={base} --data.dataset_dir={dataset} "
        f"--checkpoint.output_dir={directory}/checkpoints --logging.output_dir={directory}/logs"
        + given,
        lambda root: outcomes.configured(root / "config.json"),
    )


def finetune(title: str, name: str, directory: str, settings: Mapping[str, str]) -> Stage:
    """Return the stage that trains with the run's config.json, and goes on where it was stopped.

    `settings` are those that differ from the configuration, as typed.
    """
    given = "".join(f" --{key}={value}" for key, value in settings.items())
    return Stage(
        title,
        f"finetune.py --config-file {directory}/config.json --name={name}{given}",
        lambda root: outcomes.trained(root, name),
        more=lambda output: resume_flag(output / "checkpoints" / name),
    )


def resume_flag(run: Path) -> str:
    """Return the flag that goes on with an interrupted training, where it left a checkpoint."""
    return " --resume" if any(run.glob("step-*")) else ""


def from_root(path: Path | str, root: Path) -> str:
    """Return a path for commands that run in `root`: relative where it lies inside."""
    absolute = Path(os.path.abspath(path))
    return str(absolute.relative_to(root) if absolute.is_relative_to(root) else absolute)
