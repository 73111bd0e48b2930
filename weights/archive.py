"""The zip file that torch.save writes, looked through before torch reads it, and its checksums.

torch would inflate whatever a zip says, and its unpickler makes more than plain tensors: sparse and
meta ones, byte arrays of any length. Here a file is refused that torch.save would not have written
for named tensors, at the cost of reading a few kB.
"""

import pickletools
import zipfile
import zlib
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from storage.manifest import trusts_files

# In bytes. A pickle has 200 for each tensor; Python's objects take up to 72 for each byte.
MOST_PICKLED = 4 * 2**20
# What a dictionary of plain tensors names, beside the classes of storages.
_PLAIN = {
    "collections OrderedDict",
    "torch Size",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
}
_CHUNK = 2**20


class Archive:
    """The checksums of an archive's tensors, each compared when a tensor is taken, once."""

    def __init__(self, file: Path, checksums: dict[int, set[int]]) -> None:
        self.file = file
        self.checksums = checksums
        self._compared: set[int] = set()

    def check(self, name: str, tensor: Tensor) -> None:
        """Raise ValueError unless the bytes beneath a tensor are those of a record of this size."""
        storage = tensor.untyped_storage()
        if not storage.nbytes() or storage.data_ptr() in self._compared or trusts_files():
            return
        found = 0
        data = torch.empty(0, dtype=torch.uint8).set_(storage).numpy().data
        for start in range(0, len(data), _CHUNK):
            found = zlib.crc32(data[start : start + _CHUNK], found)
        if found not in self.checksums.get(len(data), ()):
            raise ValueError(
                f"{self.file}: {name} differs from the checksum in the file: it was damaged after "
                "it was written; fetch or write it again, or take it as it is with --trust-files"
            )
        self._compared.add(storage.data_ptr())


def open_archive(file: Path, most_pickled: int = MOST_PICKLED) -> tuple[Archive, set[str]]:
    """Look through an archive; return its checksums, and what its pickle names.

    Raises ValueError where it is damaged, or is none that torch.save would write.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            pickled = [record for record in records if record.filename.endswith("/data.pkl")]
            _check_stored(file, records, pickled, most_pickled)
            # zipfile compares the checksum of what it reads.
            read = {r.filename: archive.read(r) for r in records if "/data/" not in r.filename}
            content = read[pickled[0].filename]
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise ValueError(_damaged(file, str(error))) from None
    checksums = defaultdict(set)
    for record in records:
        checksums[record.file_size].add(record.CRC)
    return Archive(file, dict(checksums)), _names(file, content)


def foreign_name(names: set[str]) -> str | None:
    """Return what a pickle of plain tensors would not name, None where there is nothing."""
    found = sorted(name for name in names - _PLAIN if not _is_storage(name))
    return found[0].replace(" ", ".") if found else None


def _check_stored(
    file: Path, records: list[zipfile.ZipInfo], pickled: list[zipfile.ZipInfo], most: int
) -> None:
    if len(pickled) != 1:
        raise zipfile.BadZipFile("it has no record data.pkl, or several")
    size = sum(record.file_size for record in records)
    if any(record.compress_type for record in records) or size > file.stat().st_size:
        raise ValueError(
            f"{file} holds compressed records ({size:,} bytes in all), which torch.save never "
            "writes; it was not opened"
        )
    beside = max(record.file_size for record in records if "/data/" not in record.filename)
    if beside > most:
        raise ValueError(
            f"{file} has {beside:,} bytes of names, and named tensors take less than {most:,}; it "
            "was not opened"
        )


def _names(file: Path, content: bytes) -> set[str]:
    """Return the globals that a pickle names, as `module name`, without running anything."""
    try:
        return {
            str(argument)
            for operation, argument, _ in pickletools.genops(content)
            if operation.name == "GLOBAL"
        }
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(_damaged(file, str(error))) from None


def _is_storage(name: str) -> bool:
    module, _, kind = name.partition(" ")
    return module in ("torch", "torch.storage", "torch.cuda") and (
        kind.endswith("Storage") or isinstance(getattr(torch, kind, None), torch.dtype)
    )


def _damaged(file: Path, reason: str) -> str:
    return (
        f"{file} ({file.stat().st_size:,} bytes) is truncated or not a checkpoint of torch.save: "
        f"{reason.splitlines()[0].rstrip('.') if reason else 'it ends early'}; fetch or write it "
        "again"
    )
