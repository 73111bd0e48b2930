"""A native model seen as a Hugging Face directory: which file holds which tensors, and what beside.

Files of weights are cut as Transformers cuts them: in the order of the tensors, up to a size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig, read_params
from storage.json_file import read_json_object
from weights.directory import (
    Layout,
    byte_count,
    dtype_name,
    layout_bytes,
    open_weights,
    weights_file,
)
from weights.hugging_face.config import CONFIG_FILE
from weights.hugging_face.config_writing import config_from_params
from weights.hugging_face.names import hugging_face_shapes, rows_by_name, to_hugging_face
from weights.hugging_face.reading import SAFETENSORS, check_token_ids
from weights.lazy import forms
from weights.opening import INDEX_SUFFIX
from weights.table import account, cast, drop_tied_copy, dtype_named, expected_shapes, shapes

GENERATION_FILE = "generation_config.json"
# The size that Transformers cuts files of weights at.
LARGEST_FILE = 5_000_000_000


@dataclass(frozen=True)
class HuggingFaceExport:
    """An opened native model, to be written under Hugging Face's names.

    `files` has the layout of each weights file by its name.
    """

    directory: Path
    params: dict[str, Any]
    config: ModelConfig
    tensors: Mapping[str, Tensor]
    files: Mapping[str, Layout]

    @property
    def total(self) -> int:
        """The bytes of all weights files."""
        return sum(map(layout_bytes, self.files.values()))

    def pairs(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every (name, tensor) in the order of the files."""
        layout = {name: form for part in self.files.values() for name, form in part.items()}
        for name, tensor in to_hugging_face(self.config, self.tensors):
            yield name, cast(tensor, layout[name][1], name)

    def index(self) -> dict[str, Any]:
        """Return the object of the index file: the file of each tensor."""
        where = {name: file for file, layout in self.files.items() for name in layout}
        return {"metadata": {"total_size": self.total}, "weight_map": where}

    def settings(self, stop_ids: Sequence[int], begin_id: int | None) -> dict[str, dict[str, Any]]:
        """Return the objects of `config.json` and `generation_config.json`.

        What the model's own generation config says is kept; `stop_ids` join its stops.
        """
        file = self.directory / GENERATION_FILE
        given = read_json_object(file) if file.is_file() else {}
        check_token_ids(given, self.config.vocab_size, file)
        own = given.get("eos_token_id")
        own_stops = own if isinstance(own, list) else [own] * (own is not None)
        stops = list(dict.fromkeys([*own_stops, *stop_ids]))
        found = {
            "bos_token_id": given.get("bos_token_id", begin_id),
            "eos_token_id": stops[0] if len(stops) == 1 else stops or None,
            "pad_token_id": given.get("pad_token_id"),
        }
        forms = [form for part in self.files.values() for form in part.values()]
        dtypes = {dtype_name(dtype) for _, dtype in forms}
        dtype = dtypes.pop() if len(dtypes) == 1 else "float32"
        return {
            # Given here as null, too: Phi-3's configuration class has ids of its own otherwise.
            CONFIG_FILE: config_from_params(self.params, dtype, found),
            GENERATION_FILE: given | {name: id for name, id in found.items() if id is not None},
        }


def open_hugging_face_export(
    path: Path | str, dtype: str | None = None, largest_file: int = LARGEST_FILE
) -> HuggingFaceExport:
    """Open a native model for an export; `dtype` is a name of DTYPES, None keeps what is stored."""
    wanted = dtype_named(dtype)
    file = weights_file(path)
    params = read_params(file.parent)
    config = ModelConfig.from_params(params, str(file.parent))
    tensors = drop_tied_copy(config, open_weights(file))
    account(expected_shapes(config), shapes(tensors), str(file))
    whole = hugging_face_shapes(config)
    layout: Layout = {
        # Of a fused tensor the dtype that holds all its parts.
        name: (
            whole[name],
            wanted or reduce(torch.promote_types, (forms(tensors)[row.name].dtype for row in rows)),
        )
        for name, rows in rows_by_name(config).items()
    }
    return HuggingFaceExport(file.parent, params, config, tensors, _files(layout, largest_file))


def _files(layout: Layout, largest: int) -> dict[str, Layout]:
    """Cut a layout into files of at most `largest` bytes, a larger tensor into one of its own."""
    groups: list[dict[str, Any]] = [{}]
    size = 0
    for name, (shape, dtype) in layout.items():
        own = byte_count(shape, dtype)
        if groups[-1] and size + own > largest:
            groups.append({})
            size = 0
        groups[-1][name] = (shape, dtype)
        size += own
    if len(groups) == 1:
        return {SAFETENSORS: groups[0]}
    return {
        f"model-{number:05d}-of-{len(groups):05d}.safetensors": group
        for number, group in enumerate(groups, 1)
    }


INDEX_FILE = SAFETENSORS + INDEX_SUFFIX
