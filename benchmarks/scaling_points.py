"""What scaling laws are measured at: points that differ in one thing, and the work at a point.

Every conversation of a point has the same length, and its last three tenths are trained.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from benchmarks.ours import SEED, Optimizer, random_base, run_of
from data.batches import Batches
from inference.generate import generate
from inference.packed import pack
from model.config import ModelConfig
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from training.backends import NativeBackend
from training.feed import Feed
from training.flops import step_flops
from training.loop import train_step
from training.planning.memory import Method, linear_parameters
from training.planning.plan import Settings, memory_use

if TYPE_CHECKING:
    from training.config import OptimizerSection

TRAINED_SHARE = 0.3
HEAD_DIM = 64
CPU = torch.device("cpu")


def shape(width: int = 256, layers: int = 4, vocabulary: int = 8192) -> ModelConfig:
    """Return a model whose other sizes follow its width, two query heads on a key head."""
    heads = width // HEAD_DIM
    return ModelConfig(
        dim=width,
        n_layers=layers,
        n_heads=heads,
        n_kv_heads=heads // 2,
        head_dim=HEAD_DIM,
        hidden_dim=11 * width // 4,
        vocab_size=vocabulary,
    )


BASE = shape()


@dataclass(frozen=True)
class Point:
    """A model with an adapter on all linear layers, and the conversations of an optimizer step.

    length: Tokens of a conversation; where replies are made, of a prompt.
    batch: Conversations of a step; where replies are made, rows at once.
    pack: training.micro_batch_tokens.
    """

    model: ModelConfig = BASE
    rank: int = 16
    length: int = 256
    batch: int = 8
    pack: int = 2048
    conversations: int = 1024
    new_tokens: int = 32

    @property
    def lora(self) -> LoraConfig:
        """The adapter's settings."""
        return LoraConfig(rank=self.rank, alpha=16.0)


@dataclass(frozen=True)
class Work:
    """What is done at a point, again and again: `run(number)`.

    operations: What `run` computes, counted from shapes.
    bytes: What it needs over the loaded base by the plan's formula, or by the cache's.
    """

    run: Callable[[int], object]
    operations: float
    bytes: int


@dataclass(frozen=True)
class Axis:
    """Four points that differ in what is named, and its value at each; `work` builds a point's."""

    name: str
    values: tuple[int, ...]
    points: tuple[Point, ...]
    work: Callable[[Point], Work]


class EvenConversations:
    """Conversations of one length in a memory-mapped file, as those of a dataset."""

    def __init__(self, count: int, length: int, vocab_size: int) -> None:
        self.lengths = np.full(count, length)
        draw = np.random.Generator(np.random.Philox(SEED))
        with tempfile.NamedTemporaryFile(prefix="scaling-") as file:
            for rows in np.array_split(np.arange(count), -(-count * length // 2**20)):
                draw.integers(0, vocab_size, (len(rows), length), dtype=np.uint32).tofile(file)
            file.flush()
            # The mapping outlives the file's name.
            self._tokens = np.memmap(file.name, np.uint32, "r", shape=(count, length))
        self._trained = np.arange(length) >= length - round(TRAINED_SHARE * length)

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, index: int) -> np.ndarray:
        """Return the token ids of one conversation."""
        return self._tokens[index]

    def trained(self, index: int) -> np.ndarray:
        """Return which of its tokens are to be predicted, bool."""
        return self._trained.copy()


def training_step(point: Point) -> Work:
    """Return finetune.py's optimizer step, on random weights in bfloat16.

    Norms' outputs and SwiGLU's product are kept, which finetune.py computes again.
    """
    model = random_base(point.model, CPU).to(torch.bfloat16)
    add_lora(model, point.lora)
    model.train()
    data = EvenConversations(point.conversations, point.length, point.model.vocab_size)
    batches = Batches(data, point.batch, point.pack, SEED)
    settings = cast("OptimizerSection", Optimizer())
    backend = NativeBackend(model, settings, CPU, torch.bfloat16)
    run = run_of(Feed(batches, CPU))
    operations = step_flops(model, batches.step(0))
    return Work(lambda number: train_step(run, backend, number), operations, step_bytes(point))


def step_bytes(point: Point) -> int:
    """Return what the plan counts over the loaded base and adapter: GPU kernels, not the CPU's."""
    tokens = min(point.pack, point.batch * point.length)
    settings = Settings(micro_batch_tokens=tokens)
    use = memory_use(Method(point.model, point.lora), settings, TRAINED_SHARE).device
    return use["gradients"] + use["optimizer"] + use["activations"]


def replies(point: Point) -> Work:
    """Return greedy replies to prompts of one length, all rows at once, as in evaluation."""
    model = random_base(point.model, CPU).to(torch.bfloat16).eval()
    pack(model)
    draw = np.random.Generator(np.random.Philox(SEED))
    shape_of_prompts = (point.batch, point.length)
    prompts = draw.integers(0, point.model.vocab_size, shape_of_prompts).tolist()

    def run(number: int) -> object:
        return generate(model, prompts, stop_ids=(), max_new_tokens=point.new_tokens)

    return Work(run, reply_operations(point), cache_bytes(point))


def reply_operations(point: Point) -> float:
    """Return the operations of replies: every token forward once, logits of the new ones."""
    model, tokens = point.model, point.length + point.new_tokens
    heads = model.n_layers * model.n_heads * model.head_dim
    row = 2 * linear_parameters(model) * tokens + 2 * heads * tokens**2
    return float(point.batch * (row + 2 * model.vocab_size * model.dim * point.new_tokens))


def cache_bytes(point: Point) -> int:
    """Return the bytes of the keys and values of all rows in bfloat16."""
    model = point.model
    position = 2 * model.n_layers * model.n_kv_heads * model.head_dim
    return 2 * position * point.batch * (point.length + point.new_tokens)


def axes() -> list[Axis]:
    """Return all that is varied, from the model to the data and to replies."""
    base, long = Point(), Point(pack=4096)
    vocabularies, widths, layers = (
        (2**14, 2**15, 2**16, 2**17),
        (128, 256, 512, 1024),
        (2, 4, 8, 16),
    )
    ranks, packs, batches = (4, 16, 64, 256), (1024, 2048, 4096, 8192), (8, 16, 32, 64)
    lengths, datasets = (512, 1024, 2048, 4096), (1_000, 10_000, 100_000, 1_000_000)
    rows, prompts = (1, 4, 16, 64), (256, 512, 1024, 2048)

    def axis(
        name: str,
        values: tuple[int, ...],
        change: Callable[[int], Point],
        work: Callable[[Point], Work] = training_step,
    ) -> Axis:
        return Axis(name, values, tuple(change(value) for value in values), work)

    return [
        axis("vocabulary", vocabularies, lambda n: replace(base, model=shape(vocabulary=n))),
        axis("width", widths, lambda n: replace(base, model=shape(n))),
        axis("layers", layers, lambda n: replace(base, model=shape(layers=n))),
        axis("rank", ranks, lambda n: replace(base, rank=n)),
        axis("pack", packs, lambda n: replace(base, batch=32, pack=n)),
        axis("batch", batches, lambda n: replace(base, batch=n)),
        axis("document", lengths, lambda n: replace(long, length=n, batch=4096 // n)),
        axis("dataset", datasets, lambda n: replace(base, length=32, batch=64, conversations=n)),
        axis("rows", rows, lambda n: replace(base, batch=n, length=128), replies),
        axis("prompt", prompts, lambda n: replace(base, batch=1, length=n), replies),
    ]
