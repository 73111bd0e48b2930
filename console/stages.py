"""Stages that more than one journey has."""

from console import outcomes
from console.journey import Stage


def merge(base: str, adapter: str, output: str) -> Stage:
    """Return the stage that merges an adapter into its base; all three as a command takes them."""
    return Stage(
        "merge the adapter, with proof",
        f"scripts/convert_lora_weights.py --base-ckpt-path {base} --lora-ckpt-path {adapter} "
        f"--output-dir {output}",
        outcomes.merged,
    )
