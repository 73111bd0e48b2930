"""Meta directories made on the spot: a tokenizer of any size, and a model's state cut in shards."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig
from weights.meta_params import feed_forward_rule
from weights.table import EMBEDDING, shard, weights

# Sizes that eight shards divide, and that Meta's rule gives: 256 * ceil(int(8 * 128 / 3) / 256).
WIDE = ModelConfig(
    dim=128, n_layers=2, n_heads=8, n_kv_heads=8, head_dim=16, hidden_dim=512, vocab_size=384
)
LLAMA2_KEYS = ("dim", "n_layers", "n_heads", "vocab_size")


def write_tiktoken_file(path: Path, vocab_size: int) -> None:
    """Write ranks of a tiktoken vocabulary that has `vocab_size` tokens with 256 special ones."""
    tokens = [bytes([n]) if n < 256 else n.to_bytes(2, "big") for n in range(vocab_size - 256)]
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens)]
    path.write_text("".join(lines), encoding="ascii")


def meta_state(config: ModelConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a native state as Meta stores it: with `output.weight` also when it is tied."""
    rows = weights(replace(config, tied_embeddings=False))
    return {name: state.get(name, state[EMBEDDING]) for name in rows}


def params_of(config: ModelConfig, **changes: Any) -> dict[str, Any]:
    """Return the params.json that Meta would write for a model."""
    keys = ("dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "norm_eps", "rope_theta")
    params = {key: getattr(config, key) for key in keys}
    params |= feed_forward_rule({}, config.dim, config.hidden_dim)
    if config.rope_scaling:
        params["use_scaled_rope"] = True
    return {**params, **changes}


def write_meta_directory(
    path: Path,
    config: ModelConfig,
    state: Mapping[str, Tensor],
    count: int = 1,
    embedding_axis: int = 0,
    **changes: Any,
) -> Path:
    """Write a model as `torch.save` shards beside a params.json and a tokenizer; return `path`."""
    path.mkdir(parents=True)
    rows = weights(replace(config, tied_embeddings=False))
    axes = {name: row.axis for name, row in rows.items()} | {EMBEDDING: embedding_axis}
    whole = meta_state(config, state)
    for index in range(count):
        tensors = {
            name: shard(tensor, axes[name], index, count).contiguous().clone()
            for name, tensor in whole.items()
        }
        torch.save(tensors, path / f"consolidated.{index:02d}.pth")
    (path / "params.json").write_text(json.dumps(params_of(config, **changes)))
    write_tiktoken_file(path / "tokenizer.model", config.vocab_size)
    return path


def read_shards(path: Path) -> list[dict[str, Tensor]]:
    """Load every shard of a Meta directory as its readers do."""
    files = sorted(path.glob("consolidated.*.pth"))
    return [torch.load(file, weights_only=True, mmap=True) for file in files]
