"""Open files of named tensors: safetensors, what torch.save wrote, and an index of several.

Tensors are read through the file's mapping, so that opening a file costs no memory.
"""

import errno
import json
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

# What follows the name of a file that was cut into several: the table of which tensor is in which.
INDEX_SUFFIX = ".index.json"


def open_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, or of those an index names, mapped and not yet read.

    Raises ValueError where a file is damaged or holds anything but named tensors.
    """
    return _open_indexed(file) if file.name.endswith(INDEX_SUFFIX) else _open_file(file)


def _open_indexed(index: Path) -> dict[str, Tensor]:
    """Open the files of an index beside it; together they hold exactly the tensors it names."""
    wanted = _read_index(index)
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(wanted.values())):
        if not (index.parent / name).is_file():
            raise FileNotFoundError(f"{index.parent / name} is missing, and {index.name} names it")
        found = _open_file(index.parent / name)
        named = {tensor for tensor, file in wanted.items() if file == name}
        if strange := found.keys() ^ named:
            raise ValueError(
                f"{index.parent / name} and {index.name} disagree on {min(strange)}; write both "
                "again"
            )
        tensors |= found
    return {tensor: tensors[tensor] for tensor in wanted}


def _read_index(index: Path) -> dict[str, str]:
    """Return the file of each tensor; a file is a name in the index's own directory."""
    try:
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of weights: {error!r}; write it again") from None
    for tensor, name in files:
        if not isinstance(name, str) or Path(name).name != name:
            raise ValueError(f"{index}: {tensor} is in {name!r}, wanted a file's name without path")
    return dict(files)


def _open_file(file: Path) -> dict[str, Tensor]:
    return _open_safetensors(file) if file.suffix == ".safetensors" else _open_pth(file)


def _open_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.offset_keys()}
    except SafetensorError as error:
        raise ValueError(_damaged(file, "a safetensors file", error)) from None


def _open_pth(file: Path) -> dict[str, Tensor]:
    try:
        tensors = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{file} holds more than plain tensors and was not opened (a pickle can run code); "
            "wanted a dictionary of tensors as torch.save writes it"
        ) from None
    except (RuntimeError, EOFError, OSError) as error:
        # torch seeks before the start of a file whose last bytes are gone: "Invalid argument".
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ValueError(_damaged(file, "a checkpoint of torch.save", error)) from None
    if not isinstance(tensors, dict):
        raise ValueError(f"{file} holds type {type(tensors).__name__}, wanted named tensors")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(
                f"{file}: {name!r} is of type {type(tensor).__name__}, wanted a flat dictionary "
                "of tensors"
            )
    return tensors


def _damaged(file: Path, wanted: str, error: Exception) -> str:
    reason = str(error).splitlines()[0].rstrip(".")
    return (
        f"{file} ({file.stat().st_size:,} bytes) is truncated or not {wanted}: {reason}; "
        "fetch or write it again"
    )
