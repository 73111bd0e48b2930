"""How a run starts: what it locks, and the adapter it trains further, where one is named."""

import json
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from model.config import ModelConfig
from model.lora.config import LORA_FILE, LoraConfig
from storage.atomic import directory_lock
from storage.manifest import sha256_of_file
from weights.adapter import BASE_FILE, Adapter, adapter_file, base_quantization, read_adapter
from weights.directory import resolve_directory

if TYPE_CHECKING:
    from training.config import Config


def open_start_adapter(config: "Config") -> Adapter | None:
    """Open the adapter of `model.adapter_dir`; None where none is named.

    Raises FileNotFoundError or ValueError where it is no adapter, belongs to another base, or is
    another kind of adapter than `lora` says.
    """
    if config.model.adapter_dir is None:
        return None
    if config.lora is None:
        raise ValueError(
            f"model.adapter_dir is {config.model.adapter_dir}, and lora is null, which trains all "
            "weights; merge the adapter and start from that (scripts/convert_lora_weights.py), or "
            "set lora"
        )
    adapter = read_adapter(config.model.adapter_dir)
    check_same_adapter(adapter.directory, adapter.lora, config.lora)
    base = resolve_directory(config.model.checkpoint_dir)
    adapter.check(ModelConfig.read(base), base)
    return adapter


def start_directories(config: "Config") -> list[Path]:
    """Return the directory of the adapter that is trained further, if there is one."""
    if config.model.adapter_dir is None:
        return []
    path = Path(config.model.adapter_dir).expanduser()
    return [path if path.is_dir() else path.parent]


def start_record(config: "Config") -> dict[str, str] | None:
    """Return the directory of the adapter of `model.adapter_dir`, and the sha256 of its file."""
    if config.model.adapter_dir is None:
        return None
    file = adapter_file(config.model.adapter_dir)
    return {"directory": config.model.adapter_dir, "sha256": sha256_of_file(file)}


def other_storage_line(config: "Config") -> str | None:
    """Return what to say where the base is stored in another way than its adapter began with.

    None where no adapter is trained further, or its base is not known.
    """
    if config.model.adapter_dir is None:
        return None
    record = adapter_file(config.model.adapter_dir).parent / BASE_FILE
    before, now = base_quantization(record.parent), config.model.quantization
    if before == now or not record.is_file():
        return None
    return (
        f"{record} says that the adapter was trained with model.quantization = "
        f"{json.dumps(before)}, and this run has {json.dumps(now)}: its base is rounded in another "
        "way, so the loss may begin higher"
    )


def check_same_adapter(directory: Path, found: LoraConfig, wanted: LoraConfig) -> None:
    """Raise ValueError unless both adapt the same layers alike; dropout may differ."""
    for name in (field.name for field in fields(LoraConfig) if field.name != "dropout"):
        before, now = getattr(found, name), getattr(wanted, name)
        same = set(before) == set(now) if name == "targets" else before == now
        if not same:
            raise ValueError(
                f"{directory / LORA_FILE} has {name} = {json.dumps(before)}, and lora.{name} is "
                f"{json.dumps(now)}; to train this adapter further make them equal"
            )


def lock_directories(config: "Config", alone: ExitStack) -> None:
    """Lock what a run writes to; FileExistsError where another run writes to one of them."""
    config.log_dir.mkdir(parents=True, exist_ok=True)
    # Where both are the same directory, it is locked once.
    for directory in {path.resolve(): path for path in (config.run_dir, config.log_dir)}.values():
        alone.enter_context(directory_lock(directory))
