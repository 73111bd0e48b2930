"""Read a trained adapter from where a user has it, and see that it belongs to a model."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from model.config import PARAMS_FILE, ModelConfig
from model.lora.adapter import (
    WRAPPERS,
    adapted_layer,
    adapter_state,
    add_lora,
    check_adapter,
    load_adapter,
)
from model.lora.config import ADAPTER_FILE, LoraConfig
from model.lora.layers import LoraLinear
from model.quantized import QUANTIZATIONS
from model.transformer import Transformer
from storage.json_file import read_json_object, write_json
from storage.replacement import restore
from storage.verified import copy_verified
from weights.directory import WEIGHTS_FILE, open_weights, weights_sha256
from weights.opening import INDEX_SUFFIX

BASE_FILE = "base.json"
# What PEFT calls its file of tensors.
PEFT_FILE = "adapter_model.safetensors"
# What DeepSpeed's zero_to_fp32.py leaves in the directory it is told: one of these.
CONVERTED_FILES = tuple(
    name + suffix
    for name in ("pytorch_model.bin", "model.safetensors")
    for suffix in ("", INDEX_SUFFIX)
)


@dataclass(frozen=True)
class Adapter:
    """A trained adapter: its file, the directory of its settings, and its tensors by name.

    `params` is None where no `params.json` lies beside `lora.json`, `base_sha256` (of the weights
    it was trained on) where no `base.json` does. `quantization` is how those weights were stored
    while it was trained.
    """

    file: Path
    directory: Path
    lora: LoraConfig
    params: ModelConfig | None
    state: Mapping[str, Tensor]
    base_sha256: str | None = None
    quantization: str | None = None

    def check(self, config: ModelConfig, origin: Path) -> None:
        """Raise ValueError unless this adapter was trained on the weights of directory `origin`.

        Where a sha256 of the weights is not known on both sides, shapes and constants must do.
        """
        found = weights_sha256(origin)
        if self.base_sha256 and found and self.base_sha256 != found:
            raise ValueError(
                f"{self.file} was trained on weights with sha256 {self.base_sha256[:12]}, and "
                f"those in {origin} have {found[:12]}; name the base it was trained on"
            )
        if self.params is not None and self.params != config:
            raise ValueError(_other_model(self.file, self.params, config, origin))
        with torch.device("meta"):
            model = Transformer(config)
            add_lora(model, self.lora)
        try:
            check_adapter(adapter_state(model), self.state)
        except ValueError as error:
            raise ValueError(f"{self.file} does not fit {origin}: {error}") from None

    def layer(self, name: str, weight: Tensor) -> LoraLinear | None:
        """Return the adapted linear layer of this name and weight [O, I], None without adapter."""
        return adapted_layer(self.lora, name, weight.shape, self.state)

    def replacement(self, name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Return what training put in place of the base's tensor of this name, None for most.

        It is a trained bias, or the base's `tensor` with the trained rows of chosen tokens.
        """
        layer, _, kind = name.rpartition(".")
        if kind == "bias" and (bias := self.state.get(f"{layer}.lora_bias")) is not None:
            return bias.to(dtype)
        rows = self.state.get(f"{layer}.token_rows")
        if kind != "weight" or rows is None:
            return None
        ids = torch.tensor(self.lora.token_rows)
        return tensor.to(dtype).index_copy(0, ids, rows.to(dtype))

    def attach(self, model: Transformer) -> None:
        """Put the adapter into a model, unmerged; `check` comes first."""
        add_lora(model, self.lora)
        load_adapter(model, self.state)


def detach_adapter(model: Transformer) -> None:
    """Take the adapter out of a model again; what is left is the base, bit for bit."""
    wrapped = [(n, m) for n, m in model.named_modules() if isinstance(m, WRAPPERS)]
    for name, module in wrapped:
        owner, _, child = name.rpartition(".")
        setattr(model.get_submodule(owner), child, module.base)


def read_adapter(path: Path | str, config_dir: Path | str | None = None) -> Adapter:
    """Read a LoRA checkpoint: a directory with adapter.safetensors, or a .safetensors, .pth or .pt.

    It may also be the directory that DeepSpeed's zero_to_fp32.py wrote. `lora.json` lies in
    `config_dir`, by default beside the tensors. Raises FileNotFoundError or ValueError that says
    what is missing or wrong.
    """
    file = adapter_file(path)
    directory = file.parent if config_dir is None else Path(config_dir).expanduser()
    lora = LoraConfig.read(directory)
    params = ModelConfig.read(directory) if (directory / PARAMS_FILE).is_file() else None
    state = open_weights(file)
    check_finite(file, state)
    sha256, quantization = base_sha256(directory), base_quantization(directory)
    return Adapter(file, directory, lora, params, state, sha256, quantization)


def check_finite(file: Path, state: Mapping[str, Tensor]) -> None:
    """Raise ValueError where an adapter of a diverged training holds NaN or infinite values."""
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(
                f"{file}: {name} holds NaN or infinite values, so the training diverged; take an "
                "earlier checkpoint, or train again with a lower learning rate"
            )


def write_base_record(directory: Path, base: Path, quantization: str | None = None) -> None:
    """Write `base.json`: which weights this was trained on, and how they were stored then."""
    record = {"directory": str(base), "sha256": weights_sha256(base)}
    write_json(directory / BASE_FILE, record | {"quantization": quantization})


def copy_base_record(target: Path, source: Path) -> None:
    """Copy the `base.json` of a checkpoint to another directory, where it has one."""
    if (source / BASE_FILE).is_file():
        copy_verified(source / BASE_FILE, target / BASE_FILE)


def base_sha256(directory: Path) -> str | None:
    """Return the sha256 of the weights that a checkpoint belongs to; None where none is known."""
    return _base_record(directory, "sha256")


def base_directory(directory: Path) -> str | None:
    """Return where the weights lay that a checkpoint belongs to; None where that is not known."""
    return _base_record(directory, "directory")


def base_quantization(directory: Path) -> str | None:
    """Return how the linear layers of those weights were stored; None as they are in the file."""
    found = _base_record(directory, "quantization")
    if found not in (None, *QUANTIZATIONS):
        raise ValueError(
            f"{directory / BASE_FILE} says that the weights were stored in {found}, wanted one of "
            f"{', '.join(QUANTIZATIONS)}; it is of another version, or was damaged"
        )
    return found


def _base_record(directory: Path, key: str) -> str | None:
    file = directory / BASE_FILE
    if not file.is_file():
        return None
    try:
        # Records of older checkpoints do not say how the weights were stored.
        found = ({"quantization": None} | read_json_object(file))[key]
    except KeyError as error:
        raise ValueError(f"{file} cannot be read ({error}); it was damaged") from None
    return None if found is None else str(found)


def adapter_file(path: Path | str) -> Path:
    """Return the file of tensors that `path` names: itself, or the one in a LoRA checkpoint.

    Raises FileNotFoundError or ValueError that says what is there instead.
    """
    path = Path(path).expanduser()
    restore(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} does not exist; wanted a LoRA checkpoint such as checkpoints/NAME/best"
        )
    if (path / ADAPTER_FILE).is_file():
        return path / ADAPTER_FILE
    if (path / WEIGHTS_FILE).is_file():
        raise ValueError(f"{path} holds whole weights ({WEIGHTS_FILE}), wanted a LoRA adapter")
    if (path / PEFT_FILE).is_file():
        raise ValueError(
            f"{path} holds an adapter of PEFT; import it first: python scripts/import_adapter.py "
            f"--peft-dir {path} --base-ckpt-path D --output-dir D"
        )
    if converted := [path / name for name in CONVERTED_FILES if (path / name).is_file()]:
        if len(converted) > 1:
            raise ValueError(
                f"{path} holds {converted[0].name} and {converted[1].name}, perhaps of two "
                "conversions; remove the older one, or name a file"
            )
        return converted[0]
    inside = [name for name in ("best", "final") if (path / name / ADAPTER_FILE).is_file()]
    hint = f"; did you mean {path / inside[0]}?" if inside else ""
    raise FileNotFoundError(f"{path} has no {ADAPTER_FILE}{hint}")


def _other_model(file: Path, trained: ModelConfig, found: ModelConfig, origin: Path) -> str:
    names = ("family", *(field.name for field in fields(ModelConfig)))
    name = next(name for name in names if getattr(trained, name) != getattr(found, name))
    return (
        f"{file} was trained on another model: its {name} is {getattr(trained, name)}, and "
        f"{origin} has {getattr(found, name)}; name the base it was trained on"
    )
