"""Merge a LoRA adapter into its base: streamed, read back, proven, written whole or not at all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from console.progress import byte_bar
from model.config import read_params
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
    write_safetensors,
)
from weights.lazy import LazyWeights
from weights.merge_base import DEQUANTIZED, ORIGINAL, Base, Targets, Weights
from weights.merge_logits import LogitFigures, compare_logits, random_probes
from weights.merge_proof import Proof, prove
from weights.merge_targets import TargetFigures, compare_targets
from weights.table import dtype_named

# Another kind than a conversion's, so that no merge replaces the base it was made from.
KIND = "merged model"
MERGE_FILE = "merge.json"


@dataclass(frozen=True)
class Merged:
    """What a merge wrote, and its proof; `linears` counts the layers that had an adapter.

    `logits` is None where they were not asked for, `targets` where the base was not quantised.
    """

    directory: Path
    linears: int
    bytes: int
    dtypes: tuple[str, ...]
    proof: Proof
    logits: LogitFigures | None
    targets: TargetFigures | None


def merge_checkpoint(
    base: Base,
    adapter: Adapter,
    target: Path | str,
    dtype: str | None = None,
    probes: Sequence[Sequence[int]] | None = None,
) -> Merged:
    """Write base and adapter as one native directory, and prove it.

    `dtype` is a name of `weights.table.DTYPES`; None keeps the base's. `probes` are prompts to
    compare logits on; None compares none, unless the base was quantised, whose two targets are
    compared anyway. Raises ValueError, with nothing written, when the
    written weights are not those of the base with its adapter.
    """
    target = Path(target).expanduser()
    check_own_directory(target, KIND)
    kind = dtype_named(dtype)
    layout = {name: (shape, kind or stored) for name, (shape, stored) in base.layout.items()}
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
        logits = targets = None
        if base.targets is not None:
            candidates = _candidates(base, base.targets, adapter, written, dtype)
            prompts = probes or random_probes(base.config.vocab_size)
            targets = compare_targets(base, adapter, candidates, prompts)
        elif probes is not None:
            logits = _compare_logits(base, adapter, written, probes)
        _write_record(partial, base, adapter, proof, logits, targets)
        copy_chat_record(partial, adapter.file.parent, adapter.directory)
    return Merged(target, proof.merged_weights, total, dtypes_of(layout), proof, logits, targets)


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


def _candidates(
    base: Base, targets: Targets, adapter: Adapter, written: Weights, dtype: str | None
) -> dict[str, Weights]:
    """Return the merged weights of each target: those written, and those that were not."""

    def merged(weights: Weights) -> LazyWeights:
        def make(name: str) -> Tensor:
            return next(merged_tensors({name: weights[name]}, adapter, dtype))[1]

        return LazyWeights(base.layout, make)

    bases = {DEQUANTIZED: targets.dequantized, ORIGINAL: targets.original}
    return {
        target: written if target == targets.chosen else merged(weights)
        for target, weights in bases.items()
        if weights is not None
    }


def _compare_logits(
    base: Base, adapter: Adapter, written: Mapping[str, Tensor], probes: Sequence[Sequence[int]]
) -> LogitFigures:
    def load(tensors: Mapping[str, Tensor]) -> Callable[[], Transformer]:
        return lambda: build_model(base.config, tensors, dtype=torch.float32)

    return compare_logits(load(base.tensors), adapter, load(written), probes)


def _write_record(
    partial: Path,
    base: Base,
    adapter: Adapter,
    proof: Proof,
    logits: LogitFigures | None,
    targets: TargetFigures | None,
) -> None:
    record: dict[str, Any] = {
        "base": str(base.file),
        "adapter": str(adapter.file),
        "adapter_sha256": sha256_of_file(adapter.file),
        "lora": adapter.lora.record(),
        "proof": asdict(proof),
        **({} if logits is None else {"logits": asdict(logits)}),
    }
    if base.targets is not None and targets is not None:
        record["quantization"] = adapter.quantization
        record["target"] = base.targets.chosen
        record["targets"] = asdict(targets)
    write_json(partial / MERGE_FILE, record)
