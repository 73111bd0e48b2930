"""An adapter's matrices by PEFT's modules and by our linear layers, each made of the other.

Rows of B follow those of the weight: for queries and keys they change between Meta's and Hugging
Face's rotary order. Where Hugging Face fuses layers (Phi's `qkv_proj`, `gate_up_proj`), their
adapters become one of the summed rank: every A below the one before, and a B with each layer's
in the rows of its weight and the columns of its A, so that B A and its scale stay what they were.

Shapes: I inputs, O outputs, R rank.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.config import ModelConfig
from model.lora.adapter import adapter_of
from model.lora.config import LoraConfig, scale_divisor
from weights.families.family import Weight
from weights.hugging_face.names import half_split, interleave, reordered, rows_by_name
from weights.table import named_sizes, weights


@dataclass(frozen=True)
class LoraLayer:
    """The matrices a [R, I] and b [O, R] of one layer, and its alpha."""

    a: Tensor
    b: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """R."""
        return len(self.a)

    def scale(self, rslora: bool) -> float:
        """Return the factor on b a."""
        return self.alpha / scale_divisor(self.rank, rslora)


def peft_modules(config: ModelConfig) -> dict[str, list[Weight]]:
    """Return the rows of our weights in each linear layer of Hugging Face's blocks, by its name."""
    return {
        name.removesuffix(".weight"): rows
        for name, rows in rows_by_name(config).items()
        if name.startswith("model.layers.") and len(rows[0].shape) == 2
    }


def to_peft(
    config: ModelConfig, lora: LoraConfig, state: Mapping[str, Tensor]
) -> dict[str, LoraLayer]:
    """Return the layers of an adapter by Hugging Face's module, in the order of the model."""
    found = {}
    for module, rows in peft_modules(config).items():
        parts = {}
        for row in rows:
            if pair := adapter_of(state, linear_of(row)):
                b = reordered(half_split, config, row, pair[1])
                parts[row] = LoraLayer(pair[0], b, lora.alpha_of(linear_of(row)))
        if parts:
            fused = len(rows) > 1
            found[module] = _fused(config, rows, parts, lora.rslora) if fused else parts[rows[0]]
    return found


def from_peft(
    config: ModelConfig, layers: Mapping[str, LoraLayer], rslora: bool
) -> dict[str, LoraLayer]:
    """Return the layers of an adapter by our linear's name, in the order of the model.

    Layers that were fused share A. Columns of B that are zero for one of them are left out with
    their rows of A, which changes nothing: so what `to_peft` fused comes back as it was.
    """
    modules, found = peft_modules(config), {}
    for module, layer in layers.items():
        rows = modules[module]
        for row, rows_of_b in zip(rows, layer.b.split(_heights(config, rows)), strict=True):
            b = reordered(interleave, config, row, rows_of_b)
            part = LoraLayer(layer.a, b, layer.alpha)
            if len(rows) == 1 or not layer.b.any():
                found[linear_of(row)] = part
            elif b.any():
                found[linear_of(row)] = _without_empty_columns(part, rslora)
    order = map(linear_of, weights(config).values())
    return {name: found[name] for name in order if name in found}


def linear_of(row: Weight) -> str:
    """Return the name of the linear layer that a weight belongs to."""
    return row.name.removesuffix(".weight")


def _fused(
    config: ModelConfig, rows: Sequence[Weight], parts: Mapping[Weight, LoraLayer], rslora: bool
) -> LoraLayer:
    """Return one layer for those of `rows` that have an adapter, at the scale of the first."""
    first = next(iter(parts.values()))
    scale = first.scale(rslora)
    a = torch.cat([part.a for part in parts.values()])
    b = first.b.new_zeros(sum(_heights(config, rows)), len(a))
    blocks, column = dict(zip(rows, b.split(_heights(config, rows)), strict=True)), 0
    for row, part in parts.items():
        ratio = part.scale(rslora) / scale
        blocks[row][:, column : column + part.rank] = part.b if ratio == 1 else part.b * ratio
        column += part.rank
    return LoraLayer(a, b, _alpha(scale, len(a), rslora))


def _without_empty_columns(layer: LoraLayer, rslora: bool) -> LoraLayer:
    used = layer.b.any(0)
    if used.all():
        return layer
    alpha = _alpha(layer.scale(rslora), int(used.sum()), rslora)
    return LoraLayer(layer.a[used], layer.b[:, used], alpha)


def _alpha(scale: float, rank: int, rslora: bool) -> float:
    """Return the alpha that gives this scale; the whole number where rounding has missed it."""
    alpha = scale * scale_divisor(rank, rslora)
    return float(round(alpha)) if math.isclose(alpha, round(alpha), rel_tol=1e-12) else alpha


def _heights(config: ModelConfig, rows: Sequence[Weight]) -> list[int]:
    sizes = named_sizes(config)
    return [sizes[row.shape[0]] for row in rows]
