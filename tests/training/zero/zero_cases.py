"""Several training runs in one launch, each as ds_finetune.py does it, with what they leave.

    deepspeed --num_gpus=2 tests/training/zero/zero_cases.py --cases CASES --output-dir DIR

Every JSON file in CASES is a configuration. DIR gets NAME.safetensors, the gathered masters, and
NAME.json, what was seen on the way; at stage 3 also each rank's own part of the masters.

Replies are those to the configuration's own sample, where it asks for one. Otherwise the ranks
reply to prompts of different length, without end.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from console.command import run
from evaluation.during_training import Sample
from evaluation.sample import open_sample
from inference.generate import Decoding, complete
from rewards.opening import open_rollouts
from training.backends import Backend
from training.best import Outcome
from training.config import Config, read_config
from training.setup import build_model, open_checkpoints, open_splits, train
from training.zero.engine import DeepSpeedBackend
from training.zero.placing import place_on_arrival
from training.zero.ranks import Ranks, joined_ranks
from training.zero.settings import engine_config

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
    splits = open_splits(config)
    checkpoints = open_checkpoints(config, splits.chat_format, resume=False)
    sample = open_sample(config.validation, config.seed, config.model.checkpoint_dir, *splits)
    rollouts = open_rollouts(config, *splits, sample)
    backend = backend_of(config, ranks)
    seen: dict[str, Any] = {"unchanged_by_validation": [], "replies": {}}
    train(config, splits, checkpoints, backend, False, Watched(seen, sample), rollouts)
    masters = masters_of(backend)
    if backend.stage == 3:
        save_own_parts(backend, output / f"{config.name}.rank-{ranks.rank}.safetensors")
        seen["elements_here"] = sum(p.ds_tensor.numel() for p in backend.model.parameters())
    if ranks.rank == 0:
        save_file(masters, output / f"{config.name}.safetensors")
        (output / f"{config.name}.json").write_text(json.dumps(seen))
    backend.engine.destroy()


def backend_of(config: Config, ranks: Ranks) -> DeepSpeedBackend:
    """Build the model and hand it to DeepSpeed, as ds_finetune.py does."""
    engine, dtype = engine_config(config, ranks.world_size), getattr(torch, config.model.dtype)
    torch.manual_seed(config.seed)
    place = place_on_arrival(engine, ranks.device, dtype, config.model.quantization)
    model = build_model(config, ranks.device, dtype, place)
    return DeepSpeedBackend(model, config.optimizer, engine, ranks)


@dataclass(frozen=True)
class Watched:
    """Generates replies on every rank, and records whether that changed a weight."""

    seen: dict[str, Any]
    sample: Sample | None

    @property
    def fingerprint(self) -> str:
        return self.sample.fingerprint if self.sample else ""

    @property
    def warning(self) -> str:
        return self.sample.warning if self.sample else ""

    def __call__(
        self, backend: Backend, most: int | None, look: Callable[[], None] | None = None
    ) -> Outcome:
        before = masters_of(backend)
        outcome = self.replied(backend, most, look)
        after = masters_of(backend)
        same = all(torch.equal(before[name], after[name]) for name in before)
        self.seen["unchanged_by_validation"].append(same)
        return outcome

    def replied(
        self, backend: Backend, most: int | None, look: Callable[[], None] | None
    ) -> Outcome:
        if self.sample:
            replies = self.sample(backend, most, look)
            self.seen["texts"] = [judged.answer.text for judged in replies.judged]
            return replies
        tokens = sum(map(len, replies_of(backend, self.seen).values()))
        return Counted(backend.sum(torch.tensor(float(tokens))).item())


@dataclass(frozen=True)
class Counted:
    """How many tokens all ranks generated; nothing is scored."""

    tokens: float
    reached: int = 0
    line: str = ""

    @property
    def figures(self) -> dict[str, float]:
        return {"generated_tokens": self.tokens}

    @property
    def texts(self) -> dict[str, str]:
        return {}

    def counts(self, figure: str) -> list[tuple[int, int]]:
        return []


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
