"""A native model directory: `params.json`, `consolidated.safetensors`, the tokenizer files.

Tensors are read through the file's mapping, so that opening a checkpoint costs no memory, and
written one after the other, so that writing it costs at most the one tensor at hand.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from console.progress import no_bar
from model.config import ModelConfig
from model.transformer import Transformer
from storage.manifest import sha256_of_file
from storage.replacement import restore
from storage.verified import recorded
from weights.building import Place, Stored, build_model
from weights.lazy import FileTensors, forms
from weights.nf4.directory import group_parts, read_quantization
from weights.opening import open_tensors
from weights.shard_names import shard_file
from weights.table import (
    DTYPES,
    Shape,
    account,
    drop_tied_copy,
    expected_shapes,
    lora_message,
    shapes,
)

WEIGHTS_FILE = "consolidated.safetensors"
# The name under which the project this one grew from keeps a whole model.
OLDER_WEIGHTS_FILE = "consolidated.pth"

KIND = "native model"

Layout = Mapping[str, tuple[Shape, torch.dtype]]

_SAFETENSORS_DTYPES = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.uint8: "U8",
}
_CHUNK = 16 * 2**20


def resolve_directory(path: Path | str) -> Path:
    """Return the native directory that `path` names: itself, or that of the weights file named."""
    return weights_file(path).parent


def weights_file(path: Path | str) -> Path:
    """Return the weights file that `path` names: a file, or the one in a native directory.

    `consolidated.pth` stands for its sibling `consolidated.safetensors` where only that exists.
    Raises FileNotFoundError, or ValueError for Meta's shards and LoRA checkpoints.
    """
    path = Path(path).expanduser()
    restore(path)
    if path.is_file():
        return path
    directory = path.parent if path.name in (WEIGHTS_FILE, OLDER_WEIGHTS_FILE) else path
    if not directory.is_dir():
        raise FileNotFoundError(
            f"{path} does not exist; wanted a model directory or its {WEIGHTS_FILE} "
            "(python scripts/convert_from_meta_weights.py makes one)"
        )
    for name in (WEIGHTS_FILE, OLDER_WEIGHTS_FILE):
        if (directory / name).is_file():
            return directory / name
    raise _no_weights(directory)


def weights_sha256(directory: Path) -> str | None:
    """Return the sha256 of a directory's weights as its manifest has it; None without one.

    Of quantised weights it is that of the weights they were made of.
    """
    if record := read_quantization(directory):
        return record.sha256
    entry = recorded(directory / WEIGHTS_FILE)
    return None if entry is None else str(entry["sha256"])


def hash_weights(file: Path) -> str:
    """Return the sha256 of a weights file: as its directory knows it, else the file is read."""
    return weights_sha256(file.parent) or sha256_of_file(file)


def open_weights(path: Path | str) -> FileTensors:
    """Return the tensors of a `.safetensors` or `.pth` file by name, mapped and not yet read.

    `path` is the file, or the index of several, or a native directory. Raises ValueError when a
    file is damaged or quantised, or holds anything but named floating-point tensors; damage to a
    tensor when that is taken.
    """
    file = weights_file(path)
    if file.name == WEIGHTS_FILE and (record := read_quantization(file.parent)):
        raise ValueError(
            f"{file.parent} holds weights in {record.quantization}, and whole ones are wanted; "
            f"name those they were made of: {record.directory}"
        )
    tensors = open_tensors(file)
    for name, tensor in tensors.forms.items():
        if tensor.dtype not in DTYPES.values():
            raise ValueError(
                f"{file}: {name} is {dtype_name(tensor.dtype)}, wanted {', '.join(DTYPES)}; "
                "quantised checkpoints are not read"
            )
    return tensors


def open_quantized(path: Path | str) -> Mapping[str, Stored] | None:
    """Return the tensors of a directory with quantised weights by name, None for any other.

    Raises ValueError that lists every part that is missing, left over or of the wrong shape.
    """
    file = weights_file(path)
    record = read_quantization(file.parent)
    if record is None:
        return None
    config = ModelConfig.read(file.parent)
    return group_parts(config, record.quantization, open_tensors(file), str(file))


def load_model(
    path: Path | str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    place: Place | None = None,
) -> Transformer:
    """Build the model of a native directory and fill in its weights, each placed exactly once.

    `dtype` None keeps what is stored. `place` is `weights/building.py`'s and by default a copy.
    Raises ValueError that lists every tensor that is missing, left over or of the wrong shape.
    """
    file = weights_file(path)
    config = ModelConfig.read(file.parent)
    if stored := open_quantized(file):
        return build_model(config, stored, device, dtype, place)
    tensors = drop_tied_copy(config, open_weights(file))
    account(expected_shapes(config), shapes(tensors), str(file))
    return build_model(config, tensors, device, dtype, place)


def write_safetensors(
    file: Path | str,
    layout: Layout,
    tensors: Iterable[tuple[str, Tensor]],
    advance: Callable[[int], object] = no_bar,
) -> None:
    """Write `tensors`, which come one by one in the order of `layout`, to a safetensors file.

    `layout` gives each tensor's shape and dtype; `advance` is told of the bytes as they go out.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (shape, dtype) in layout.items():
        start, end = end, end + byte_count(shape, dtype)
        header[name] = {
            "dtype": _SAFETENSORS_DTYPES[dtype],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    # The data begins at a multiple of 64 bytes, where mapped tensors are read fastest.
    text += b" " * (-(8 + len(text)) % 64)
    with Path(file).open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for tensor in in_layout(layout, tensors):
            for chunk in byte_chunks(tensor):
                stream.write(chunk)
                advance(len(chunk))


def layout_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Shape, torch.dtype]]:
    """Return the shape and dtype of every tensor by name, as the writers want them."""
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in forms(tensors).items()}


def layout_bytes(layout: Layout) -> int:
    """Return the bytes that the tensors of a layout take."""
    return sum(byte_count(shape, dtype) for shape, dtype in layout.values())


def byte_count(shape: Shape, dtype: torch.dtype) -> int:
    """Return the bytes of one tensor."""
    return torch.Size(shape).numel() * dtype.itemsize


def dtype_name(dtype: torch.dtype) -> str:
    """Return `bfloat16` for torch.bfloat16."""
    return str(dtype).removeprefix("torch.")


def in_layout(layout: Layout, tensors: Iterable[tuple[str, Tensor]]) -> Iterator[Tensor]:
    """Yield the tensors after a check that each is the next one its layout announces."""
    arriving = iter(tensors)
    for name, wanted in layout.items():
        found, tensor = next(arriving, ("nothing", torch.empty(0)))
        if (found, (tuple(tensor.shape), tensor.dtype)) != (name, wanted):
            raise ValueError(
                f"found {found} {list(tensor.shape)} {dtype_name(tensor.dtype)} to write, wanted "
                f"{name} {list(wanted[0])} {dtype_name(wanted[1])}"
            )
        yield tensor
        # Only the writer may still hold the tensor while the next one is made.
        del tensor
    if extra := next(arriving, None):
        raise ValueError(f"found {extra[0]} to write, wanted nothing more")


def byte_chunks(tensor: Tensor) -> Iterator[memoryview]:
    """Yield the bytes of a tensor in row-major order, without a copy where it is contiguous."""
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]


def _no_weights(directory: Path) -> Exception:
    names = sorted(file.name for file in directory.iterdir())
    if shard_file(0) in names:
        return ValueError(
            f"{directory} holds Meta's shards, wanted a native directory; convert it first: python "
            f"scripts/convert_from_meta_weights.py --llama3-dir {directory} --output-dir D"
        )
    if lora := [name for name in names if name in ("lora.json", "adapter.safetensors")]:
        return ValueError(lora_message(str(directory), lora[0]))
    return FileNotFoundError(
        f"{directory} has no {WEIGHTS_FILE}; found {', '.join(names[:5]) or 'nothing'} "
        "(python scripts/convert_from_meta_weights.py makes a native directory)"
    )
