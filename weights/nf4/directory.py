"""A native directory whose linear layers are stored in NF4: its record, and its tensors.

`quantization.json` says how they are stored and which weights they were made of. In place of a
layer's weight the file holds the parts of model/nf4.py's `NF4` under the layer's name, such as
`layers.0.attention.wq.codes`; all other tensors are there as they were.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.config import ModelConfig
from model.nf4 import BLOCK, BLOCK_OF_ABSMAX, NF4, NF4Linear
from model.quantized import NF4_KINDS
from storage.json_file import read_json_object, write_json
from weights.building import Stored, is_linear_weight
from weights.lazy import LazyWeights, forms
from weights.table import DTYPES, Shape, account, expected_shapes, shapes

QUANTIZATION_FILE = "quantization.json"


@dataclass(frozen=True)
class QuantizationRecord:
    """How a directory's linear layers are stored, and where the weights lay that were quantised.

    quantization: One of model/quantized.py's NF4_KINDS.
    sha256: Of the file of those weights, by which an adapter knows its base.
    """

    quantization: str
    directory: str
    sha256: str

    def write(self, directory: Path) -> None:
        """Write `quantization.json`."""
        write_json(directory / QUANTIZATION_FILE, asdict(self))


def read_quantization(directory: Path) -> QuantizationRecord | None:
    """Return the record of a directory with quantised weights, None for any other.

    Raises ValueError where the file is no such record.
    """
    file = directory / QUANTIZATION_FILE
    if not file.is_file():
        return None
    record = read_json_object(file)
    names = tuple(QuantizationRecord.__dataclass_fields__)
    known = record.keys() == set(names) and all(isinstance(record[name], str) for name in names)
    if not known or record["quantization"] not in NF4_KINDS:
        raise ValueError(
            f"{file} is {str(record)[:80]}, wanted {', '.join(names)} of scripts/quantize.py; "
            "write the directory again"
        )
    return QuantizationRecord(**record)


def stored_quantization(directory: Path) -> str | None:
    """Return how a directory's linear layers are stored; None where they are not quantised."""
    record = read_quantization(directory)
    return None if record is None else record.quantization


def original_directory(directory: Path | str) -> Path:
    """Return the directory of the weights that quantised ones were made of; any other is itself."""
    record = read_quantization(Path(directory))
    return Path(directory if record is None else record.directory)


def check_quantization(directory: Path, wanted: str | None) -> None:
    """Raise ValueError where weights are stored in another way than `model.quantization` says.

    Weights that are not quantised go with any setting: they are quantised when they are read.
    """
    record = read_quantization(directory)
    if record is None or record.quantization == wanted:
        return
    found = "null" if wanted is None else wanted
    raise ValueError(
        f"{directory} holds weights in {record.quantization}, and model.quantization is {found}; "
        f"add --model.quantization={record.quantization}, or name the weights they were made of: "
        f"--model.checkpoint_dir={record.directory}"
    )


def part_layout(shape: Shape, double_quantization: bool) -> dict[str, tuple[Shape, torch.dtype]]:
    """Return shape and dtype of the parts that a weight of this shape has in NF4, by name."""
    count = torch.Size(shape).numel()
    blocks = -(-count // BLOCK)
    codes = {"codes": ((-(-count // 2),), torch.uint8)}
    if not double_quantization:
        return {**codes, "absmax": ((blocks,), torch.float32)}
    return {
        **codes,
        "absmax": ((blocks,), torch.uint8),
        "absmax_scale": ((-(-blocks // BLOCK_OF_ABSMAX),), torch.float32),
        "offset": ((), torch.float32),
    }


def part_name(weight: str, part: str) -> str:
    """Return the name in the file of one part of the linear layer's weight of this name."""
    return f"{weight.removesuffix('.weight')}.{part}"


def group_parts(
    config: ModelConfig, quantization: str, tensors: Mapping[str, Tensor], origin: str
) -> Mapping[str, Stored]:
    """Return the tensors of a file of quantised weights, the parts of each weight as a layer.

    Raises ValueError that lists what is missing, left over or of the wrong shape or dtype.
    """
    expected = expected_shapes(config)
    parts = {
        name: part_layout(shape, quantization == "nf4_double")
        for name, shape in expected.items()
        if is_linear_weight(name)
    }
    layout = {
        part_name(name, part): row for name, rows in parts.items() for part, row in rows.items()
    }
    whole = {name: s for name, s in expected.items() if name not in parts}
    wanted = whole | {name: shape for name, (shape, _) in layout.items()}
    advice = "write the directory again with scripts/quantize.py"
    account(wanted, shapes(tensors), origin, f"params.json with {quantization}", advice)
    for name, tensor in forms(tensors).items():
        allowed = (layout[name][1],) if name in layout else tuple(DTYPES.values())
        if tensor.dtype not in allowed:
            raise ValueError(
                f"{origin}: {name} is {_named(tensor.dtype)}, wanted "
                f"{', '.join(map(_named, allowed))}; {advice}"
            )

    def stored(name: str) -> Stored:
        shape = expected[name]
        if name not in parts:
            return tensors[name]
        found = NF4(**{part: tensors[part_name(name, part)] for part in parts[name]})
        return NF4Linear(found, in_features=shape[1], out_features=shape[0])

    return LazyWeights(expected, stored)


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
