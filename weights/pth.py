"""Write a `.pth` file tensor by tensor, in the format of torch.save and with right checksums.

torch.save wants all tensors at once. The format is a plain zip: `data.pkl` is a pickled dictionary
whose tensors refer to records `data/0`, `data/1`, ... that hold their bytes, stored uncompressed
at multiples of 64 bytes so that torch.load can map them. Source: `_save` and `_load` of
torch/serialization.py. There is no record `.format_version`: it would promise the exact spacing
of torch's own writer, from which `torch.load(..., map_location="meta")` derives the offsets.
"""

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from console.progress import no_bar
from weights.directory import Layout, byte_chunks, in_layout

_STORAGES = {
    torch.bfloat16: torch.BFloat16Storage,
    torch.float16: torch.HalfStorage,
    torch.float32: torch.FloatStorage,
    torch.float64: torch.DoubleStorage,
}
_ALIGNMENT = 64
_LOCAL_HEADER = 30
_ZIP64_FIELD = 20
_PADDING_FIELD = 4
# The identifier torch itself gives to the extra field that only fills space.
_PADDING_ID = b"FB"


def write_pth(
    file: Path | str,
    layout: Layout,
    tensors: Iterable[tuple[str, Tensor]],
    advance: Callable[[int], object] = no_bar,
) -> None:
    """Write `tensors`, which come one by one in the order of `layout`, as torch.save would.

    The same tensors give the same bytes: no times and no random numbers are stored.
    `advance` is told of the bytes as they go out.
    """
    with Path(file).open("wb") as stream, zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(_entry("data.pkl", stream), _pickled(layout))
        archive.writestr(_entry("byteorder", stream), sys.byteorder)
        for number, tensor in enumerate(in_layout(layout, tensors)):
            entry = _entry(f"data/{number}", stream)
            with archive.open(entry, "w", force_zip64=True) as record:
                for chunk in byte_chunks(tensor):
                    record.write(chunk)
                    advance(len(chunk))
        archive.writestr(_entry("version", stream), "3\n")


def _entry(record: str, stream: BinaryIO) -> zipfile.ZipInfo:
    """Describe a record that begins where the stream stands, padded so that its data is aligned."""
    entry = zipfile.ZipInfo(f"archive/{record}")
    unpadded = stream.tell() + _LOCAL_HEADER + len(entry.filename) + _ZIP64_FIELD + _PADDING_FIELD
    padding = -unpadded % _ALIGNMENT
    entry.extra = _PADDING_ID + padding.to_bytes(2, "little") + bytes(padding)
    return entry


@dataclass(frozen=True)
class _Storage:
    """Stands for the bytes of one record while the dictionary is pickled."""

    kind: type
    key: str
    elements: int


@dataclass(frozen=True)
class _Reference:
    """Pickles as a contiguous tensor over a storage."""

    storage: _Storage
    shape: tuple[int, ...]

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        strides = torch.empty(self.shape, device="meta").stride()
        hooks: OrderedDict[str, object] = OrderedDict()
        return torch._utils._rebuild_tensor_v2, (
            self.storage,
            0,
            self.shape,
            strides,
            False,
            hooks,
        )


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> tuple[object, ...] | None:
        if isinstance(value, _Storage):
            return ("storage", value.kind, value.key, "cpu", value.elements)
        return None


def _pickled(layout: Layout) -> bytes:
    references = {
        name: _Reference(
            _Storage(_STORAGES[dtype], str(number), torch.Size(shape).numel()), tuple(shape)
        )
        for number, (name, (shape, dtype)) in enumerate(layout.items())
    }
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(references)
    return buffer.getvalue()
