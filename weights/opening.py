"""Open files of named tensors: safetensors, what torch.save wrote, and an index of several.

Tensors are read through the file's mapping, so that opening a file costs no memory. When one is
taken it is compared with the hash that was recorded of it: in the manifest of a directory of ours,
or in the zip that torch.save wrote.
"""

import errno
import json
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from storage.json_file import read_json_object
from storage.verified import VerifiedFile, open_verified
from weights.archive import foreign_name, open_archive
from weights.lazy import FileTensors

# In bytes. A header has a hundred for each tensor.
MOST_HEADER = 4 * 2**20
# What follows the name of a file that was cut into several: the table of which tensor is in which.
INDEX_SUFFIX = ".index.json"


def open_tensors(file: Path) -> FileTensors:
    """Return the tensors of a file, or of those an index names, mapped and not yet read.

    Raises ValueError where a file is damaged or holds anything but named tensors, here or when a
    tensor is taken.
    """
    return _open_indexed(file) if file.name.endswith(INDEX_SUFFIX) else _open_file(file)


def _open_indexed(index: Path) -> FileTensors:
    """Open the files of an index beside it; together they hold exactly the tensors it names."""
    wanted = _read_index(index)
    holders: dict[str, FileTensors] = {}
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
        holders |= dict.fromkeys(found, found)
    whole = {tensor: holders[tensor].forms[tensor] for tensor in wanted}
    return FileTensors(whole, lambda tensor: holders[tensor][tensor])


def _read_index(index: Path) -> dict[str, str]:
    """Return the file of each tensor; a file is a name in the index's own directory."""
    files = read_json_object(index).get("weight_map")
    if not isinstance(files, dict):
        raise ValueError(f"{index} is no index of weights: it has no weight_map; write it again")
    for tensor, name in files.items():
        if not isinstance(name, str) or Path(name).name != name:
            raise ValueError(f"{index}: {tensor} is in {name!r}, wanted a file's name without path")
    return files


def _open_file(file: Path) -> FileTensors:
    return _open_safetensors(file) if file.suffix == ".safetensors" else _open_pth(file)


def _open_safetensors(file: Path) -> FileTensors:
    verified = open_verified(file)
    places = _places(file, verified)
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.offset_keys()}
    except SafetensorError as error:
        raise ValueError(_damaged(file, "a safetensors file", error)) from None
    return FileTensors.of(tensors, lambda name: verified.check(*places[name], name))


def _places(file: Path, verified: VerifiedFile) -> dict[str, tuple[int, int]]:
    """Return where the bytes of each tensor of a safetensors file begin and end.

    Source: the format of https://github.com/huggingface/safetensors. What is wrong with a header
    the library says; here one is refused that would take much memory.
    """
    verified.check(0, 8, "its header")
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if size > MOST_HEADER:
            raise ValueError(_damaged(file, "a safetensors file", f"a header of {size:,} bytes"))
        verified.check(0, 8 + size, "its header")
        text = stream.read(size)
    try:
        header = json.loads(text)
        begin = 8 + size
        return {
            name: (begin + entry["data_offsets"][0], begin + entry["data_offsets"][1])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except RecursionError:
        raise ValueError(_damaged(file, "a safetensors file", "nested too deep")) from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(_damaged(file, "a safetensors file", f"its header: {error}")) from None


def _open_pth(file: Path) -> FileTensors:
    archive, names = open_archive(file)
    if foreign := foreign_name(names):
        raise ValueError(_more_than_tensors(file, foreign))
    try:
        tensors = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(_more_than_tensors(file, "it was refused by torch")) from None
    except (RuntimeError, EOFError, OSError) as error:
        # torch seeks before the start of a file whose last bytes are gone: "Invalid argument".
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ValueError(_damaged(file, "a checkpoint of torch.save", error)) from None
    if not isinstance(tensors, dict):
        raise ValueError(f"{file} holds type {type(tensors).__name__}, wanted named tensors")
    for name, tensor in tensors.items():
        _check_plain(file, name, tensor)
    return FileTensors.of(tensors, lambda name: archive.check(name, tensors[name]))


def _check_plain(file: Path, name: object, tensor: object) -> None:
    """Raise ValueError unless a tensor is one whose numbers all lie in the file."""
    if not isinstance(name, str) or not isinstance(tensor, Tensor):
        raise ValueError(
            f"{file}: {name!r:.80} is of type {type(tensor).__name__}, wanted a flat dictionary of "
            "tensors"
        )
    if tensor.layout != torch.strided or tensor.nbytes > tensor.untyped_storage().nbytes():
        raise ValueError(
            f"{file}: {name} is {list(tensor.shape)}, and its numbers are not all in the file; "
            "wanted plain tensors"
        )


def _more_than_tensors(file: Path, reason: str) -> str:
    return (
        f"{file} holds more than plain tensors and was not opened (a pickle can run code): "
        f"{reason:.80}; wanted a dictionary of tensors as torch.save writes it"
    )


def _damaged(file: Path, wanted: str, error: Exception | str) -> str:
    reason = str(error).splitlines()[0].rstrip(".")
    return (
        f"{file} ({file.stat().st_size:,} bytes) is truncated or not {wanted}: {reason}; "
        "fetch or write it again"
    )
