"""How much memory a model takes that answers a batch, from shapes alone, before it is loaded."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import psutil
import torch

from inference.loading import Source
from inference.packed import native_dtype
from model.config import ModelConfig
from model.quantized import NF4_KINDS
from weights.adapter import adapter_file
from weights.building import is_linear_weight
from weights.directory import resolve_directory, weights_file
from weights.opening import open_tensors
from weights.table import EMBEDDING, expected_shapes

_GB, _MB = 1e9, 1e6
# Bytes of a weight: 4 bits and its share of scales (training/planning/memory.py has the same).
_PACKED_BYTES = {"nf4": 0.5625, "nf4_double": 0.5 + 1 / 64 + 4 / (64 * 256), "fp8": 1.0}
# Of each logit: itself in float32, and sorted with its index.
_LOGIT_BYTES = 4 + 4 + 8
# No prompt with tools fits into fewer positions.
_LEAST_POSITIONS = 256


@dataclass(frozen=True)
class Memory:
    """What a model that answers takes: its weights, the caches of its replies, a pass.

    rows: How many replies there are at once; positions: of each, its prompt included.
    number_bytes: Of what is computed.
    storage: How the linear layers are stored (model/quantized.py); None as the others.
    adapter: Bytes of an adapter.
    """

    config: ModelConfig
    rows: int
    positions: int
    number_bytes: int
    on_gpu: bool
    storage: str | None = None
    adapter: int = 0

    @property
    def weights(self) -> int:
        """Bytes of the weights; a CPU keeps quantised ones as they compute, and a head packed."""
        packed = _PACKED_BYTES.get(self.storage or "") if self.on_gpu else None
        total = float(self.adapter)
        for name, shape in expected_shapes(self.config).items():
            stored = packed if packed and is_linear_weight(name) else self.number_bytes
            total += prod(shape) * stored
            if name == EMBEDDING and self.config.tied_embeddings and not self.on_gpu:
                total += prod(shape) * stored
        return int(total)

    @property
    def caches(self) -> int:
        """Bytes of all replies' keys and values."""
        heads = self.config.n_kv_heads * self.config.head_dim
        return 2 * self.config.n_layers * self.rows * self.positions * heads * self.number_bytes

    @property
    def a_pass(self) -> int:
        """Bytes of a pass over one longest prompt, and of what all replies' tokens are chosen of.

        In a block a token keeps its state twice, a norm's output, queries, keys and values with
        what attention makes of them, and what the feed-forward multiplies.
        """
        model = self.config
        heads = 2 * (model.n_heads + model.n_kv_heads) * model.head_dim
        token = (3 * model.dim + heads + 3 * model.hidden_dim) * self.number_bytes
        return self.positions * token + self.rows * model.vocab_size * _LOGIT_BYTES

    @property
    def total(self) -> int:
        """All bytes together."""
        return self.weights + self.caches + self.a_pass

    def describe(self) -> str:
        """Return the parts in words."""
        return (
            f"about {in_words(self.total)} of memory: weights {in_words(self.weights)}, caches of "
            f"{self.rows:,} replies with {self.positions:,} tokens {in_words(self.caches)}, a pass "
            f"{in_words(self.a_pass)}"
        )

    def check(self, free: int, anyway: bool = False) -> None:
        """Raise ValueError with the flags that fit where this takes over `free` bytes."""
        if self.total <= free or anyway:
            return
        hints = list(self.fitting_flags(free))
        raise ValueError(
            f"this takes {self.describe()}; {in_words(free)} are free; "
            + (f"what fits: {', or '.join(hints)}" if hints else "no batch fits beside the weights")
            + "; or try it with --fit-anyway"
        )

    def fitting_flags(self, free: int) -> Iterator[str]:
        """Yield the flags with which it fits into `free` bytes, each way by itself."""
        ways = [("", self)]
        if self.on_gpu and self.storage is None:
            ways.append((f"--quantization {NF4_KINDS[-1]}", replace(self, storage=NF4_KINDS[-1])))
        for flag, way in ways:
            if way.total <= free:
                yield flag
                continue
            rows = bisect_right(
                range(1, way.rows + 1), free, key=lambda rows: replace(way, rows=rows).total
            )
            if rows:
                yield f"{flag} --max-batch-size {rows}".strip()
            positions = bisect_right(
                range(1, way.positions + 1),
                free,
                key=lambda positions: replace(way, positions=positions).total,
            )
            if positions >= _LEAST_POSITIONS:
                yield f"{flag} --max-seq-len {positions}".strip()


def memory_of(source: Source, rows: int, positions: int) -> Memory:
    """Return what the model of a source takes; only the headers of its files are read."""
    directory = resolve_directory(source.ckpt_dir)
    on_gpu = torch.cuda.is_available()
    embedding = open_tensors(weights_file(source.ckpt_dir)).forms.get(EMBEDDING)
    stored = torch.float32 if embedding is None else embedding.dtype
    dtype = torch.bfloat16 if on_gpu else native_dtype(stored)
    adapter = adapter_file(source.lora_ckpt_path).stat().st_size if source.lora_ckpt_path else 0
    config = ModelConfig.read(directory)
    return Memory(config, rows, positions, dtype.itemsize, on_gpu, source.storage(), adapter)


def free_memory() -> int:
    """Return the free bytes of the GPU, or without one those of this machine."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)


def in_words(count: int) -> str:
    """Return a number of bytes in MB or GB."""
    return f"{count / _GB:.1f} GB" if count >= _GB else f"{count / _MB:.1f} MB"
