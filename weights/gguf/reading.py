"""A GGUF file, opened: its metadata as plain values, its tensors mapped and not yet read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weights.table import Shape, cast

# The types that are numbers as they stand, and those that the gguf library turns into float32.
PLAIN_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
QUANTISED_TYPES = ("Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K")
# So many float32 numbers are dequantised at a time.
_CHUNK = 2**22


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file: `data` is mapped, in rows of bytes where the type is a quantised one.

    `kind` is the type's name in ggml, such as Q4_K.
    """

    name: str
    kind: str
    shape: Shape
    data: np.ndarray

    def read(self, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        """Return rows `start` to `stop`, dequantised by the gguf library, in this dtype.

        ValueError where the dtype cannot hold the numbers.
        """
        rows = torch.empty((stop - start, *self.shape[1:]), dtype=dtype)
        step = max(1, _CHUNK // max(1, rows[:1].numel()))
        for first in range(0, stop - start, step):
            chunk = self._dequantised(start + first, min(start + first + step, stop))
            rows[first : first + step] = cast(chunk, dtype, self.name)
            # The next chunk is made when this one is gone.
            del chunk
        return rows

    def _dequantised(self, start: int, stop: int) -> Tensor:
        from gguf import GGMLQuantizationType, dequantize

        kind = GGMLQuantizationType[self.kind]
        if len(self.shape) == 1:
            numbers = dequantize(self.data, kind)[start:stop]
        else:
            numbers = dequantize(self.data[start:stop], kind)
        # What is still the mapping cannot be written to, and torch warns of that.
        return torch.from_numpy(np.require(numbers, requirements="W"))


@dataclass(frozen=True)
class GgufFile:
    """An opened GGUF file: its metadata by key, its tensors by name."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]


def open_gguf(path: Path | str) -> GgufFile:
    """Open a GGUF file; ValueError where it is damaged, one of several, or of a type not read."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; wanted a model's .gguf file")
    metadata, stored = _read(path)
    if metadata.get("split.count", 0) > 1:
        raise ValueError(
            f"{path} is one of {metadata['split.count']} parts; join them first with llama.cpp's "
            "llama-gguf-split --merge"
        )
    tensors = {tensor.name: tensor for tensor in stored}
    readable = (*PLAIN_TYPES, *QUANTISED_TYPES)
    for tensor in tensors.values():
        if tensor.kind not in readable:
            raise ValueError(
                f"{path}: {tensor.name} is of type {tensor.kind}; read are {', '.join(readable)}; "
                "fetch the model in one of these"
            )
    return GgufFile(path, metadata, tensors)


def _read(path: Path) -> tuple[dict[str, Any], list[StoredTensor]]:
    from gguf import GGUFEndian, GGUFReader

    class Reader(GGUFReader):
        """The library's reader with plain arrays: each memmap in its million would weigh 200 bytes
        more, and a tokenizer's list of tokens has two for every token. It stops where the file
        ends; the library would go on to whatever count the file states."""

        def _get(
            self, offset: int, dtype: Any, count: int = 1, override_order: Any = None
        ) -> np.ndarray:
            if isinstance(self.data, np.memmap):
                vars(self)["data"] = np.asarray(self.data)
            found: np.ndarray = super()._get(offset, dtype, count, override_order)
            if len(found) < int(count):
                raise ValueError("it ends inside a value")
            return found

    try:
        reader = Reader(path)
        metadata = {
            name: field.contents()
            for name, field in reader.fields.items()
            if not name.startswith("GGUF.")
        }
        tensors = list(_stored(reader))
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ValueError(
            f"{path} ({path.stat().st_size:,} bytes) is truncated or no GGUF file: {reason}; fetch "
            "it again"
        ) from None
    if reader.endianess != GGUFEndian.LITTLE:
        raise ValueError(f"{path} is big-endian, wanted little-endian; fetch the usual file")
    return metadata, tensors


def _stored(reader: Any) -> Iterator[StoredTensor]:
    for tensor in reader.tensors:
        # ggml counts the dimensions from the one that lies together in memory.
        shape = tuple(int(size) for size in reversed(tensor.shape.tolist()))
        yield StoredTensor(tensor.name, tensor.tensor_type.name, shape, tensor.data)
