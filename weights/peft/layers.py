"""An adapter's matrices by PEFT's modules and by our linear layers, each made of the other.

Rows of B follow those of the weight: for queries and keys they change between Meta's and Hugging
Face's rotary order. Where Hugging Face fuses layers (Phi's `qkv_proj`, `gate_up_proj`), their
adapters become one of the summed rank: every A below the one before, and a B with each layer's
in the rows of its weight and the columns of its A, so that B A and its scale stay what they were.
What a layer has one value a row of (DoRA's magnitudes, trained biases) is put together likewise.

Shapes: I inputs, O outputs, R rank.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.config import ModelConfig
from model.lora.adapter import adapter_of
from model.lora.config import LoraConfig, scale_divisor
from weights.families.family import Weight
from weights.hugging_face.names import half_split, interleave, reordered, rows_by_name
from weights.table import named_sizes, weights

# What a layer may have one trained value a row of, and what PEFT calls it.
VECTORS = {"lora_magnitude": "lora_magnitude_vector", "lora_bias": "base_layer.bias"}


@dataclass(frozen=True)
class LoraLayer:
    """The matrices a [R, I] and b [O, R] of one layer, its alpha, and its VECTORS [O] by name."""

    a: Tensor
    b: Tensor
    alpha: float
    vectors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """R."""
        return len(self.a)

    def scale(self, rslora: bool) -> float:
        """Return the factor on b a."""
        return self.alpha / scale_divisor(self.rank, rslora)


# What Hugging Face calls the embedding, the head, and the start of every layer's name in a block.
EMBED_TOKENS, LM_HEAD, BLOCKS = "model.embed_tokens", "lm_head", "model.layers."


def peft_modules(config: ModelConfig) -> dict[str, list[Weight]]:
    """Return the rows of our weights in each layer of Hugging Face's that has a matrix, by name.

    They are the blocks' linear layers, the embedding and, where it is a weight of its own, the
    head.
    """
    return {
        name.removesuffix(".weight"): rows
        for name, rows in rows_by_name(config).items()
        if len(rows[0].shape) == 2
    }


def to_peft(
    config: ModelConfig, lora: LoraConfig, state: Mapping[str, Tensor]
) -> dict[str, LoraLayer]:
    """Return the layers of an adapter by Hugging Face's module, in the order of the model."""
    found = {}
    for module, rows in peft_modules(config).items():
        parts = {}
        for row in rows:
            linear = linear_of(row)
            if pair := adapter_of(state, linear):
                b = reordered(half_split, config, row, pair[1])
                vectors = {
                    name: reordered(half_split, config, row, state[f"{linear}.{name}"])
                    for name in VECTORS
                    if f"{linear}.{name}" in state
                }
                parts[row] = LoraLayer(pair[0], b, lora.alpha_of(linear), vectors)
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
        for row, part in zip(rows, _parts(config, rows, layer), strict=True):
            if len(rows) == 1 or not layer.b.any():
                found[linear_of(row)] = part
            elif part.b.any():
                found[linear_of(row)] = _without_empty_columns(part, rslora)
            elif part.vectors:
                found[linear_of(row)] = part
    order = map(linear_of, weights(config).values())
    return {name: found[name] for name in order if name in found}


def linear_of(row: Weight) -> str:
    """Return the name of the linear layer that a weight belongs to."""
    return row.name.removesuffix(".weight")


def _parts(config: ModelConfig, rows: Sequence[Weight], layer: LoraLayer) -> list[LoraLayer]:
    """Return for each of the `rows` of a layer what of the layer is its own."""

    def cut(whole: Tensor) -> list[Tensor]:
        pieces = zip(rows, whole.split(_heights(config, rows)), strict=True)
        return [reordered(interleave, config, row, piece) for row, piece in pieces]

    vectors = {name: cut(vector) for name, vector in layer.vectors.items()}
    return [
        LoraLayer(layer.a, b, layer.alpha, {name: own[index] for name, own in vectors.items()})
        for index, b in enumerate(cut(layer.b))
    ]


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
    vectors = {
        name: torch.cat([part.vectors[name] for part in parts.values()]) for name in first.vectors
    }
    if vectors and len(parts) < len(rows):
        left_out = next(linear_of(row) for row in rows if row not in parts)
        raise ValueError(
            f"{left_out} has no adapter, and {rows[0].hugging_face} holds it together with layers "
            "that have one of DoRA, whose rows all need a magnitude there; merge the adapter "
            "(scripts/convert_lora_weights.py), or train with all of them as targets"
        )
    return LoraLayer(a, b, _alpha(scale, len(a), rslora), vectors)


def _without_empty_columns(layer: LoraLayer, rslora: bool) -> LoraLayer:
    used = layer.b.any(0)
    if used.all():
        return layer
    alpha = _alpha(layer.scale(rslora), int(used.sum()), rslora)
    return LoraLayer(layer.a[used], layer.b[:, used], alpha, layer.vectors)


def _alpha(scale: float, rank: int, rslora: bool) -> float:
    """Return the alpha that gives this scale; the whole number where rounding has missed it."""
    alpha = scale * scale_divisor(rank, rslora)
    return float(round(alpha)) if math.isclose(alpha, round(alpha), rel_tol=1e-12) else alpha


def _heights(config: ModelConfig, rows: Sequence[Weight]) -> list[int]:
    sizes = named_sizes(config)
    return [sizes[row.shape[0]] for row in rows]
