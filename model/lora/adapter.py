"""Put an adapter around a model's layers, and read it out again."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from model.lora.config import EMBEDDING, HEAD, LoraConfig, is_target
from model.lora.dora import DoraLinear
from model.lora.layers import LoraLinear, stacked
from model.lora.token_rows import EmbeddingRows, OutputRows, TokenRows
from model.lora.vocabulary import LoraEmbedding, LoraOutput

# What a layer may be in, `base`, to be adapted; all their other parameters are the adapter.
WRAPPERS = (LoraLinear, TokenRows)


def add_lora(model: nn.Module, config: LoraConfig) -> list[str]:
    """Wrap every linear layer whose name matches a target, freeze the rest; return the names.

    Raises ValueError for a pattern that matches nothing, or where biases are asked for and no
    adapted layer has one.
    """
    model.requires_grad_(False)
    names = list(matching_linears(model, config.targets))
    _check_possible(model, config, names)
    for name in names:
        parent, _, child = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, child, wrap(config, name, getattr(owner, child)))
    for module in model.modules():
        if hasattr(module, "products"):
            module.products = stacked  # type: ignore[assignment]
    if config.token_rows:
        _add_token_rows(model, config.token_rows)
    return names


def _add_token_rows(model: nn.Module, ids: Sequence[int]) -> None:
    """Wrap embedding and head; where they are one weight, they share its trained rows."""
    embedding = EmbeddingRows(model.tok_embeddings, ids, None)  # type: ignore[arg-type]
    shared = embedding.token_rows if model.config.tied_embeddings else None  # type: ignore[union-attr]
    model.tok_embeddings = embedding
    model.output = OutputRows(model.output, ids, shared)  # type: ignore[arg-type]


def wrap(config: LoraConfig, name: str, base: nn.Module) -> LoraLinear:
    """Return the linear layer of this full name with a new adapter beside it."""
    ends = {EMBEDDING: LoraEmbedding, HEAD: LoraOutput}
    kind = ends.get(name, DoraLinear if config.dora else LoraLinear)
    return kind(base, config.rank_of(name), config.scale_of(name), config.dropout, config.biases)


def matching_linears(model: nn.Module, targets: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the layers that a target matches, in model order.

    They are the blocks' linear layers, and embedding and head where a target is their name.
    """
    linears = [
        name
        for name, module in model.named_modules()
        if name.startswith("layers.") and hasattr(module, "in_features")
    ]
    for target in targets:
        if target not in (EMBEDDING, HEAD) and not any(is_target(n, target) for n in linears):
            last = sorted({name.rpartition(".")[2] for name in linears})
            raise ValueError(
                f"lora target {target!r} matches no linear layer; there are "
                f"{[*last, HEAD, EMBEDDING]}"
            )
    chosen = LoraConfig(targets=targets)
    return (name for name in (EMBEDDING, *linears, HEAD) if chosen.is_target(name))


def _check_possible(model: nn.Module, config: LoraConfig, names: Sequence[str]) -> None:
    """Raise ValueError for an adapter of the layers `names` that this model cannot have."""
    for pattern, value in (*config.ranks, *config.alphas):
        if not any(is_target(name, pattern) for name in names):
            raise ValueError(f"lora gives {value} to {pattern!r}, which matches no adapted layer")
    layers = [model.get_submodule(name) for name in names]
    if config.biases and all(getattr(layer, "bias", None) is None for layer in layers):
        raise ValueError(
            "lora.biases is true, and none of the adapted layers has a bias "
            f"({', '.join(config.targets)}); leave it out"
        )
    ends = [name for name in names if name in (EMBEDDING, HEAD)]
    if ends and config.dora:
        raise ValueError(
            f"lora.dora is true, and {ends[0]} is a target: DoRA is for the blocks' linear layers; "
            "leave one of them out"
        )
    rows = model.config.vocab_size  # type: ignore[union-attr]
    if config.token_rows and max(config.token_rows) >= rows:  # type: ignore[operator]
        raise ValueError(
            f"lora.token_rows has {max(config.token_rows)}, and the model's embedding {rows:,} "
            f"rows, 0 to {rows - 1}"  # type: ignore[operator]
        )
    if ends and config.token_rows:
        raise ValueError(
            f"lora.token_rows trains rows of {EMBEDDING} and {HEAD}, and {ends[0]} is a target: "
            "leave one of them out"
        )
    if ends and model.config.tied_embeddings:  # type: ignore[union-attr]
        raise ValueError(
            f"the lora target {ends[0]} cannot be adapted alone: in this model {EMBEDDING} and "
            f"{HEAD} are one weight; leave it out"
        )


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the adapter's parameters by name (`layers.0.attention.wq.lora_a`, ...)."""
    # Once, where two layers share a parameter.
    own = dict(model.named_parameters())
    return {
        f"{layer}.{name}": parameter.detach()
        for layer, module in model.named_modules()
        if isinstance(module, WRAPPERS)
        for name, parameter in module.named_parameters()
        if not name.startswith("base.") and f"{layer}.{name}" in own
    }


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """Compute as the base for a while: each adapted layer is replaced by what it was put around.

    For passes without gradients, because recomputation in a later backward pass finds the adapter
    again. Raises ValueError for a model without an adapter.
    """
    wrapped = {name: m for name, m in model.named_modules() if isinstance(m, WRAPPERS)}
    if not wrapped:
        raise ValueError("the model has no adapter that could be off: all its weights are trained")
    for name, module in wrapped.items():
        model.set_submodule(name, module.base)
    try:
        yield
    finally:
        for name, module in wrapped.items():
            model.set_submodule(name, module)


def adapted_layer(
    config: LoraConfig, name: str, shape: Sequence[int], state: Mapping[str, Tensor]
) -> LoraLinear | None:
    """Return the linear layer of this name with its adapter, or None where it has none.

    Its base has the weight's `shape` [O, I] and no values.
    """
    own = {key.removeprefix(f"{name}."): key for key in state if key.startswith(f"{name}.")}
    if "lora_a" not in own:
        return None
    with torch.device("meta"):
        layer = wrap(config, name, nn.Linear(shape[1], shape[0], bias=False))
    for attribute, key in own.items():
        setattr(layer, attribute, nn.Parameter(state[key], requires_grad=False))
    return layer


def load_adapter(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy an adapter into a model that `add_lora` prepared; every name must be on both sides."""
    own = adapter_state(model)
    check_adapter(own, state)
    for name, tensor in own.items():
        tensor.copy_(state[name])


def check_adapter(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless `state` has exactly the tensors of a model's `own` adapter."""
    missing, left_over = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or left_over:
        raise ValueError(
            f"{len(missing)} tensors of the adapter are missing (first {missing[:1]}) and "
            f"{len(left_over)} left over (first {left_over[:1]}); is lora.json the one it was "
            "trained with?"
        )
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise ValueError(
                f"{name} has shape {list(state[name].shape)}, wanted {list(tensor.shape)}"
            )


def adapter_of(state: Mapping[str, Any], linear: str) -> tuple[Any, Any] | None:
    """Return (a, b) of the linear layer named `linear`, or None when it has no adapter."""
    a, b = state.get(f"{linear}.lora_a"), state.get(f"{linear}.lora_b")
    return None if a is None or b is None else (a, b)
