"""Quantise a native directory: streamed, read back, written whole or not at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.config import ModelConfig, read_params
from model.nf4 import quantize
from model.quantized import NF4_KINDS
from storage.atomic import check_own_directory, new_directory
from weights.building import is_linear_weight
from weights.chat_record import copy_chat_record
from weights.conversion import require_space, write_beside, write_checked
from weights.directory import (
    WEIGHTS_FILE,
    Layout,
    hash_weights,
    layout_bytes,
    layout_of,
    open_weights,
    weights_file,
)
from weights.nf4.directory import QuantizationRecord, part_layout, part_name
from weights.table import Shape, account, drop_tied_copy, expected_shapes, shapes

# Another kind than a conversion's, so that quantised weights never replace those they are made of.
KIND = "quantised model"


@dataclass(frozen=True)
class Quantized:
    """What was written: so many weights in NF4 and others as they were; sizes are in bytes."""

    directory: Path
    config: ModelConfig
    weights: int
    others: int
    bytes: int
    bytes_before: int


def quantize_directory(
    source: Path | str, target: Path | str, quantization: str = "nf4_double"
) -> Quantized:
    """Write a native directory with the blocks' linear layers in NF4; one tensor is held at most.

    `quantization` is one of model/quantized.py's NF4_KINDS. What is written equals, bit for bit,
    what `quantize_on_arrival` makes of the same weights on the CPU.
    """
    if quantization not in NF4_KINDS:
        raise ValueError(
            f"--quantization is {quantization!r}, wanted one of {', '.join(NF4_KINDS)}"
        )
    target = Path(target).expanduser()
    check_own_directory(target, KIND)
    file = weights_file(source)
    params = read_params(file.parent)
    config = ModelConfig.from_params(params, str(file.parent))
    tensors = drop_tied_copy(config, open_weights(file))
    account(expected_shapes(config), shapes(tensors), str(file))
    double = quantization == "nf4_double"
    layout = quantized_layout(layout_of(tensors), double)
    require_space(target, layout_bytes(layout))
    sha256 = hash_weights(file)
    with new_directory(target, KIND) as partial:
        write_beside(partial, params, file.parent)
        copy_chat_record(partial, file.parent)
        QuantizationRecord(quantization, str(file.parent), sha256).write(partial)
        write_checked({partial / WEIGHTS_FILE: layout}, lambda: quantized_tensors(tensors, double))
    count = sum(map(is_linear_weight, tensors))
    before = layout_bytes(layout_of(tensors))
    others = len(tensors) - count
    return Quantized(target, config, count, others, layout_bytes(layout), before)


def quantized_layout(layout: Layout, double_quantization: bool) -> Layout:
    """Return the layout of the file that weights of this layout become, in the same order."""
    found: dict[str, tuple[Shape, torch.dtype]] = {}
    for name, (shape, dtype) in layout.items():
        if is_linear_weight(name):
            parts = part_layout(shape, double_quantization)
            found |= {part_name(name, part): row for part, row in parts.items()}
        else:
            found[name] = (shape, dtype)
    return found


def quantized_tensors(
    tensors: Mapping[str, Tensor], double_quantization: bool
) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of that file, one weight quantised at a time."""
    for name, tensor in tensors.items():
        if not is_linear_weight(name):
            yield name, tensor
            continue
        for part, value in quantize(tensor, double_quantization)._asdict().items():
            if value is not None:
                yield part_name(name, part), value
