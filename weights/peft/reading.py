"""A directory of PEFT, opened: its settings understood, its tensors mapped and accounted for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.config import ModelConfig
from weights.adapter import PEFT_FILE, check_finite
from weights.directory import open_weights
from weights.hugging_face.names import hugging_face_shapes
from weights.hugging_face.reading import check_no_pickle
from weights.peft.layers import BLOCKS, EMBED_TOKENS, VECTORS, LoraLayer, peft_modules
from weights.peft.settings import ADAPTER_CONFIG, PeftSettings, is_named, read_settings
from weights.peft.token_rows import token_ids, token_row_names
from weights.table import Shape, shapes

_PICKLE = "adapter_model.bin"
_PREFIX = "base_model.model."
# Parts of the names of tensors that are no A or B of a linear layer, and what they are.
_FOREIGN = {
    "lora_magnitude_vector": "it is DoRA's, of which its settings say nothing",
    "lora_A.bias": "A has a bias",
    "lora_B.bias": "B has a bias",
    "modules_to_save": "whole modules were trained beside the adapter",
}


@dataclass(frozen=True)
class PeftAdapter:
    """An opened adapter of PEFT; `layers` are by Hugging Face's module, without PEFT's prefix.

    token_rows: The trained rows of the tokens `token_ids`, by our names.
    """

    directory: Path
    file: Path
    settings: PeftSettings
    layers: dict[str, LoraLayer]
    token_ids: tuple[int, ...]
    token_rows: dict[str, Tensor]


def peft_tensors(module: str, layer: LoraLayer) -> dict[str, Tensor]:
    """Return the tensors of a module's adapter by the names that PEFT gives them.

    Of an embedding PEFT has the transposed matrices: A [R, V] and B [D, R].
    """
    if module == EMBED_TOKENS:
        matrices = (layer.b.t().contiguous(), layer.a.t().contiguous())
    else:
        matrices = (layer.a, layer.b)
    vectors = {_vector_name(module, name): own for name, own in layer.vectors.items()}
    return dict(zip(_matrix_names(module), matrices, strict=True)) | vectors


def _matrix_names(module: str) -> tuple[str, str]:
    """Return what PEFT calls A and B of a module."""
    if module == EMBED_TOKENS:
        return f"{_PREFIX}{module}.lora_embedding_A", f"{_PREFIX}{module}.lora_embedding_B"
    return f"{_PREFIX}{module}.lora_A.weight", f"{_PREFIX}{module}.lora_B.weight"


def _vector_name(module: str, vector: str) -> str:
    return f"{_PREFIX}{module}.{VECTORS[vector]}"


def _base_name(module: str) -> str:
    """Return what PEFT calls the base's weight, which it saves of an adapted embedding or head."""
    return f"{_PREFIX}{module}.base_layer.weight"


def read_peft(path: Path | str, config: ModelConfig, base: Path) -> PeftAdapter:
    """Open an adapter of PEFT for a model of this shape and the weights in the file `base`.

    ValueError says what is wrong with it.
    """
    directory = Path(path).expanduser()
    settings = read_settings(directory)
    file = _tensor_file(directory)
    modules = _adapted_modules(config, settings, directory / ADAPTER_CONFIG)
    tensors = open_weights(file)
    copies = _copies_of_base(config, file, tensors, base)
    found = {name: shape for name, shape in shapes(tensors).items() if name not in copies}
    ids, row_names = token_ids(config, settings.token_rows), token_row_names(config)
    rows = {name: (len(ids), config.dim) for name in row_names.values()} if ids else {}
    _account(file, _expected_shapes(config, settings, modules) | rows, found)
    check_finite(file, tensors)
    layers = {}
    for module in modules:
        a, b = (tensors[name] for name in _matrix_names(module))
        if module == EMBED_TOKENS:
            a, b = b.t().contiguous(), a.t().contiguous()
        names = {vector: _vector_name(module, vector) for vector in VECTORS}
        vectors = {vector: tensors[name] for vector, name in names.items() if name in tensors}
        layers[module] = LoraLayer(a, b, float(settings.alpha_of(module)), vectors)
    own_rows = {name: tensors[theirs] for name, theirs in row_names.items() if ids}
    return PeftAdapter(directory, file, settings, layers, ids, own_rows)


def _copies_of_base(
    config: ModelConfig, file: Path, tensors: Mapping[str, Tensor], base: Path
) -> set[str]:
    """Return the names of the base's own weights that PEFT saved beside an adapter of them.

    Raises ValueError where one is another than the base's.
    """
    copies = {_base_name(module): rows[0] for module, rows in peft_modules(config).items()}
    for name in copies.keys() & tensors.keys():
        own = open_weights(base)[copies[name].name]
        if not torch.equal(tensors[name].to(own.dtype), own):
            raise ValueError(
                f"{file}: {name} is not the base's {copies[name].name}: it was changed beside the "
                "adapter, or is of another base"
            )
    return copies.keys() & tensors.keys()


def _tensor_file(directory: Path) -> Path:
    file = directory / PEFT_FILE
    if file.is_file():
        return file
    check_no_pickle(directory, _PICKLE, PEFT_FILE, "let PEFT")
    raise FileNotFoundError(f"{file} is missing; PEFT's save_pretrained writes it")


def _adapted_modules(config: ModelConfig, settings: PeftSettings, file: Path) -> list[str]:
    """Return the modules that the settings adapt, in the order of the model."""
    modules = list(peft_modules(config))
    blocks = [module for module in modules if module.startswith(BLOCKS)]
    last_parts = dict.fromkeys(module.rpartition(".")[2] for module in blocks)
    ends = [module for module in modules if module not in blocks]
    known = (
        f"wanted linear layers of {config.family} blocks: {', '.join(last_parts)}; or "
        f"{' or '.join(ends)}"
    )
    if not isinstance(settings.targets, str):
        for target in settings.targets:
            if not any(is_named(module, (target,)) for module in modules):
                raise ValueError(f"{file}: the target module {target!r} is not here; {known}")
    chosen = [module for module in modules if settings.is_target(module)]
    if not chosen:
        raise ValueError(f"{file}: target_modules {settings.targets!r} match nothing; {known}")
    return chosen


def _expected_shapes(
    config: ModelConfig, settings: PeftSettings, modules: Sequence[str]
) -> dict[str, Shape]:
    whole = hugging_face_shapes(config)
    expected: dict[str, Shape] = {}
    for module in modules:
        outputs, inputs = whole[f"{module}.weight"]
        rank, (a, b) = settings.rank_of(module), _matrix_names(module)
        if module == EMBED_TOKENS:
            inputs, outputs = outputs, inputs
        expected |= {a: (rank, inputs), b: (outputs, rank)}
        if settings.dora:
            expected[_vector_name(module, "lora_magnitude")] = (outputs,)
        if settings.biases and f"{module}.bias" in whole:
            expected[_vector_name(module, "lora_bias")] = (outputs,)
    return expected


def _account(file: Path, expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> None:
    """Raise ValueError unless the adapter's tensors are those that its settings describe."""
    for name in found.keys() - expected.keys():
        if reasons := [reason for part, reason in _FOREIGN.items() if part in name]:
            raise ValueError(f"{file} holds {name}, which cannot be represented: {reasons[0]}")
    missing = [name for name in expected if name not in found]
    left_over = [name for name in found if name not in expected]
    if missing or left_over:
        raise ValueError(
            f"{file} does not hold what {ADAPTER_CONFIG} describes: {len(missing)} tensors are "
            f"missing (first {missing[:1]}) and {len(left_over)} left over (first {left_over[:1]})"
        )
    for name, shape in expected.items():
        if found[name] != shape:
            raise ValueError(
                f"{file}: {name} is {list(found[name])}, wanted {list(shape)} by the base and "
                f"the rank in {ADAPTER_CONFIG}; is it of another base?"
            )
