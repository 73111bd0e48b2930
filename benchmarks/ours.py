"""This project's side: the training step that finetune.py takes, on random weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from benchmarks.conversations import RandomConversations
from benchmarks.sizes import Size
from data.batches import Batches
from model.config import ModelConfig
from model.kernels.choice import PLAIN, Kernels
from model.lora.config import LoraConfig
from model.transformer import Transformer
from training.backends import NativeBackend
from training.feed import Feed
from training.loop import Run, train_step
from training.objective import Supervised
from training.preparing import make_trainable
from weights.building import build_model, quantize_on_arrival
from weights.table import drop_tied_copy

if TYPE_CHECKING:
    from training.config import OptimizerSection

ADAPTER = LoraConfig(rank=16, alpha=16.0)
LEARNING_RATE = 1e-4
CLIP_NORM = 1.0
SEED = 3
# Scales in float32: where they are quantised too, blocks of them depend on the order of rows,
# which is another in Transformers, and both sides would not have the same weights.
QUANTIZATION = "nf4"


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


def prepared(
    base: Transformer, method: str = "lora", kernels: Kernels = PLAIN, policy: str = "none"
) -> Transformer:
    """Return a base as finetune.py prepares it for a method; it is changed, or given up.

    B of an adapter is not zero, so that A has a gradient at once.
    """
    if method == "qlora":
        device = base.tok_embeddings.weight.device
        place = quantize_on_arrival(device, torch.float32, QUANTIZATION)
        state = drop_tied_copy(base.config, base.state_dict())
        base = build_model(base.config, state, device, place=place)
    model = make_trainable(base, None if method == "full" else ADAPTER, kernels, policy)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_b"):
                parameter.normal_(std=0.01)
    return model


def cast_frozen(parameters: Iterable[nn.Parameter], dtype: torch.dtype) -> None:
    """Round what is frozen, in place; trained parameters stay float32 masters."""
    for parameter in parameters:
        if not parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


class Start:
    """What trained parameters were at first, kept in the host's memory, to begin again."""

    def __init__(self, parameters: dict[str, nn.Parameter]) -> None:
        self.parameters = parameters
        self.values = {name: p.detach().to("cpu", copy=True) for name, p in parameters.items()}

    @torch.no_grad()
    def restore(self) -> None:
        """Put every parameter back to what it was."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.values[name])


class Ours:
    """One model that `prepared` returned, its batches and its optimizer."""

    name = "this project"

    def __init__(self, model: Transformer, size: Size) -> None:
        self.model = model
        self.device = model.tok_embeddings.weight.device
        self.start = Start({n: p for n, p in model.named_parameters() if p.requires_grad})
        self.use(random_batches(size.model, size.batch_size, size.micro_batch_tokens))
        self.begin(torch.float32)

    def use(self, batches: Batches) -> None:
        """Take these batches from now on."""
        self.batches, self.feed = batches, Feed(batches, self.device)

    def begin(self, dtype: torch.dtype) -> None:
        """Start anew: first weights, no moments; products are computed in `dtype`."""
        self.start.restore()
        self.dtype = dtype
        # Where all weights are trained they are their own masters, as in training/optim.py.
        frozen = [p for p in self.model.parameters() if not p.requires_grad]
        self.autocast = not frozen and dtype != torch.float32
        cast_frozen(frozen, dtype)
        self.backend = self._backend(NativeBackend)

    def step(self, number: int) -> Step:
        """Take optimizer step `number`."""
        return _take_step(self.feed, self.backend, number)

    def loss_and_gradients(self, batches: Batches) -> tuple[float, dict[str, Tensor]]:
        """Return the mean loss of the first step and its gradients by name, without an update."""
        backend = cast(_GradientsOnly, self._backend(_GradientsOnly))
        return _take_step(Feed(batches, self.device), backend, 0).loss, backend.gradients

    def _backend(self, kind: type[NativeBackend]) -> NativeBackend:
        settings = cast("OptimizerSection", Optimizer())
        return kind(self.model, settings, self.device, self.dtype, self.autocast)


def run_of(feed: Feed) -> Run:
    """Return as much of a run as a step reads."""
    own = {"feed": feed, "objective": Supervised(), "rate": lambda step: LEARNING_RATE}
    return cast(Run, SimpleNamespace(**own, skips=False))


def _take_step(feed: Feed, backend: NativeBackend, number: int) -> Step:
    metrics, _ = train_step(run_of(feed), backend, number)
    assert metrics.gradient_norm is not None, "steps are left out in float16 alone"
    return Step(metrics.loss, metrics.gradient_norm, metrics.tokens)


class _GradientsOnly(NativeBackend):
    """Keeps the gradients of a step instead of updating with them."""

    gradients: dict[str, Tensor]

    def step(self, learning_rate: float, skip: bool = False) -> Tensor:
        self.gradients = {}
        for name, parameter in self.parameters.items():
            assert parameter.grad is not None
            self.gradients[name], parameter.grad = parameter.grad, None
        return torch.zeros(())
