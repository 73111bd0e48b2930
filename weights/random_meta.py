"""Random weights written the way Meta ships a model, to try every command without a download."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import PARAMS_FILE, ModelConfig
from storage.atomic import check_own_directory, new_directory
from storage.json_file import write_json
from storage.verified import copy_verified
from weights.conversion import META_KIND, require_space
from weights.directory import Layout, layout_bytes
from weights.meta_export import check_shard_count
from weights.pth import write_pth
from weights.shard_names import shard_file
from weights.table import DTYPES, EMBEDDING, OUTPUT, expected_shapes, shard, weights
from weights.tokenizer_file import TOKENIZER_FILE, token_count

# The keys of Meta's params.json; `vocab_size` comes from the tokenizer.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "dim": 128,
        "n_layers": 2,
        "n_heads": 4,
        "n_kv_heads": 2,
        "multiple_of": 32,
        "ffn_dim_multiplier": 1.3,
    },
    "1b": {
        "dim": 2048,
        "n_layers": 16,
        "n_heads": 32,
        "n_kv_heads": 8,
        "multiple_of": 256,
        "ffn_dim_multiplier": 1.5,
    },
    "8b": {
        "dim": 4096,
        "n_layers": 32,
        "n_heads": 32,
        "n_kv_heads": 8,
        "multiple_of": 1024,
        "ffn_dim_multiplier": 1.3,
    },
}
_OUTPUT_SCALE = 0.15


def write_random_meta(
    directory: Path | str,
    size: str,
    num_shards: int,
    tokenizer: Path | str,
    dtype: str = "bfloat16",
    seed: int = 0,
) -> ModelConfig:
    """Write a seeded random Llama as Meta's shards, `params.json` and `tokenizer.model`.

    `size` is a key of SIZES, `dtype` one of `model.weights.DTYPES`; the vocabulary is the
    tokenizer's. The same arguments give the same bytes.
    """
    target, tokenizer = Path(directory).expanduser(), Path(tokenizer).expanduser()
    check_own_directory(target, META_KIND)
    params = _params(size, tokenizer)
    config = ModelConfig.from_params(params)
    check_shard_count(config, num_shards)
    axes = {name: row.axis for name, row in weights(config).items()}
    layout = _layout(config, axes, num_shards, dtype)
    require_space(target, num_shards * layout_bytes(layout))
    with new_directory(target, META_KIND) as partial:
        for index in range(num_shards):
            parts = (
                (name, shard(tensor.to(DTYPES[dtype]), axes[name], index, num_shards))
                for name, tensor in random_tensors(config, seed)
            )
            write_pth(partial / shard_file(index), layout, parts)
        write_json(partial / PARAMS_FILE, params)
        copy_verified(tokenizer, partial / TOKENIZER_FILE)
    return config


def random_tensors(config: ModelConfig, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield every weight by name, float32, each drawn from a generator of its own.

    The scales keep activations near one. An output projection at the usual scale of an untrained
    model (0.02) could never give a sure answer while it is frozen, as it is under LoRA.
    """
    for number, (name, shape) in enumerate(expected_shapes(config).items()):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        if len(shape) == 1:
            # Norms lie whole in every shard; noise in them tells the shards of two models apart.
            yield name, torch.randn(shape, generator=generator).mul_(0.05).add_(1)
            continue
        scale = {EMBEDDING: 1.0, OUTPUT: _OUTPUT_SCALE}.get(name, shape[-1] ** -0.5)
        yield name, torch.randn(shape, generator=generator).mul_(scale)


def _params(size: str, tokenizer: Path) -> dict[str, Any]:
    if size not in SIZES:
        raise ValueError(f"--size is {size!r}, wanted one of {', '.join(SIZES)}")
    if not tokenizer.is_file():
        raise FileNotFoundError(
            f"{tokenizer} is missing; name a tokenizer.model (the demo's is "
            "demo/base/tokenizer.model)"
        )
    constants = {"norm_eps": 1e-5, "rope_theta": 500000.0}
    return {**SIZES[size], **constants, "vocab_size": token_count(tokenizer)}


def _layout(
    config: ModelConfig, axes: Mapping[str, int | None], num_shards: int, dtype: str
) -> Layout:
    """Return the shape of every tensor's part in one shard, and the dtype of all."""
    if dtype not in DTYPES:
        raise ValueError(f"--dtype is {dtype!r}, wanted one of {', '.join(DTYPES)}")
    return {
        name: (
            tuple(size // num_shards if i == axes[name] else size for i, size in enumerate(shape)),
            DTYPES[dtype],
        )
        for name, shape in expected_shapes(config).items()
    }
