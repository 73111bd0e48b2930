"""Runs in which one rank's loss is not finite in some steps, with what they leave.

    deepspeed --num_gpus=2 tests/training/zero/not_finite_cases.py --cases CASES --output-dir DIR

Every JSON file in CASES is a configuration. DIR gets NAME.safetensors, the gathered masters at the
end, and NAME.json: the line of the error that each rank ended with, and whether the run gave the
same masters, bit for bit, when it was resumed from its fourth step.
"""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from poisoned import Poisoned
from safetensors.torch import save_file
from torch import Tensor
from zero_cases import backend_of, masters_of

from console.command import one_line, run
from training.config import Config, read_config
from training.feed import Feed
from training.objective import Supervised
from training.setup import open_checkpoints, open_splits, train
from training.zero.ranks import Ranks, joined_ranks


def main(cases: str, output_dir: str, local_rank: int | None = None) -> None:
    """Run the cases one after the other.

    Args:
        cases: The directory of configurations.
        output_dir: Where to write what came out.
        local_rank: Given by the launcher.
    """
    with joined_ranks("cpu") as ranks:
        poison = Poisoned(ranks)
        with (
            patch.object(Feed, "step", lambda *given: poison.taken(*given)),
            patch.object(Supervised, "loss", lambda *given: poison.poisoned(*given)),
        ):
            for file in sorted(Path(cases).glob("*.json")):
                run_case(read_config(file), ranks, Path(output_dir))


def run_case(config: Config, ranks: Ranks, output: Path) -> None:
    """Train, and once more from the fourth step; write what came out."""
    said, masters = trained(config, ranks, resume=False)
    seen: dict[str, Any] = {"said": said}
    if not any(said):
        if ranks.rank == 0:
            save_file(masters, output / f"{config.name}.safetensors")
            (config.run_dir / "latest").write_text("step-000004")
        _, again = trained(config, ranks, resume=True)
        seen["same"] = all(torch.equal(masters[name], again[name]) for name in masters)
    if ranks.rank == 0:
        (output / f"{config.name}.json").write_text(json.dumps(seen))


def trained(config: Config, ranks: Ranks, resume: bool) -> tuple[list[str], dict[str, Tensor]]:
    """Return the error of each rank, empty for none, and the masters at the end."""
    splits = open_splits(config)
    checkpoints = open_checkpoints(config, splits.chat_format, resume)
    backend = backend_of(config, ranks)
    said = ""
    try:
        train(config, splits, checkpoints, backend, resume)
    except ValueError as error:
        said = one_line(error)
    masters = masters_of(backend)
    heard = backend.on_every_rank(lambda: said)
    backend.engine.destroy()
    return heard, masters


if __name__ == "__main__":
    run(main)
