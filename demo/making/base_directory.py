"""The sizes of the demo's base, and how its weights become a native directory."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from model.config import PARAMS_FILE, ModelConfig
from storage.atomic import new_directory
from storage.json_file import write_json
from weights.directory import KIND, WEIGHTS_FILE, layout_of, write_safetensors
from weights.tokenizer_file import TOKENIZER_FILE

# 2.14 million weights with a vocabulary of 3,072: 4.3 MB in bfloat16, 5.5 MB with the output that
# Meta's shards store apart. Deep and narrow: finding the right name takes several hops, and hardly
# anything has to be known.
SIZES: dict[str, Any] = {
    "dim": 192,
    "n_layers": 6,
    "n_heads": 4,
    "n_kv_heads": 2,
    "hidden_dim": 256,
    "norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tied_embeddings": True,
}


def base_config(vocab_size: int) -> ModelConfig:
    """Return the configuration of the base for a vocabulary."""
    return ModelConfig.from_params({**SIZES, "vocab_size": vocab_size})


def write_base(directory: Path, weights: Mapping[str, Tensor], tokenizer: Path) -> None:
    """Write a native directory of the base's weights, which name no `output.weight`."""
    params = {**SIZES, "vocab_size": len(weights["tok_embeddings.weight"])}
    with new_directory(directory, KIND) as partial:
        write_json(partial / PARAMS_FILE, params)
        write_safetensors(partial / WEIGHTS_FILE, layout_of(weights), weights.items())
        shutil.copyfile(tokenizer, partial / TOKENIZER_FILE)
