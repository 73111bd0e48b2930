"""The proof of a merge: the written file computes what the base with its adapter computes.

Both run in float32 on the same probe tokens, one layer after the other, so that a model of any
size needs memory for little more than one layer. Two limits follow from the dtype of the file:

- *Weights.* One-hot inputs read columns of the effective weight off the unmerged LoRA layer. A
  right merge differs from them by half a rounding step at most, plus float32's own error; nothing
  less can tell a wrong merge from a right one, so this holds for adapters of any size.
- *Logits.* Their mean difference is held against what random errors of a rounding step cause in
  the same model. Errors of rounding are mostly as random as these, but those of an adapter smaller
  than the steps may line up with the inputs. Right merges were seen at 0.5 times the random
  errors' effect in bfloat16 and 2.3 in float32, at 3.5 with an adapter made to line up (1,024
  inputs; it grows with the root of them). Wrong ones are 20 to a million times away, unless
  the adapter does less than rounding, where only the weights tell.

Shapes: T probe tokens, D width, V vocabulary, O outputs, I inputs, C columns, R rank.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import Documents
from model.config import ModelConfig
from model.lora import LoraLinear, add_lora, load_adapter
from model.rope import rotation
from model.transformer import Block
from weights.adapter import Adapter
from weights.table import EMBEDDING, OUTPUT

# Of each merged weight, so many columns are compared; random ones, the same in every run.
COLUMNS = 64
# Rows of the vocabulary that are projected to at once, and positions compared at once.
_VOCABULARY_ROWS = 16384
_POSITIONS = 16
_SEED = 0
_TINY = torch.finfo(torch.float32).tiny
_EXPONENT = 0x7F800000

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Difference:
    """How far the logits of two models are apart.

    `max` and `mean` of the absolute difference; `divergence` is the mean Kullback-Leibler
    divergence of the second from the first in nats; `agreement` is the share of positions where
    both find the same token likeliest.
    """

    max: float
    mean: float
    divergence: float
    agreement: float


@dataclass(frozen=True)
class Proof:
    """What was measured: `merge` is base + adapter beside the file, the rest is for scale.

    `adapter` is the base beside base + adapter; `rounding` is base + adapter beside the same with
    random errors of a rounding step. `weight_error` is the largest deviation of a merged weight as
    a share of what rounding allows, found in `worst_weight`.
    """

    merge: Difference
    adapter: Difference
    rounding: Difference
    mean_limit: float
    weight_error: float
    worst_weight: str
    probe_tokens: int
    compute_dtype: str = "float32"

    @property
    def problem(self) -> str | None:
        """Say what is wrong with the merge; None when it is proven."""
        # Written so that NaN fails, too.
        if not self.weight_error <= 1:
            return (
                f"{self.worst_weight} is off by {self.weight_error:.3g} times what rounding allows"
            )
        if not self.merge.mean <= self.mean_limit:
            return (
                f"the logits differ by {self.merge.mean:.3g} in the mean, and rounding explains "
                f"{self.mean_limit:.3g}"
            )
        return None

    @property
    def lost(self) -> float:
        """The mean difference as a share of the adapter's own effect: what rounding took of it."""
        return self.merge.mean / self.adapter.mean if self.adapter.mean else 0.0

    def to_record(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {**asdict(self), "proven": self.problem is None}


@torch.inference_mode()
def prove(
    config: ModelConfig,
    base: Weights,
    merged: Weights,
    adapter: Adapter,
    probes: Sequence[Sequence[int]],
    advance: Callable[[int], object] = int,
) -> Proof:
    """Compare the merged weights with base and adapter on `probes`; see the module's docstring.

    `advance` is told of the bytes of base weights that have been dealt with.
    """
    run = _Run(config, probes, base, merged)
    worst = (0.0, "")
    for index in range(config.n_layers):
        worst = max(worst, run.through_layer(index, adapter))
        prefix = f"layers.{index}."
        advance(sum(t.nbytes for name, t in base.items() if name.startswith(prefix)))
    adapted = run.logits("adapted", base)
    rounding = difference(adapted, run.logits("rounded", base))
    return Proof(
        merge=difference(adapted, run.logits("merged", merged)),
        adapter=difference(run.logits("base", base), adapted),
        rounding=rounding,
        mean_limit=rounding.mean * max(8.0, max(config.dim, config.hidden_dim) ** 0.5 / 4),
        weight_error=worst[0],
        worst_weight=worst[1],
        probe_tokens=len(run.tokens),
    )


class _Run:
    """The probe tokens on their way through four models side by side."""

    def __init__(
        self, config: ModelConfig, probes: Sequence[Sequence[int]], base: Weights, merged: Weights
    ) -> None:
        self.config, self.base, self.merged = config, base, merged
        self.tokens = torch.tensor(list(chain.from_iterable(probes)))
        self.documents = Documents([0, *accumulate(len(probe) for probe in probes)])
        self.turns = rotation(config, torch.cat([torch.arange(len(probe)) for probe in probes]))
        self.generator = torch.Generator().manual_seed(_SEED)
        embedded = F.embedding(self.tokens, base[EMBEDDING]).float()
        self.states = dict.fromkeys(("base", "adapted", "rounded"), embedded)
        self.states["merged"] = F.embedding(self.tokens, merged[EMBEDDING]).float()

    def through_layer(self, index: int, adapter: Adapter) -> tuple[float, str]:
        """Take all four through layer `index`; return its largest weight error and where it is."""
        layer = self._layer(index, self.base)
        self._step("base", layer)
        wrapped = _adapt(layer, index, adapter)
        self._step("adapted", layer)
        errors = [(self._weight_error(name, linear), name) for name, linear in wrapped.items()]
        self._disturb(layer, index)
        self._step("rounded", layer)
        del layer, wrapped
        self._step("merged", self._layer(index, self.merged))
        return max(errors, default=(0.0, ""))

    def logits(self, which: str, weights: Weights) -> Tensor:
        """Return the logits [T, V] of one of the four, in float32."""
        x = self.states[which]
        x = F.rms_norm(x, x.shape[-1:], weights["norm.weight"].float(), self.config.norm_eps)
        output = weights[EMBEDDING if self.config.tied_embeddings else OUTPUT]
        return torch.cat([F.linear(x, rows.float()) for rows in output.split(_VOCABULARY_ROWS)], 1)

    def _layer(self, index: int, weights: Weights) -> nn.Module:
        """Return one layer in float32, in a module that gives its parts the model's names."""
        with torch.device("meta"):
            block = Block(self.config)
        prefix = f"layers.{index}."
        own = {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)}
        block.load_state_dict({name: t.float() for name, t in own.items()}, assign=True)
        return nn.ModuleDict({"layers": nn.ModuleDict({str(index): block})})

    def _step(self, which: str, layer: nn.Module) -> None:
        (block,) = layer.get_submodule("layers").children()
        self.states[which] = block(self.states[which], self.turns, self.documents)

    def _weight_error(self, name: str, linear: LoraLinear) -> float:
        weight = self.merged[f"{name}.weight"]
        order = torch.randperm(weight.shape[1], generator=self.generator)
        return weight_error(linear, weight, order[:COLUMNS])

    def _disturb(self, layer: nn.Module, index: int) -> None:
        """Move every weight that the merge rounds by up to a rounding step, at random.

        Embedding, last norm and output are left out: they are rounded only when the dtype changes.
        """
        for name, parameter in list(layer.named_parameters()):
            plain = name.replace(".base.", ".")
            if plain not in self.merged:
                continue
            written = self.merged[plain]
            if plain != name or written.dtype != self.base[plain].dtype:
                draw = torch.rand(written.shape, generator=self.generator).mul_(2).sub_(1)
                owner, _, attribute = name.rpartition(".")
                moved = draw.mul_(spacing(written)).add_(parameter)
                setattr(layer.get_submodule(owner), attribute, nn.Parameter(moved, False))


def _adapt(layer: nn.Module, index: int, adapter: Adapter) -> dict[str, LoraLinear]:
    """Put the adapter of layer `index` into it; return the layers that have one by name."""
    own = {name: t for name, t in adapter.state.items() if name.startswith(f"layers.{index}.")}
    if not own:
        return {}
    targets = dict.fromkeys(name.rpartition(".")[0] for name in own)
    add_lora(layer, replace(adapter.lora, targets=tuple(targets), dropout=0.0))
    load_adapter(layer, own)
    return {
        name: module for name, module in layer.named_modules() if isinstance(module, LoraLinear)
    }


def weight_error(linear: LoraLinear, merged: Tensor, columns: Tensor) -> float:
    """Return how far some columns [C] of a merged weight [O, I] are off, at most 1 when right.

    The effective weight is what the unmerged layer answers to one-hot inputs. Allowed is half a
    rounding step of the merged dtype, and the error of summing R + 2 products in float32, twice.
    """
    one_hot = F.one_hot(columns, merged.shape[1]).float()
    effective, found = linear(one_hot).t(), merged[:, columns].float()
    weight: Tensor = linear.base.weight  # type: ignore[assignment]
    a, b = linear.lora_a[:, columns].abs(), linear.lora_b.abs()
    summed = weight[:, columns].abs() + linear.scale * (b @ a)
    allowed = spacing(merged[:, columns]) / 2 + (len(a) + 4) * 2.0**-23 * summed
    return float(((found - effective).abs() / allowed.clamp_(min=_TINY)).max())


def spacing(values: Tensor) -> Tensor:
    """Return the distance of each value to the next larger one of its dtype, as float32."""
    limits = torch.finfo(values.dtype)
    bits = values.to(torch.float32, copy=True).view(torch.int32)
    # The exponent's bits alone are the power of two at or below the value.
    power = bits.bitwise_and_(_EXPONENT).view(torch.float32)
    return power.mul_(limits.eps).clamp_(min=limits.smallest_normal * limits.eps)


def difference(first: Tensor, second: Tensor) -> Difference:
    """Compare two sets of logits [T, V], a few positions at a time in float64."""
    parts = [
        _sums(a.double(), b.double())
        for a, b in zip(first.split(_POSITIONS), second.split(_POSITIONS), strict=True)
    ]
    largest, total, divergence, agreeing = (
        torch.stack(column) for column in zip(*parts, strict=True)
    )
    return Difference(
        max=float(largest.max()),
        mean=float(total.sum()) / first.numel(),
        divergence=float(divergence.sum()) / len(first),
        agreement=float(agreeing.sum()) / len(first),
    )


def _sums(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    gap = (a - b).abs()
    log_a, log_b = a.log_softmax(-1), b.log_softmax(-1)
    divergence = (log_a.exp() * (log_a - log_b)).sum()
    return gap.max(), gap.sum(), divergence, (a.argmax(-1) == b.argmax(-1)).sum().double()
