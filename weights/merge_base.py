"""The weights that an adapter is merged into: a base as it is, or as a quantised run had it.

An adapter that was trained on a quantised base has learned to make up for its rounding, so it fits
the dequantised weights; the original ones are the other target there may be.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.config import PARAMS_FILE, ModelConfig
from model.transformer import Transformer
from weights.adapter import Adapter
from weights.building import (
    build_model,
    is_linear_weight,
    quantize_on_arrival,
    quantized_linear,
)
from weights.directory import (
    Layout,
    hash_weights,
    layout_of,
    open_quantized,
    open_weights,
    weights_file,
)
from weights.lazy import LazyWeights
from weights.nf4.directory import QuantizationRecord, read_quantization
from weights.opening import open_tensors
from weights.table import EMBEDDING, account, drop_tied_copy, expected_shapes, shapes
from weights.tokenizer_file import tokenizer_in

ORIGINAL = "original"
DEQUANTIZED = "dequantized"
TARGETS = (ORIGINAL, DEQUANTIZED)

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Targets:
    """The two bases that an adapter of a quantised base can be merged into, and which one is.

    original: The weights before they were quantised; None where they are not at hand.
    load_quantized: Returns the model that was trained against, which computes in float32.
    """

    chosen: str
    original: Weights | None
    dequantized: Weights
    load_quantized: Callable[[], Transformer]


@dataclass(frozen=True)
class Base:
    """The model an adapter is merged into; `directory` is where params and tokenizer come from.

    `layout` has shapes and dtypes of `tensors`, which may be made when they are asked for.
    `targets` is None for an adapter of a base that was not quantised.
    """

    file: Path
    directory: Path
    config: ModelConfig
    layout: Layout
    tensors: Weights
    targets: Targets | None = None

    @property
    def tokenizer(self) -> Path | None:
        """The tokenizer's file, where there is one."""
        return tokenizer_in(self.directory)


def open_base(path: Path | str, adapter: Adapter, target: str | None = None) -> Base:
    """Open the base weights; params and tokenizer lie beside them, or else beside the adapter.

    `target` is one of TARGETS, by default the dequantised weights where the adapter was trained on
    a quantised base. Raises ValueError unless both hold exactly the tensors of one model.
    """
    file = weights_file(path)
    beside = (file.parent, adapter.directory)
    directory = next((d for d in beside if (d / PARAMS_FILE).is_file()), file.parent)
    config = ModelConfig.read(directory)
    check_target(adapter, target)
    record = read_quantization(file.parent)
    if record is None or adapter.quantization is None:
        tensors = _open_whole(config, file)
        adapter.check(config, file.parent)
        layout: Layout = layout_of(tensors)
        if adapter.quantization is None:
            return Base(file, directory, config, layout, tensors)
        targets = _quantized_anew(config, tensors, adapter.quantization, target or DEQUANTIZED)
    else:
        adapter.check(config, file.parent)
        check_same_quantization(adapter, adapter.quantization, record, file.parent, target)
        layout, targets = _open_stored(config, file, record)
    chosen = targets.dequantized if targets.chosen == DEQUANTIZED else targets.original
    assert chosen is not None
    return Base(file, directory, config, layout, chosen, targets)


def check_target(adapter: Adapter, target: str | None) -> None:
    """Raise ValueError for a target that there is not, or that an adapter cannot be merged into."""
    if target not in (None, *TARGETS):
        raise ValueError(f"--target is {target!r}, wanted one of {', '.join(TARGETS)}")
    if target is not None and adapter.quantization is None:
        raise ValueError(
            f"--target is {target}, and {adapter.file} was trained on a base that was not "
            "quantised, so there is one target; leave the flag out"
        )
    if target == ORIGINAL and adapter.lora.dora:
        raise ValueError(
            f"{adapter.file} is a DoRA adapter of a base in {adapter.quantization}, and the "
            "lengths of rows it has learned are of the dequantised weights; merge it with "
            f"--target {DEQUANTIZED}"
        )


def check_same_quantization(
    adapter: Adapter, trained: str, record: QuantizationRecord, origin: Path, target: str | None
) -> None:
    """Raise ValueError where a directory's quantised weights are not the target."""
    if target == ORIGINAL:
        raise ValueError(
            f"--target is {target}, and {origin} holds weights in {record.quantization}; name "
            f"those they were made of: --base-ckpt-path {record.directory}"
        )
    if trained != record.quantization:
        raise ValueError(
            f"{adapter.file} was trained on a base in {trained}, and {origin} holds "
            f"{record.quantization}; name the weights it was made of: --base-ckpt-path "
            f"{record.directory}"
        )


def _open_whole(config: ModelConfig, file: Path) -> Weights:
    tensors = drop_tied_copy(config, open_weights(file))
    account(expected_shapes(config), shapes(tensors), str(file))
    return tensors


def _quantized_anew(
    config: ModelConfig, tensors: Weights, quantization: str, target: str
) -> Targets:
    def dequantized(name: str) -> Tensor:
        tensor = tensors[name]
        if not is_linear_weight(name):
            return tensor
        return quantized_linear(tensor, quantization).dequantized(tensor.dtype)

    def load() -> Transformer:
        place = quantize_on_arrival("cpu", torch.float32, quantization)
        return build_model(config, tensors, place=place)

    return Targets(target, tensors, LazyWeights(tensors, dequantized), load)


def _open_stored(
    config: ModelConfig, file: Path, record: QuantizationRecord
) -> tuple[Layout, Targets]:
    """Open weights that are stored in NF4; dequantised they have the dtype of the embedding."""
    stored = open_quantized(file)
    assert stored is not None
    forms, whole = open_tensors(file).forms, expected_shapes(config)
    dtype = forms[EMBEDDING].dtype
    layout = {
        name: (whole[name], dtype if is_linear_weight(name) else forms[name].dtype)
        for name in stored
    }

    def dequantized(name: str) -> Tensor:
        tensor = stored[name]
        return tensor if isinstance(tensor, Tensor) else tensor.dequantized(dtype)

    def load() -> Transformer:
        return build_model(config, stored, dtype=torch.float32)

    original = _original(config, record)
    return layout, Targets(DEQUANTIZED, original, LazyWeights(layout, dequantized), load)


def _original(config: ModelConfig, record: QuantizationRecord) -> Weights | None:
    """Open the weights that a record names, where they are still what was quantised."""
    try:
        file = weights_file(record.directory)
        same = record.sha256 == hash_weights(file)
        return _open_whole(config, file) if same else None
    except (OSError, ValueError):
        return None
