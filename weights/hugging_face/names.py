"""Native tensors under Hugging Face's names and back: fused tensors cut or joined, rows reordered.

Meta keeps the two values of a rotary pair side by side, Hugging Face half of what is rotated apart.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from model.config import ModelConfig
from weights.families.family import Weight
from weights.table import Shape, account, drop_tied_copy, expected_shapes, shapes, weights

Reorder = Callable[[Tensor, int, int | None], Tensor]


def rows_by_name(config: ModelConfig) -> dict[str, list[Weight]]:
    """Return the rows that each Hugging Face tensor holds, one below the other."""
    grouped: dict[str, list[Weight]] = {}
    for row in weights(config).values():
        grouped.setdefault(row.hugging_face, []).append(row)
    return grouped


def hugging_face_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Return the shape of every tensor of the model by Hugging Face's name."""
    native = expected_shapes(config)
    return {
        name: (sum(native[row.name][0] for row in rows), *native[rows[0].name][1:])
        for name, rows in rows_by_name(config).items()
    }


def from_hugging_face(
    config: ModelConfig, state: Mapping[str, Tensor], origin: str = "the Hugging Face state"
) -> Iterator[tuple[str, Tensor]]:
    """Yield the native (name, tensor) pairs of a Hugging Face model's state.

    Raises ValueError that lists every tensor that is missing, left over or of the wrong shape.
    """
    setting = f"config.json of {origin} says tie_word_embeddings"
    names = ("lm_head.weight", "model.embed_tokens.weight")
    state = drop_tied_copy(config, state, *names, setting)
    account(hugging_face_shapes(config), shapes(state), origin, "config.json")
    starts = first_rows(config)
    sizes = {name: shape[0] for name, shape in expected_shapes(config).items()}
    return (
        (
            name,
            reordered(
                interleave,
                config,
                row,
                state[row.hugging_face][starts[name] : starts[name] + sizes[name]],
            ),
        )
        for name, row in weights(config).items()
    )


def to_hugging_face(
    config: ModelConfig, state: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Yield the Hugging Face (name, tensor) pairs of a native state."""
    state = drop_tied_copy(config, state)
    account(expected_shapes(config), shapes(state), "the native state")
    return (
        (name, _joined([reordered(half_split, config, row, state[row.name]) for row in rows]))
        for name, rows in rows_by_name(config).items()
    )


def reordered(change: Reorder, config: ModelConfig, row: Weight, tensor: Tensor) -> Tensor:
    """Return a tensor with `change` applied to its rotary rows; as it is where it has none."""
    if row.rotary_heads is None:
        return tensor
    heads = 1 if row.rotary_heads == "one" else getattr(config, row.rotary_heads)
    return change(tensor, heads, config.rotary_dim)


def interleave(rows: Tensor, heads: int, rotary_dim: int | None = None) -> Tensor:
    """Reorder query or key rows from Hugging Face's rotary halves to Meta's neighbouring pairs.

    Of each head the first `rotary_dim` rows are reordered, all of them when None.
    """
    return _in_heads(rows, heads, rotary_dim, (2, -1))


def half_split(rows: Tensor, heads: int, rotary_dim: int | None = None) -> Tensor:
    """Undo `interleave`: Meta's neighbouring pairs to Hugging Face's halves."""
    return _in_heads(rows, heads, rotary_dim, (-1, 2))


def _in_heads(rows: Tensor, heads: int, rotary_dim: int | None, split: tuple[int, int]) -> Tensor:
    by_head = rows.unflatten(0, (heads, -1))
    rotary = by_head[:, :rotary_dim].unflatten(1, split).transpose(1, 2).flatten(1, 2)
    if rotary.shape[1] < by_head.shape[1]:
        rotary = torch.cat([rotary, by_head[:, rotary_dim:]], 1)
    return rotary.flatten(0, 1)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def first_rows(config: ModelConfig) -> dict[str, int]:
    """Return the row of its Hugging Face tensor at which each native tensor begins."""
    native, starts = expected_shapes(config), {}
    for rows in rows_by_name(config).values():
        start = 0
        for row in rows:
            starts[row.name] = start
            start += native[row.name][0]
    return starts
