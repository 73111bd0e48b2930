"""Build a model of tensors that were read, each copied exactly once."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.transformer import Transformer
from weights.table import EMBEDDING


def build_model(
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    place: Callable[[Tensor], nn.Parameter] | None = None,
) -> Transformer:
    """Build a model of exactly the tensors that it needs, as `load_model` does."""

    def copied(tensor: Tensor) -> nn.Parameter:
        wanted = dtype or tensor.dtype
        return nn.Parameter(tensor.to(device=device, dtype=wanted, copy=True))

    with torch.device("meta"):
        model = Transformer(config)
    for name, tensor in tensors.items():
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, (place or copied)(tensor))
    if config.tied_embeddings:
        model.output.weight = model.get_parameter(EMBEDDING)
    return model
