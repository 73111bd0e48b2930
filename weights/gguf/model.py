"""A GGUF file seen as a native model: which rows of which tensor are which native tensor."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig
from weights.directory import Layout
from weights.gguf.config import (
    LLAMA3_FACTORS,
    LONG_FACTORS,
    SHORT_FACTORS,
    params_from_metadata,
)
from weights.gguf.reading import PLAIN_TYPES, GgufFile, StoredTensor, open_gguf
from weights.hugging_face.names import (
    first_rows,
    hugging_face_shapes,
    interleave,
    reordered,
)
from weights.table import account, expected_shapes, weights

# Factors that `params.json` says, and the frequencies that files of 2023 carry.
_LEFT_OUT = (LLAMA3_FACTORS, SHORT_FACTORS, LONG_FACTORS, ".attn_rot_embd.weight")


@dataclass(frozen=True)
class GgufModel:
    """An opened GGUF file with all its tensors accounted for.

    `params` is what the native `params.json` will say; `tensors` are by Hugging Face's names.
    """

    file: GgufFile
    params: dict[str, Any]
    config: ModelConfig
    tensors: dict[str, StoredTensor]

    def dtype(self) -> torch.dtype:
        """Return the smallest dtype that holds every number of the file, for all tensors.

        That is the matrices' own where all have the same and are not quantised: vectors are always
        stored as F32, and are those of the model's dtype.
        """
        kinds = {tensor.kind for tensor in self.tensors.values() if len(tensor.shape) == 2}
        own = PLAIN_TYPES.get(kinds.pop()) if len(kinds) == 1 else None
        vectors = [tensor for tensor in self.tensors.values() if len(tensor.shape) == 1]
        exact = own is not None and all(_holds(own, vector) for vector in vectors)
        return own if own is not None and exact else torch.float32

    def layout(self, dtype: torch.dtype) -> Layout:
        """Return the shape and dtype of every native tensor."""
        return {name: (shape, dtype) for name, shape in expected_shapes(self.config).items()}

    def native(self, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
        """Yield the native (name, tensor) pairs, read and dequantised one at a time."""
        starts, shapes = first_rows(self.config), expected_shapes(self.config)
        # llama.cpp's converters bring queries and keys of this architecture to Meta's order.
        in_metas_order = self.file.metadata["general.architecture"] == "llama"
        for name, row in weights(self.config).items():
            stored = self.tensors[row.hugging_face]
            tensor = stored.read(starts[name], starts[name] + shapes[name][0], dtype)
            if not in_metas_order:
                tensor = reordered(interleave, self.config, row, tensor)
            yield name, tensor
            # Only the caller may still hold the tensor while the next one is read.
            del tensor

    def kinds(self) -> dict[str, int]:
        """Return how many tensors are of each stored type."""
        return dict(Counter(tensor.kind for tensor in self.tensors.values()))


def read_gguf(path: Path | str) -> GgufModel:
    """Open a GGUF file and account for all of it; ValueError says what is wrong."""
    file = open_gguf(path)
    params = params_from_metadata(file)
    config = ModelConfig.from_params(params, str(file.path))
    names = _names(file, config)
    found = {name: tensor for name, tensor in file.tensors.items() if not name.endswith(_LEFT_OUT)}
    expected = {names[name]: shape for name, shape in hugging_face_shapes(config).items()}
    sizes = {name: tensor.shape for name, tensor in found.items()}
    account(expected, sizes, str(file.path), "its metadata", "fetch the file again")
    tensors = {theirs: found[ours] for theirs, ours in names.items()}
    return GgufModel(file, params, config, tensors)


def _names(file: GgufFile, config: ModelConfig) -> dict[str, str]:
    """Return the name in the file of every tensor by Hugging Face's: the gguf library knows it."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    architecture = MODEL_ARCH[file.metadata["general.architecture"].upper()]
    table = get_tensor_name_map(architecture, config.n_layers)
    names = {
        name: table.get_name(name, (".weight", ".bias")) for name in hugging_face_shapes(config)
    }
    return {name: theirs or name for name, theirs in names.items()}


def _holds(dtype: torch.dtype, vector: StoredTensor) -> bool:
    numbers = vector.read(0, vector.shape[0], torch.float32)
    return torch.equal(numbers.to(dtype).float(), numbers)
