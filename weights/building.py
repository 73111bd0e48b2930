"""Build a model of tensors that were read, each placed exactly once.

A `Place` takes each tensor with its name, still mapped from the file, and returns what the model is
to hold: a parameter, or for the weight of a linear layer a module in place of the layer. So a model
is quantised, or divided among ranks, without being whole in memory before. A weight that the file
holds in NF4 comes as such a module, on the file's mapping.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.fp8 import MULTIPLE, FP8Linear, check_fp8, quantize_rows
from model.lora.config import ALL_LINEARS
from model.nf4 import NF4, NF4Linear, quantize
from model.quantized import QuantizedLinear
from model.transformer import Transformer
from weights.table import EMBEDDING

Stored = Tensor | NF4Linear
Place = Callable[[str, Stored], nn.Parameter | nn.Module]


def build_model(
    config: ModelConfig,
    tensors: Mapping[str, Stored],
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    place: Place | None = None,
) -> Transformer:
    """Build a model of exactly the tensors that it needs, as `load_model` does."""
    place = place or copy_on_arrival(device, dtype)
    with torch.device("meta"):
        model = Transformer(config)
    # Biases come last: the module that replaces a linear layer is there when its weight was placed.
    for name in sorted(tensors, key=lambda name: name.endswith(".bias")):
        owner, _, attribute = name.rpartition(".")
        placed = place(name, tensors[name])
        if isinstance(placed, nn.Module):
            model.set_submodule(owner, placed, strict=True)
        else:
            setattr(model.get_submodule(owner), attribute, placed)
    if config.tied_embeddings:
        model.output.weight = model.get_parameter(EMBEDDING)
    return model


def copy_on_arrival(device: torch.device | str, dtype: torch.dtype | None) -> Place:
    """Return the `Place` that copies each tensor to a device; `dtype` None keeps what is stored."""

    def place(name: str, tensor: Stored) -> nn.Parameter | nn.Module:
        if isinstance(tensor, NF4Linear):
            return copy_quantized(tensor, device)
        return nn.Parameter(tensor.to(device=device, dtype=dtype or tensor.dtype, copy=True))

    return place


def quantize_on_arrival(
    device: torch.device | str, dtype: torch.dtype | None, quantization: str = "nf4_double"
) -> Place:
    """Return the `Place` that keeps the weights of the blocks' linear layers in NF4 or FP8.

    They are quantised on `device` from what is stored, one tensor at a time, unless the file holds
    them so. Embedding, norms, biases and the projection to the vocabulary are copied in `dtype`.
    Raises ValueError where the device cannot compute with them.
    """
    copy = copy_on_arrival(device, dtype)
    if quantization == "fp8":
        check_fp8(device, dtype)

    def place(name: str, tensor: Stored) -> nn.Parameter | nn.Module:
        if isinstance(tensor, NF4Linear) or not is_linear_weight(name):
            return copy(name, tensor)
        if quantization == "fp8" and any(size % MULTIPLE for size in tensor.shape):
            raise ValueError(
                f"quantization is 'fp8', and {name} is {list(tensor.shape)}, wanted multiples of "
                f"{MULTIPLE}; store the base in nf4_double, or as it is"
            )
        return quantized_linear(tensor.to(device), quantization)

    return place


def quantized_linear(weight: Tensor, quantization: str) -> QuantizedLinear:
    """Return the linear layer of a weight [O, I], quantised in one of QUANTIZATIONS."""
    if quantization == "fp8":
        return FP8Linear(quantize_rows(weight))
    outputs, inputs = weight.shape
    return NF4Linear(quantize(weight, quantization == "nf4_double"), inputs, outputs)


def copy_quantized(linear: NF4Linear, device: torch.device | str) -> NF4Linear:
    """Return a layer in NF4 without its bias, its parts copied to a device."""
    parts = linear.quantized._asdict().items()
    copies = {name: part.to(device, copy=True) for name, part in parts if part is not None}
    return NF4Linear(NF4(**copies), linear.in_features, linear.out_features)


def is_linear_weight(name: str) -> bool:
    """Return whether a tensor of this name is the weight of a linear layer in a block."""
    *_, layer, attribute = ("", *name.split("."))
    return name.startswith("layers.") and layer in ALL_LINEARS and attribute == "weight"
