"""The table of a model's weights: names, shapes and shard axes, of the rows of its family.

Everything that moves weights reads it: Hugging Face to native and back, Meta's shards to whole
tensors and back, and the check that no tensor is missing, left over or of another shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from model.config import ModelConfig
from weights.families.family import Weight
from weights.families.known import family_of
from weights.lazy import forms, only

DTYPES = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
}
EMBEDDING = "tok_embeddings.weight"
OUTPUT = "output.weight"

Shape = tuple[int, ...]


BEFORE_LAYERS = (Weight(EMBEDDING, "model.embed_tokens.weight", ("vocab_size", "dim"), 0),)
AFTER_LAYERS = (
    Weight("norm.weight", "model.norm.weight", ("dim",)),
    Weight(OUTPUT, "lm_head.weight", ("vocab_size", "dim"), 0),
)


def weights(config: ModelConfig) -> dict[str, Weight]:
    """Return the rows of one model by native name, in the order of the model's parameters.

    A tied model has no `output.weight` of its own: `tok_embeddings.weight` serves as both.
    """
    in_layers = (
        replace(
            row,
            name=f"layers.{layer}.{row.name}",
            hugging_face=f"model.layers.{layer}.{row.hugging_face}",
        )
        for layer in range(config.n_layers)
        for row in family_of(config).in_each_layer
    )
    rows = {row.name: row for row in (*BEFORE_LAYERS, *in_layers, *AFTER_LAYERS)}
    if config.tied_embeddings:
        del rows[OUTPUT]
    return rows


def named_sizes(config: ModelConfig) -> dict[str, int]:
    """Return the sizes that the shapes of the rows name."""
    return {
        **{name: getattr(config, name) for name in ("vocab_size", "dim", "hidden_dim", "head_dim")},
        "queries": config.n_heads * config.head_dim,
        "keys": config.n_kv_heads * config.head_dim,
    }


def expected_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Return the shape of every native tensor of a model by name."""
    sizes = named_sizes(config)
    return {name: tuple(sizes[size] for size in row.shape) for name, row in weights(config).items()}


def account(
    expected: Mapping[str, Shape],
    found: Mapping[str, Shape],
    origin: str,
    described_by: str = "params.json",
    advice: str = "take both from the same model",
) -> None:
    """Raise ValueError unless exactly the expected tensors are there, each in its shape."""
    missing = [name for name in expected if name not in found]
    left_over = [name for name in found if name not in expected]
    if lora := [name for name in left_over if "lora_" in name.lower()]:
        raise ValueError(lora_message(origin, lora[0]))
    wrong = [
        f"{name} is {list(found[name])}, wanted {list(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    kinds = {"missing": missing, "left over": left_over, "of the wrong shape": wrong}
    if complaints := [
        f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names
    ]:
        raise ValueError(
            f"{origin} does not hold the weights that {described_by} describes: "
            f"{'; '.join(complaints)}; {advice}"
        )


def lora_message(origin: str, example: str) -> str:
    """Return the message that `origin` is an adapter, wanted whole weights, and how to merge it."""
    return (
        f"{origin} holds a LoRA adapter ({example}), wanted whole weights; merge it first: python "
        "scripts/convert_lora_weights.py --config-dir D --base-ckpt-path P --lora-ckpt-path F "
        "--output-dir D"
    )


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Return the shape of every tensor by name."""
    return {name: tuple(tensor.shape) for name, tensor in forms(tensors).items()}


def drop_tied_copy(
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    output: str = OUTPUT,
    embedding: str = EMBEDDING,
    setting: str = "params.json says tied_embeddings",
) -> Mapping[str, Tensor]:
    """Return the tensors of a tied model without a second copy of the embedding, if there is one.

    Raises ValueError when that copy differs from the embedding.
    """
    if not (config.tied_embeddings and output in tensors and embedding in tensors):
        return tensors
    if not bitwise_equal(tensors[output], tensors[embedding]):
        raise ValueError(
            f"{output} differs from {embedding}, and {setting}; "
            "set it to false there, or take both files from the same model"
        )
    return only(tensors, (name for name in tensors if name != output))


def shard(tensor: Tensor, axis: int | None, index: int, count: int) -> Tensor:
    """Return part `index` of `count` equal parts along `axis`, as a view; all of it for None."""
    return tensor if axis is None or count == 1 else tensor.chunk(count, axis)[index]


def unshard(parts: Sequence[Tensor], axis: int | None) -> Tensor:
    """Join the parts that `shard` made; one part alone is returned as it is."""
    return parts[0] if axis is None or len(parts) == 1 else torch.cat(list(parts), axis)


def dtype_named(name: str | None) -> torch.dtype | None:
    """Return the dtype that a --dtype flag names, None without one; ValueError for any other."""
    if name is not None and name not in DTYPES:
        raise ValueError(f"--dtype is {name!r}, wanted one of {', '.join(DTYPES)}")
    return DTYPES[name] if name else None


def cast(tensor: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    """Return a tensor in another dtype; ValueError, with its `name`, where that cannot hold it."""
    if tensor.dtype == dtype:
        return tensor
    changed = tensor.to(dtype)
    least, most = changed.aminmax()
    if not (least.isfinite() and most.isfinite()):
        raise ValueError(
            f"{name} has values that {str(dtype).removeprefix('torch.')} cannot hold; "
            "choose --dtype bfloat16 or float32"
        )
    return changed


def bitwise_equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree in shape, dtype and every bit (NaN equals the same NaN)."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    return torch.equal(a.view(integers), b.view(integers))


def _some(names: Sequence[str], limit: int = 3) -> str:
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
