"""Which base an adapter of a quantised one fits better once merged, by logits.

What was trained and evaluated is the quantised base with the adapter unmerged. All models compute
in float32, and weights are made at each use: memory holds the quantised model or none of its linear
layers, the embedding and the head in float32, and one weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig
from model.transformer import Transformer
from weights.adapter import Adapter
from weights.building import Stored, build_model, copy_on_arrival, is_linear_weight
from weights.directory import Layout
from weights.merge_base import Base, Weights
from weights.merge_logits import LogitDifference, base_and_adapter_logits, difference, model_logits


@dataclass(frozen=True)
class TargetFigures:
    """How far the logits of the merged model are from the trained one's, for either target.

    original: None where the weights before quantisation were not at hand.
    adapter: For scale, the quantised base without the adapter beside the same with it.
    nearer: The target with the smaller mean difference; None where one alone was compared.
    """

    dequantized: LogitDifference
    original: LogitDifference | None
    adapter: LogitDifference
    nearer: str | None
    probe_tokens: int
    compute_dtype: str = "float32"


def compare_targets(
    base: Base, adapter: Adapter, merged: Mapping[str, Weights], probes: Sequence[Sequence[int]]
) -> TargetFigures:
    """Run the trained model and the `merged` weights of each target on `probes`."""
    assert base.targets is not None
    plain, trained = base_and_adapter_logits(base.targets.load_quantized(), adapter, probes)
    found = {
        target: difference(
            trained, model_logits(lazy_model(base.config, base.layout, weights), probes)
        )
        for target, weights in merged.items()
    }
    nearer = min(found, key=lambda target: found[target].mean) if len(found) > 1 else None
    dequantized, original = found["dequantized"], found.get("original")
    return TargetFigures(dequantized, original, difference(trained, plain), nearer, len(trained))


class LazyLinear(nn.Module):
    """A linear layer that asks for its weight at each use."""

    bias: Tensor | None

    def __init__(self, name: str, shape: Sequence[int], weights: Weights) -> None:
        super().__init__()
        self.out_features, self.in_features = shape
        self.name, self.weights = name, weights
        self.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] to [T, O]."""
        return F.linear(x, self.weights[self.name].to(x.dtype), self.bias)


def lazy_model(config: ModelConfig, layout: Layout, weights: Weights) -> Transformer:
    """Return the model of these weights that computes in float32 and holds no linear layer's."""
    copy = copy_on_arrival("cpu", torch.float32)

    def place(name: str, tensor: Stored) -> nn.Parameter | nn.Module:
        if is_linear_weight(name):
            return LazyLinear(name, layout[name][0], weights)
        return copy(name, tensor)

    tensors = {
        name: torch.empty(shape, device="meta") if is_linear_weight(name) else weights[name]
        for name, (shape, _) in layout.items()
    }
    return build_model(config, tensors, place=place)
