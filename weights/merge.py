"""Merge a LoRA adapter into its base: streamed, read back, proven, written whole or not at all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from console.progress import byte_bar
from model.config import PARAMS_FILE, ModelConfig, read_params
from model.transformer import Transformer
from storage.atomic import check_own_directory, new_directory
from storage.json_file import write_json
from storage.manifest import sha256_of_file
from weights.adapter import Adapter
from weights.building import build_model
from weights.chat_record import copy_chat_record
from weights.conversion import check_bits, dtypes_of, require_space, write_beside
from weights.directory import (
    WEIGHTS_FILE,
    layout_bytes,
    open_weights,
    weights_file,
    write_safetensors,
)
from weights.merge_logits import LogitFigures, compare_logits
from weights.merge_proof import Proof, prove
from weights.table import account, drop_tied_copy, dtype_named, expected_shapes, shapes
from weights.tokenizer_file import tokenizer_in

# Another kind than a conversion's, so that no merge replaces the base it was made from.
KIND = "merged model"
MERGE_FILE = "merge.json"


@dataclass(frozen=True)
class Base:
    """The model an adapter is merged into; `directory` is where params and tokenizer come from."""

    file: Path
    directory: Path
    config: ModelConfig
    tensors: Mapping[str, Tensor]

    @property
    def tokenizer(self) -> Path | None:
        """The tokenizer's file, where there is one."""
        return tokenizer_in(self.directory)


@dataclass(frozen=True)
class Merged:
    """What a merge wrote, and its proof; `linears` counts the layers that had an adapter.

    `logits` is None where they were not asked for.
    """

    directory: Path
    linears: int
    bytes: int
    dtypes: tuple[str, ...]
    proof: Proof
    logits: LogitFigures | None


def open_base(path: Path | str, adapter: Adapter) -> Base:
    """Open the base weights; params and tokenizer lie beside them, or else beside the adapter.

    Raises ValueError unless both hold exactly the tensors of one model.
    """
    file = weights_file(path)
    beside = (file.parent, adapter.directory)
    directory = next((d for d in beside if (d / PARAMS_FILE).is_file()), file.parent)
    config = ModelConfig.read(directory)
    tensors = drop_tied_copy(config, open_weights(file))
    account(expected_shapes(config), shapes(tensors), str(file))
    adapter.check(config, file.parent)
    return Base(file, directory, config, tensors)


def merge_checkpoint(
    base: Base,
    adapter: Adapter,
    target: Path | str,
    dtype: str | None = None,
    probes: Sequence[Sequence[int]] | None = None,
) -> Merged:
    """Write base and adapter as one native directory, and prove it.

    `dtype` is a name of `weights.table.DTYPES`; None keeps the base's. `probes` are prompts to
    compare logits on; None compares none. Raises ValueError, with nothing written, when the
    written weights are not those of the base with its adapter.
    """
    target = Path(target).expanduser()
    check_own_directory(target, KIND)
    kind = dtype_named(dtype)
    layout = {
        name: (tuple(tensor.shape), kind or tensor.dtype) for name, tensor in base.tensors.items()
    }
    total = layout_bytes(layout)
    require_space(target, total)
    with new_directory(target, KIND) as partial:
        write_beside(partial, read_params(base.directory), base.directory)
        file = partial / WEIGHTS_FILE
        with byte_bar("merging", total) as advance:
            write_safetensors(file, layout, merged_tensors(base.tensors, adapter, dtype), advance)
        written = open_weights(file)
        with byte_bar("checking", total) as advance:
            for name, tensor in merged_tensors(base.tensors, adapter, dtype):
                check_bits(file, name, written[name], tensor)
                advance(written[name].nbytes)
        with byte_bar("proving", total) as advance:
            proof = prove(base.tensors, written, adapter, kind, advance)
        logits = None if probes is None else _compare_logits(base, adapter, written, probes)
        _write_record(partial, base, adapter, proof, logits)
        copy_chat_record(partial, adapter.file.parent, adapter.directory)
    return Merged(target, proof.merged_weights, total, dtypes_of(layout), proof, logits)


def merged_tensors(
    base: Mapping[str, Tensor], adapter: Adapter, dtype: str | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of the merged model, in the base's order, one at a time."""
    for name, weight in base.items():
        layer = adapter.layer(name.removesuffix(".weight"), weight)
        kind = dtype_named(dtype) or weight.dtype
        replacement = adapter.replacement(name, weight, kind)
        if replacement is not None:
            yield name, replacement
        else:
            yield name, (weight if layer is None else layer.merged(weight)).to(kind)


def _compare_logits(
    base: Base, adapter: Adapter, written: Mapping[str, Tensor], probes: Sequence[Sequence[int]]
) -> LogitFigures:
    def load(tensors: Mapping[str, Tensor]) -> Callable[[], Transformer]:
        return lambda: build_model(base.config, tensors, dtype=torch.float32)

    return compare_logits(load(base.tensors), adapter, load(written), probes)


def _write_record(
    partial: Path, base: Base, adapter: Adapter, proof: Proof, logits: LogitFigures | None
) -> None:
    record: dict[str, Any] = {
        "base": str(base.file),
        "adapter": str(adapter.file),
        "adapter_sha256": sha256_of_file(adapter.file),
        "lora": adapter.lora.record(),
        "proof": asdict(proof),
        **({} if logits is None else {"logits": asdict(logits)}),
    }
    write_json(partial / MERGE_FILE, record)
