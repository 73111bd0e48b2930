"""A native model seen as Meta's shards: which part of which tensor each shard file holds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from model.config import ModelConfig, read_params
from weights.directory import WEIGHTS_FILE, Layout, open_weights, weights_file
from weights.lazy import forms
from weights.meta import MOST_SHARDS
from weights.meta_params import meta_params
from weights.shard_names import shard_file
from weights.table import (
    EMBEDDING,
    OUTPUT,
    account,
    cast,
    drop_tied_copy,
    dtype_named,
    expected_shapes,
    shapes,
    shard,
    weights,
)
from weights.tokenizer_file import (
    TOKENIZER_FILE,
    check_tokenizer,
    find_tokenizer,
    is_sentencepiece,
)


@dataclass(frozen=True)
class MetaExport:
    """An opened native model, to be written as `count` shards of the same `layout`.

    `params` is what Meta's `params.json` will say, and `axes` where each tensor is cut.
    """

    params: dict[str, Any]
    config: ModelConfig
    tokenizer: Path
    tensors: Mapping[str, Tensor]
    axes: Mapping[str, int | None]
    count: int
    layout: Layout

    @property
    def files(self) -> list[str]:
        """The names of the weights files; Mistral's own layout has one, in safetensors."""
        if self.config.family == "mistral":
            return [WEIGHTS_FILE]
        return [shard_file(index) for index in range(self.count)]

    def part(self, name: str, index: int) -> Tensor:
        """Return what shard `index` holds of a tensor; only a change of dtype takes memory."""
        # Meta's files hold the output projection also where it is the embedding.
        tensor = self.tensors[name if name in self.tensors else EMBEDDING]
        part = shard(tensor, self.axes[name], index, self.count)
        return cast(part, self.layout[name][1], name)


def open_export(
    config_file: Path | str, ckpt_file: Path | str, count: int, dtype: str | None = None
) -> MetaExport:
    """Open a native model for an export to `count` shards; ValueError says what speaks against it.

    `dtype` is a name of `weights.table.DTYPES`; None keeps what is stored.
    """
    wanted = dtype_named(dtype)
    file = weights_file(ckpt_file)
    stored = read_params(config_file)
    config = ModelConfig.from_params(stored, str(config_file))
    tensors = drop_tied_copy(config, open_weights(file))
    account(expected_shapes(config), shapes(tensors), str(file))
    params = meta_params(stored, config)
    tokenizer = _tokenizer(file.parent)
    check_tokenizer(tokenizer, config.vocab_size)
    check_shard_count(config, count)
    known = {OUTPUT: forms(tensors)[EMBEDDING], **forms(tensors)}
    axes = {name: row.axis for name, row in weights(replace(config, tied_embeddings=False)).items()}
    # Llama 2's loaders, which read SentencePiece, cut the columns of the embedding.
    axes[EMBEDDING] = 1 if is_sentencepiece(tokenizer) else 0
    layout = {
        name: (tuple(shard(known[name], axis, 0, count).shape), wanted or known[name].dtype)
        for name, axis in axes.items()
    }
    return MetaExport(params, config, tokenizer, tensors, axes, count, layout)


def _tokenizer(directory: Path) -> Path:
    """Return the tokenizer that readers of Meta's format know, or else the one there is."""
    known = directory / TOKENIZER_FILE
    return known if known.is_file() else find_tokenizer(directory)


def check_shard_count(config: ModelConfig, count: int) -> None:
    """Raise ValueError unless `count` shards cut every tensor, and no head, evenly."""
    sizes = {
        name: getattr(config, name)
        for name in ("n_kv_heads", "n_heads", "dim", "hidden_dim", "vocab_size")
    }
    most = 1 if config.family == "mistral" else MOST_SHARDS
    possible = [n for n in range(1, most + 1) if not any(size % n for size in sizes.values())]
    if not isinstance(count, int) or isinstance(count, bool) or count not in possible:
        whole = isinstance(count, int) and count > 0
        undivided = [f"{name} {size}" for name, size in sizes.items() if whole and size % count]
        reason = f"; it does not divide {', '.join(undivided)}" if undivided else ""
        raise ValueError(
            f"--num-shards is {count!r}, wanted one of {', '.join(map(str, possible))} for this "
            f"model{reason}"
        )
