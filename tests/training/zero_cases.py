"""Several training runs in one launch, each as ds_finetune.py does it, with what they leave.

    deepspeed --num_gpus=2 tests/training/zero_cases.py --cases CASES --output-dir DIR

Every JSON file in CASES is a configuration. DIR gets NAME.safetensors, the gathered masters, and
NAME.json, what was seen on the way; at stage 3 also each rank's own part of the masters.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from console.command import run
from model.generate import Decoding, complete
from training.backends import Backend
from training.config import Config, read_config
from training.ranks import Ranks, joined_ranks
from training.setup import build_model, open_checkpoints, open_splits, train
from training.zero import DeepSpeedBackend, partition_on_arrival
from training.zero_config import engine_config

# For each rank other prompts and other lengths, so that one is done long before the other.
PROMPTS = [[[5, 7, 11], [1, 2]], [[3], [9, 9, 9, 9], [100, 200]]]
MOST = [3, 17]


def main(cases: str, output_dir: str, local_rank: int | None = None) -> None:
    """Run the cases one after the other.

    Args:
        cases: The directory of configurations.
        output_dir: Where to write what came out.
        local_rank: Given by the launcher.
    """
    with joined_ranks("cpu") as ranks:
        for file in sorted(Path(cases).glob("*.json")):
            run_case(read_config(file), ranks, Path(output_dir))


def run_case(config: Config, ranks: Ranks, output: Path) -> None:
    """Train as one configuration says, and write what came out."""
    engine, dtype = engine_config(config, ranks.world_size), getattr(torch, config.model.dtype)
    splits, checkpoints = open_splits(config), open_checkpoints(config, resume=False)
    torch.manual_seed(config.seed)
    model = build_model(config, ranks.device, dtype, partition_on_arrival(engine, dtype))
    backend = DeepSpeedBackend(model, config.optimizer, engine, ranks)
    seen: dict[str, Any] = {"unchanged_by_validation": [], "replies": {}}
    train(config, splits, checkpoints, backend, False, watch_generation(seen))
    masters = masters_of(backend)
    if backend.stage == 3:
        save_own_parts(backend, output / f"{config.name}.rank-{ranks.rank}.safetensors")
        seen["elements_here"] = sum(p.ds_tensor.numel() for p in model.parameters())
    if ranks.rank == 0:
        save_file(masters, output / f"{config.name}.safetensors")
        (output / f"{config.name}.json").write_text(json.dumps(seen))
    backend.engine.destroy()


def watch_generation(seen: dict[str, Any]) -> Callable[[Backend], Mapping[str, float]]:
    """Return figures of replies, generated on every rank, and note whether that moved a weight."""

    def generated(backend: Backend) -> Mapping[str, float]:
        before = masters_of(backend)
        tokens = sum(map(len, replies_of(backend, seen).values()))
        after = masters_of(backend)
        same = all(torch.equal(before[name], after[name]) for name in before)
        seen["unchanged_by_validation"].append(same)
        return {"generated_tokens": backend.sum(torch.tensor(float(tokens))).item()}

    return generated


def replies_of(backend: Backend, seen: dict[str, Any]) -> dict[int, list[int]]:
    def anyone(busy: bool) -> bool:
        return bool(backend.sum(torch.tensor(float(busy))) > 0)

    decoding = Decoding(stop_ids=(), max_new_tokens=MOST[backend.rank])
    done = complete(backend.model, PROMPTS[backend.rank], decoding, anyone)
    replies = {row: completion.tokens for row, completion in done}
    seen["replies"] = {str(row): tokens for row, tokens in replies.items()}
    return replies


def masters_of(backend: Backend) -> dict[str, Tensor]:
    return {name: master.clone() for name, master in backend.trained_state()}


def save_own_parts(backend: DeepSpeedBackend, file: Path) -> None:
    """Write the parts of the masters that this rank's optimizer holds, as they lie in memory."""
    from deepspeed.utils import safe_get_local_fp32_param

    parts = {n: safe_get_local_fp32_param(p).clone() for n, p in backend.parameters.items()}
    save_file(parts, file)


if __name__ == "__main__":
    run(main)
