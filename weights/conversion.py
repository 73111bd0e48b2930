"""Meta weights to a native directory and back: streamed, read back, written whole or not at all."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from torch import Tensor

from console.progress import byte_bar, no_bar
from model.config import PARAMS_FILE, ModelConfig, params_file
from storage.atomic import check_own_directory, new_directory
from storage.json_file import write_json
from storage.verified import copy_verified
from weights.chat_record import copy_chat_record
from weights.directory import KIND as NATIVE_KIND
from weights.directory import (
    WEIGHTS_FILE,
    Layout,
    dtype_name,
    layout_bytes,
    open_weights,
    write_safetensors,
)
from weights.meta import MetaModel, read_meta
from weights.meta_export import MetaExport, open_export
from weights.opening import open_tensors
from weights.pth import write_pth
from weights.table import bitwise_equal, shard
from weights.tokenizer_file import (
    TOKENIZER_FILE,
    TOKENIZER_FILES,
    copy_tokenizer,
    versioned_tokenizers,
)

META_KIND = "meta weights"
# What a directory takes beside its weights: tokenizer, headers, manifest.
_SPARE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote: `tensors` in each weights file, `bytes` of weights in all of them.

    `left_out` counts the source's tensors that every reader computes itself.
    """

    directory: Path
    config: ModelConfig
    shards: int
    tensors: int
    bytes: int
    dtypes: tuple[str, ...]
    left_out: int = 0


def convert_from_meta(source: Path | str, target: Path | str) -> Conversion:
    """Turn a Meta directory into a native one; at most one tensor is held in memory."""
    target = Path(target).expanduser()
    check_own_directory(target, NATIVE_KIND)
    model = read_meta(source)
    layout, shards = model.layout(), len(model.shards)
    total = layout_bytes(layout)
    require_space(target, total)
    with new_directory(target, NATIVE_KIND) as partial:
        write_beside(partial, model.params, model.tokenizer.parent)
        if model.tokenizer.name not in TOKENIZER_FILES:
            # Mistral's has a version in its name, under which it lies there too.
            copy_verified(model.tokenizer, partial / TOKENIZER_FILE)
        copy_chat_record(partial, model.tokenizer.parent)
        with byte_bar("writing", total) as advance:
            whole = ((name, model.whole(name)) for name in layout)
            write_safetensors(partial / WEIGHTS_FILE, layout, whole, advance)
        with byte_bar("checking", total) as advance:
            check_native(partial / WEIGHTS_FILE, model, advance)
    dtypes = dtypes_of(layout)
    return Conversion(target, model.config, shards, len(layout), total, dtypes, model.left_out)


def convert_to_meta(
    config_file: Path | str,
    ckpt_file: Path | str,
    num_shards: int,
    target: Path | str,
    dtype: str | None = None,
) -> Conversion:
    """Write a native model as `num_shards` Meta shards; at most one part of a tensor is held.

    `dtype` is a name of `weights.table.DTYPES`; None keeps what is stored.
    """
    target = Path(target).expanduser()
    check_own_directory(target, META_KIND)
    export = open_export(config_file, ckpt_file, num_shards, dtype)
    total = num_shards * layout_bytes(export.layout)
    require_space(target, total)
    with new_directory(target, META_KIND) as partial:
        write_beside(partial, export.params, export.tokenizer.parent)
        if export.config.family == "mistral" and (versioned := versioned_tokenizers(partial)):
            # Mistral's own loader refuses a directory with several SentencePiece models.
            for file in (partial / TOKENIZER_FILE, *versioned[:-1]):
                file.unlink(missing_ok=True)
        copy_chat_record(partial, export.tokenizer.parent, params_file(config_file).parent)
        with byte_bar("writing", total) as advance:
            for index, name in enumerate(export.files):
                parts = ((name, export.part(name, index)) for name in export.layout)
                write = write_safetensors if name == WEIGHTS_FILE else write_pth
                write(partial / name, export.layout, parts, advance)
        with byte_bar("checking", total) as advance:
            for index, name in enumerate(export.files):
                check_shard(partial / name, export, index, advance)
    dtypes = dtypes_of(export.layout)
    return Conversion(target, export.config, num_shards, len(export.layout), total, dtypes)


def require_space(target: Path, bytes_wanted: int) -> None:
    """Raise OSError unless the disk of `target` has room for so many bytes."""
    existing = next(path for path in (target, *target.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < bytes_wanted + _SPARE_BYTES:
        raise OSError(
            f"{target} needs {decimal(bytes_wanted)} and its disk has {decimal(free)} free; "
            "make room or name a directory elsewhere"
        )


def write_beside(partial: Path, params: dict[str, Any], source: Path) -> None:
    """Write `params.json`, and copy the tokenizer files of `source`, beside new weights."""
    write_json(partial / PARAMS_FILE, params)
    copy_tokenizer(source, partial)


def write_checked(
    layouts: Mapping[Path, Layout], pairs: Callable[[], Iterable[tuple[str, Tensor]]]
) -> None:
    """Write safetensors files, and compare every bit that reads back with what it was made from.

    `layouts` has each file's layout. `pairs` gives (name, tensor) of all files in their order, and
    is called twice, so that one tensor at a time need be held. OSError names what differs.
    """
    total = sum(map(layout_bytes, layouts.values()))
    with byte_bar("writing", total) as advance:
        arriving = iter(pairs())
        for file, layout in layouts.items():
            write_safetensors(file, layout, islice(arriving, len(layout)), advance)
        if extra := next(arriving, None):
            raise ValueError(f"found {extra[0]} to write, wanted nothing more")
    with byte_bar("checking", total) as advance:
        arriving = iter(pairs())
        for file, layout in layouts.items():
            written = open_tensors(file)
            check_names(file, written, layout)
            for name, tensor in islice(arriving, len(layout)):
                check_bits(file, name, written[name], tensor)
                advance(tensor.nbytes)


def check_native(file: Path, model: MetaModel, advance: Callable[[int], object] = no_bar) -> None:
    """Raise OSError unless a native weights file holds every bit of the shards."""
    written = open_weights(file)
    check_names(file, written, model.layout())
    for name, tensor in written.items():
        parts, axis = model.parts(name), model.axes[name]
        for index, part in enumerate(parts):
            check_bits(file, name, shard(tensor, axis, index, len(parts)), part)
        advance(tensor.nbytes)


def check_shard(
    file: Path, export: MetaExport, index: int, advance: Callable[[int], object] = no_bar
) -> None:
    """Raise OSError unless a shard file holds every bit of its part of the model."""
    written = open_weights(file)
    check_names(file, written, export.layout)
    for name, tensor in written.items():
        check_bits(file, name, tensor, export.part(name, index))
        advance(tensor.nbytes)


def check_names(file: Path, written: Mapping[str, Tensor], layout: Layout) -> None:
    if list(written) != list(layout):
        raise OSError(f"{file} does not read back with the tensors that were written to it")


def check_bits(file: Path, name: str, written: Tensor, wanted: Tensor) -> None:
    """Raise OSError unless a tensor read back holds the bits it was written from."""
    if not bitwise_equal(written, wanted):
        raise OSError(
            f"{file}: {name} does not read back as it was written; the disk or the memory of this "
            "machine is faulty, or the source changed meanwhile"
        )


def dtypes_of(layout: Layout) -> tuple[str, ...]:
    return tuple(sorted({dtype_name(dtype) for _, dtype in layout.values()}))
