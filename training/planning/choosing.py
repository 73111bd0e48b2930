"""Settings for a model, a dataset and the device at hand that nobody has to choose."""

import json
from collections.abc import Collection
from typing import Any

import psutil
import torch

from model.config import ModelConfig
from model.fp8 import check_fp8
from training.config import Config
from training.planning.cards import GB
from training.planning.memory import POLICIES
from training.planning.nearest import Choice, nearest_fitting
from training.planning.plan import method_of, settings_of, usable
from training.planning.text import Dataset
from training.setup import find_device
from weights.directory import resolve_directory

# Learning rates of adapters by the widest model they are for, in numbers of a hidden state. The
# first is the demo's; a smaller step for each larger model is what the field has found.
RATES = ((256, 5e-3), (1024, 1e-3), (2048, 4e-4))
RATE = 2e-4


def choose_here(config: Config, given: Collection[str] = ()) -> tuple[dict[str, Any], str]:
    """Return a configuration that fits the device at hand, and why in a sentence.

    Asked settings are kept where they fit; else the nearest that do are taken. The dtype is the
    device's and the rate that of the model's width, unless `given` names them as model.dtype and
    schedule.learning_rate. ValueError where nothing fits, or the device cannot multiply in FP8.
    """
    directory = resolve_directory(config.model.checkpoint_dir)
    model = ModelConfig.read(directory)
    device = find_device(config.model.device)
    values = config.model_dump(mode="json")
    values["model"]["device"] = device.type
    if "model.dtype" not in given:
        values["model"]["dtype"] = _dtype(device)
    if config.model.quantization == "fp8":
        check_fp8(device, getattr(torch, values["model"]["dtype"]))
    if "schedule.learning_rate" not in given:
        values["schedule"]["learning_rate"] = _rate(model)
    config = Config.model_validate_json(json.dumps(values), strict=True)
    data, free = Dataset.read(config, None, None), _free(device)
    asked = Choice(method_of(config, model), settings_of(config, 1))
    fitting = nearest_fitting(asked, free, data.trained_share, data.longest)
    if fitting is None:
        raise ValueError(
            f"no settings fit {directory}: {usable(free) / GB:.1f} GB of {device.type}'s free "
            f"{free / GB:.1f} GB are counted on; take a smaller model, or free some memory"
        )
    method, settings = fitting
    policy = settings.policy if settings.policy != "auto" else POLICIES[0]
    values["model"]["quantization"] = method.quantization
    values["training"] |= {
        "micro_batch_tokens": settings.micro_batch_tokens,
        "activation_checkpointing": "auto" if device.type == "cuda" else policy,
    }
    stored = method.quantization or values["model"]["dtype"]
    return values, (
        f"on {device.type}, {free / GB:.1f} GB free: base in {stored}, "
        f"{settings.micro_batch_tokens:,} tokens at once, learning rate "
        f"{config.schedule.learning_rate:g}"
    )


def _rate(model: ModelConfig) -> float:
    return next((rate for width, rate in RATES if model.dim <= width), RATE)


def _dtype(device: torch.device) -> str:
    """Return what products are computed in: few processors are faster in bfloat16."""
    if device.type == "cpu":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(False) else "float16"


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
