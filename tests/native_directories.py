"""Native model directories and LoRA checkpoints made on the spot."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from meta_directories import write_tiktoken_file
from safetensors.torch import save_file
from tiny_models import random_model
from torch import Tensor

from model.config import ModelConfig, rope_params
from model.lora.adapter import adapter_state, add_lora
from model.lora.config import ADAPTER_FILE, LoraConfig
from model.transformer import Transformer
from weights.chat_record import write_chat_record
from weights.directory import WEIGHTS_FILE
from weights.tokenizer_file import TOKENIZER_FILE


def write_native(
    path: Path, config: ModelConfig, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Path:
    """Write a random model as a native directory; return `path`."""
    path.mkdir(parents=True)
    model = random_model(config, seed).to(dtype)
    names = dict(model.named_parameters())
    save_file({name: parameter.detach() for name, parameter in names.items()}, path / WEIGHTS_FILE)
    write_params(path, config)
    write_tiktoken_file(path / TOKENIZER_FILE, config.vocab_size)
    return path


def write_params(path: Path, config: ModelConfig) -> None:
    """Write the params.json of a native directory."""
    params = {**asdict(config), **rope_params(config.rope_scaling)}
    del params["rope_scaling"]
    (path / "params.json").write_text(json.dumps(params))


def random_adapter(config: ModelConfig, lora: LoraConfig, size: float) -> dict[str, Tensor]:
    """Return an adapter with A as a new one has it and all else off by this size, like B from 0."""
    model: Transformer = random_model(config)
    add_lora(model, lora)
    generator = torch.Generator().manual_seed(7)
    return {
        name: tensor.clone()
        if name.endswith("lora_a")
        else tensor + torch.randn(tensor.shape, generator=generator) * size
        for name, tensor in adapter_state(model).items()
    }


def write_adapter(
    path: Path, config: ModelConfig, lora: LoraConfig, size: float = 0.02
) -> dict[str, Tensor]:
    """Write a LoRA checkpoint as finetune.py leaves it; return its tensors."""
    path.mkdir(parents=True)
    state = random_adapter(config, lora, size)
    save_file(state, path / ADAPTER_FILE)
    lora.write(path)
    write_chat_record(path, "llama3")
    write_params(path, config)
    write_tiktoken_file(path / TOKENIZER_FILE, config.vocab_size)
    return state
