"""A model directory, a dataset and settings small enough to train in a second."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from small_datasets import write_dataset
from tiny_models import TINY, random_model

from data.split_files import Encoding, Origin, Sample
from model.config import ModelConfig
from storage.manifest import sha256_of_file
from training.backends import NativeBackend
from weights.directory import WEIGHTS_FILE

if TYPE_CHECKING:
    from training.config import Config


def write_base(directory: Path, config: ModelConfig = TINY) -> Path:
    """Write a native model directory of a tiny shape."""
    directory.mkdir()
    named = dict(random_model(config).named_parameters())
    save_file({name: p.detach() for name, p in named.items()}, directory / WEIGHTS_FILE)
    params = {**asdict(config), "use_scaled_rope": False}
    (directory / "params.json").write_text(json.dumps(params))
    (directory / "tokenizer.model").write_bytes(b"any file: training only compares its hash")
    return directory


def samples(count: int, seed: int) -> Iterator[Sample]:
    """Conversations of uneven length and uneven masks, every fourth in validation."""
    draw = np.random.default_rng(seed)
    for index in range(count):
        length = int(draw.integers(6, 60))
        trained = draw.random(length) < draw.uniform(0.05, 0.9)
        trained[0], trained[-1] = False, True
        split = "validation" if index % 4 == 3 else "train"
        yield Sample(draw.integers(0, 384, length), trained, split, Origin(str(index)))


def settings_in(workspace: Path, model: ModelConfig = TINY) -> Callable[..., "Config"]:
    """Return a function from `section__key=value` to settings over a model and a dataset there."""
    base = write_base(workspace / "base", model)
    encoding = Encoding("llama3", sha256_of_file(base / "tokenizer.model"), 384, {})
    write_dataset(workspace / "dataset", samples(40, seed=1), encoding)
    return settings_over(base, workspace / "dataset", workspace)


def pair_samples(count: int, seed: int) -> Iterator[Sample]:
    """Pairs of replies to one prompt, the chosen one first; every fourth pair in validation."""
    draw = np.random.default_rng(seed)
    for index in range(count):
        prompt = draw.integers(0, 384, int(draw.integers(3, 20)))
        for side in ("chosen", "rejected"):
            reply = draw.integers(0, 384, int(draw.integers(2, 15)))
            trained = np.repeat([False, True], [len(prompt), len(reply)])
            split = "validation" if index % 4 == 3 else "train"
            tokens = np.concatenate([prompt, reply])
            yield Sample(tokens, trained, split, Origin(f"{index}-{side}"))


def pair_settings_in(workspace: Path, model: ModelConfig = TINY) -> Callable[..., "Config"]:
    """Return `settings_in` a workspace whose dataset holds 30 + 10 pairs, to learn preferences."""
    make = settings_in(workspace, model)
    sha256 = sha256_of_file(workspace / "base" / "tokenizer.model")
    encoding, samples = Encoding("llama3", sha256, 384, {}), pair_samples(40, seed=2)
    write_dataset(workspace / "pairs", samples, encoding, lambda: {"group_size": 2})
    chosen = {"data__dataset_dir": str(workspace / "pairs"), "preference": {"beta": 0.5}}

    def make_preferring(**changes: Any) -> "Config":
        return make(**{**chosen, **changes})

    return make_preferring


def settings_over(base: Path, dataset: Path, workspace: Path) -> Callable[..., "Config"]:
    """Return such a function for a model and a dataset; the runs write to `workspace`."""
    from training.config import Config

    values: dict[str, Any] = {
        "name": "run",
        "model": {"checkpoint_dir": str(base), "dtype": "float32", "device": "cpu"},
        "data": {"dataset_dir": str(dataset)},
        "lora": {"rank": 4, "alpha": 8},
        "training": {"epochs": 1, "batch_size": 5, "micro_batch_tokens": 64, "max_steps": 6},
        "schedule": {"learning_rate": 1e-2},
        "validation": {"every": 3},
        "checkpoint": {"output_dir": str(workspace / "checkpoints"), "every": 2, "keep_last": 2},
        "logging": {"output_dir": str(workspace / "logs")},
    }

    def make(**changes: Any) -> Config:
        merged = json.loads(json.dumps(values))
        for key, value in changes.items():
            *sections, last = key.split("__")
            place = merged
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        return Config.model_validate(merged)

    return make


def train_natively(
    config: "Config", resume: bool = False, new_schedule: bool = False
) -> NativeBackend:
    """Do what finetune.py does and hand back the backend."""
    from evaluation.sample import open_sample
    from rewards.opening import open_rollouts
    from training.optim import stored_dtype
    from training.setup import build_model, open_checkpoints, open_splits, train

    device, dtype = torch.device("cpu"), getattr(torch, config.model.dtype)
    splits = open_splits(config)
    checkpoints = open_checkpoints(config, splits.chat_format, resume, new_schedule)
    sample = open_sample(config.validation, config.seed, config.model.checkpoint_dir, *splits)
    rollouts = open_rollouts(config, *splits, sample)
    torch.manual_seed(config.seed)
    stored = stored_dtype(config)
    model = build_model(config, device, stored, resume=resume)
    backend = NativeBackend(model, config.optimizer, device, dtype, autocast=stored != dtype)
    train(config, splits, checkpoints, backend, resume, sample, rollouts)
    return backend
