"""A directory of PEFT, opened: its settings understood, its tensors mapped and accounted for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.config import ModelConfig
from weights.adapter import PEFT_FILE, check_finite
from weights.directory import open_weights
from weights.hugging_face.names import hugging_face_shapes
from weights.hugging_face.reading import check_no_pickle
from weights.peft.layers import VECTORS, LoraLayer, peft_modules
from weights.peft.settings import ADAPTER_CONFIG, PeftSettings, is_named, read_settings
from weights.table import Shape, shapes

_PICKLE = "adapter_model.bin"
_PREFIX = "base_model.model."
# Parts of the names of tensors that are no A or B of a linear layer, and what they are.
_FOREIGN = {
    "lora_embedding_": "embeddings were adapted",
    "lora_magnitude_vector": "it is DoRA's, of which its settings say nothing",
    "lora_A.bias": "A has a bias",
    "lora_B.bias": "B has a bias",
    "modules_to_save": "whole modules were trained beside the adapter",
}


@dataclass(frozen=True)
class PeftAdapter:
    """An opened adapter of PEFT; `layers` are by Hugging Face's module, without PEFT's prefix."""

    directory: Path
    file: Path
    settings: PeftSettings
    layers: dict[str, LoraLayer]


def tensor_names(module: str) -> tuple[str, str]:
    """Return what PEFT calls A and B of a module."""
    return f"{_PREFIX}{module}.lora_A.weight", f"{_PREFIX}{module}.lora_B.weight"


def vector_name(module: str, vector: str) -> str:
    """Return what PEFT calls one of a module's VECTORS."""
    return f"{_PREFIX}{module}.{VECTORS[vector]}"


def read_peft(path: Path | str, config: ModelConfig) -> PeftAdapter:
    """Open an adapter of PEFT for a model of this shape; ValueError says what is wrong with it."""
    directory = Path(path).expanduser()
    settings = read_settings(directory)
    file = _tensor_file(directory)
    modules = _adapted_modules(config, settings, directory / ADAPTER_CONFIG)
    tensors = open_weights(file)
    _account(file, _expected_shapes(config, settings, modules), shapes(tensors))
    check_finite(file, tensors)
    layers = {}
    for module in modules:
        a, b = (tensors[name] for name in tensor_names(module))
        names = {vector: vector_name(module, vector) for vector in VECTORS}
        vectors = {vector: tensors[name] for vector, name in names.items() if name in tensors}
        layers[module] = LoraLayer(a, b, float(settings.alpha_of(module)), vectors)
    return PeftAdapter(directory, file, settings, layers)


def _tensor_file(directory: Path) -> Path:
    file = directory / PEFT_FILE
    if file.is_file():
        return file
    check_no_pickle(directory, _PICKLE, PEFT_FILE, "let PEFT")
    raise FileNotFoundError(f"{file} is missing; PEFT's save_pretrained writes it")


def _adapted_modules(config: ModelConfig, settings: PeftSettings, file: Path) -> list[str]:
    """Return the modules that the settings adapt, in the order of the model."""
    modules = list(peft_modules(config))
    last_parts = dict.fromkeys(module.rpartition(".")[2] for module in modules)
    known = f"wanted linear layers of {config.family} blocks: {', '.join(last_parts)}"
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
        rank, (a, b) = settings.rank_of(module), tensor_names(module)
        expected |= {a: (rank, inputs), b: (outputs, rank)}
        if settings.dora:
            expected[vector_name(module, "lora_magnitude")] = (outputs,)
        if settings.biases and f"{module}.bias" in whole:
            expected[vector_name(module, "lora_bias")] = (outputs,)
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
