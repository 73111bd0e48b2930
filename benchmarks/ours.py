"""This project's side: the training step that finetune.py takes, on random weights."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from benchmarks.conversations import RandomConversations
from benchmarks.sizes import Size
from data.batches import Batches
from model.config import ModelConfig
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.transformer import Transformer
from training.backends import NativeBackend
from training.feed import Feed
from training.loop import Run, train_step

if TYPE_CHECKING:
    from training.config import OptimizerSection

ADAPTER = LoraConfig(rank=16, alpha=16.0)
LEARNING_RATE = 1e-4
CLIP_NORM = 1.0
SEED = 3


@dataclass(frozen=True)
class Optimizer:
    """The fields of training.config.OptimizerSection, which needs pydantic."""

    kind: Literal["adamw", "adamw8bit", "sgd"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = CLIP_NORM
    in_backward: bool = False
    stochastic_rounding: bool = False


@dataclass(frozen=True)
class Step:
    """What an optimizer step did: mean loss, gradient norm, and its real tokens."""

    loss: float
    gradient_norm: float
    tokens: int


def random_batches(config: ModelConfig, batch_size: int, micro_batch_tokens: int) -> Batches:
    """Return the seeded batches that both sides train on."""
    return Batches(RandomConversations(config.vocab_size), batch_size, micro_batch_tokens, SEED)


def random_base(config: ModelConfig, device: torch.device) -> Transformer:
    """Return a model with seeded random weights, made on the device, float32."""
    torch.manual_seed(SEED)
    with torch.device(device):
        model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.02)
    return model


def add_adapter(model: Transformer) -> None:
    """Add a LoRA of rank 16 on all linear layers, B not zero so that A has a gradient at once."""
    add_lora(model, ADAPTER)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_b"):
                parameter.normal_(std=0.01)
    model.train()


def round_base(model: nn.Module) -> None:
    """Round what is frozen to bfloat16, in place; trained parameters stay float32 masters."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()


class Ours:
    """One model with its adapter, its batches and its optimizer."""

    name = "this project"

    def __init__(self, model: Transformer, size: Size) -> None:
        self.model = model
        self.device = model.tok_embeddings.weight.device
        self.batches = random_batches(size.model, size.batch_size, size.micro_batch_tokens)
        self.feed = Feed(self.batches, self.device)
        self.backend = self._backend(NativeBackend)

    def step(self, number: int) -> Step:
        """Take optimizer step `number`."""
        return _take_step(self.feed, self.backend, number)

    def loss_and_gradients(self, batches: Batches) -> tuple[float, dict[str, Tensor]]:
        """Return the mean loss of the first step and its gradients by name, without an update."""
        backend = cast(_GradientsOnly, self._backend(_GradientsOnly))
        return _take_step(Feed(batches, self.device), backend, 0).loss, backend.gradients

    def round_base(self) -> None:
        """Go on in bfloat16."""
        round_base(self.model)
        self.backend = self._backend(NativeBackend)

    def _backend(self, kind: type[NativeBackend]) -> NativeBackend:
        settings = cast("OptimizerSection", Optimizer())
        return kind(self.model, settings, self.device, self.model.tok_embeddings.weight.dtype)


def _take_step(feed: Feed, backend: NativeBackend, number: int) -> Step:
    # A step reads no more of a run than these two.
    run = cast(Run, SimpleNamespace(feed=feed, rate=lambda step: LEARNING_RATE))
    metrics, _ = train_step(run, backend, number)
    assert metrics.gradient_norm is not None, "steps are left out in float16 alone"
    return Step(metrics.loss, metrics.gradient_norm, metrics.tokens)


class _GradientsOnly(NativeBackend):
    """Keeps the gradients of a step instead of updating with them."""

    gradients: dict[str, Tensor]

    def step(self, learning_rate: float) -> Tensor:
        self.gradients = {}
        for name, parameter in self.parameters.items():
            assert parameter.grad is not None
            self.gradients[name], parameter.grad = parameter.grad, None
        return torch.zeros(())
