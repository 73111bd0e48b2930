"""The proof of a merge: what was written is the base, with the adapter added and rounded once.

Every value of every weight is compared, some rows at a time, so that a model of any size needs
memory for little more than one tensor. A merged value may deviate from the exact sum, computed in
float64, by half a rounding step of its dtype and float32's error of summing; nothing less can tell
a wrong merge from a right one, so this holds for adapters of any size. All else (weights without an
adapter, norms, biases) must be the base's bit for bit, or what was trained in its place, in the
dtype that was asked for.

Shapes: O outputs, I inputs, R rank, C rows of a chunk.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from console.progress import no_bar
from model.lora.layers import LoraLinear
from weights.adapter import Adapter
from weights.directory import dtype_name
from weights.table import bitwise_equal

# Values that are compared at once.
_CHUNK_VALUES = 2**22
_TINY = torch.finfo(torch.float32).tiny
_EXPONENT = 0x7F800000

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Proof:
    """What was compared and found right.

    weight_error: The largest deviation of a merged value as a share of what rounding allows,
        found in `worst_weight`.
    lost: The share of the adapter that rounding took: 1 where nothing of it is left.
    replaced: How many tensors, biases and weights with trained rows of tokens, are bit for bit what
        training put in their place.
    """

    merged_weights: int
    unchanged_weights: int
    weight_error: float
    worst_weight: str
    lost: float
    replaced: int = 0


@torch.inference_mode()
def prove(
    base: Weights,
    merged: Weights,
    adapter: Adapter,
    dtype: torch.dtype | None = None,
    advance: Callable[[int], object] = no_bar,
) -> Proof:
    """Compare the merged weights with base and adapter; `dtype` None is the base's own.

    `advance` is told of the bytes of merged weights that have been compared. Raises ValueError
    that names the first weight that is wrong.
    """
    if merged.keys() != base.keys():
        raise _unproven(f"{min(merged.keys() ^ base.keys())} is on one side only")
    count, replaced, worst, kept, added = 0, 0, (0.0, ""), 0.0, 0.0
    for name, weight in base.items():
        written, wanted = merged[name], dtype or weight.dtype
        if (written.shape, written.dtype) != (weight.shape, wanted):
            raise _unproven(
                f"{name} is {list(written.shape)} {dtype_name(written.dtype)}, wanted "
                f"{list(weight.shape)} {dtype_name(wanted)}"
            )
        layer = adapter.layer(name.removesuffix(".weight"), weight)
        replacement = adapter.replacement(name, weight, wanted)
        if replacement is not None:
            replaced += 1
            if not bitwise_equal(written, replacement):
                raise _unproven(f"{name} is not the one that was trained, bit for bit")
        elif layer is None:
            if not bitwise_equal(written, weight.to(wanted)):
                raise _unproven(f"{name} has no adapter and is not the base's bit for bit")
        else:
            count += 1
            for error, inside, whole in _compared(weight, layer, written):
                # Written so that NaN fails, too.
                if not error <= 1:
                    raise _unproven(f"{name} is off by {error:.3g} times what rounding allows")
                worst = max(worst, (error, name))
                kept, added = kept + inside, added + whole
        advance(written.nbytes)
    lost, unchanged = 1 - kept / added if added else 0.0, len(base) - count - replaced
    return Proof(count, unchanged, *worst, lost, replaced)


def _unproven(problem: str) -> ValueError:
    return ValueError(
        f"the merge is not proven, nothing was written: {problem}; run it again, and if it stays "
        "so, report it with --debug"
    )


def weight_error(weight: Tensor, layer: LoraLinear, merged: Tensor) -> float:
    """Return how far a merged weight [O, I] is off, at most 1 when right."""
    errors = [error for error, _, _ in _compared(weight, layer, merged)]
    return float(torch.tensor(errors).max())


def _compared(
    weight: Tensor, layer: LoraLinear, merged: Tensor
) -> Iterator[tuple[float, float, float]]:
    """Yield of some rows the largest error, and how much of what was to be added was added.

    Both as products with what was to be added, so that errors of rounding, which are as often up
    as down, count for nothing. Allowed is half a rounding step, and the error of summing R + 2
    products in float32, twice.
    """
    count = max(1, _CHUNK_VALUES // weight.shape[1])
    for start_row in range(0, len(weight), count):
        rows = slice(start_row, start_row + count)
        found, start = merged[rows].double(), weight[rows].double()
        exact, summed = layer.merged(start, rows), layer.summed_magnitudes(start, rows)
        delta = exact - start
        allowed = spacing(merged[rows]) / 2 + (layer.rank + 4) * 2.0**-23 * summed
        error = exact.sub_(found).abs_().div_(allowed.clamp_(min=_TINY)).max()
        yield float(error), float(((found - start) * delta).sum()), float(delta.square().sum())


def spacing(values: Tensor) -> Tensor:
    """Return the distance of each value to the next larger one of its dtype, as float32."""
    limits = torch.finfo(values.dtype)
    bits = values.to(torch.float32, copy=True).view(torch.int32)
    # The exponent's bits alone are the power of two at or below the value.
    power = bits.bitwise_and_(_EXPONENT).view(torch.float32)
    return power.mul_(limits.eps).clamp_(min=limits.smallest_normal * limits.eps)
