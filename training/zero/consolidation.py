"""A checkpoint's trained weights alone: joined from DeepSpeed's shards and checked bit by bit.

What comes out is a directory like `best` or `final`. Where nothing is sharded (one device, or ZeRO
stage 0) the weights lie gathered in the checkpoint and are copied.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import PARAMS_FILE, ModelConfig
from model.lora.adapter import adapter_state, add_lora
from model.lora.config import ADAPTER_FILE, LORA_FILE, LoraConfig
from model.transformer import Transformer
from storage.atomic import check_own_directory, new_directory
from storage.json_file import read_json_object
from storage.manifest import damaged_files, has_manifest
from storage.verified import copy_verified
from training.checkpoint import WEIGHTS_ONLY
from training.resuming import CONFIG_FILE
from training.saved_steps import newest_whole, saved_steps
from training.zero.shards import SHARDS_FILE, joined_masters
from weights.adapter import BASE_FILE
from weights.chat_record import copy_chat_record
from weights.conversion import require_space, write_checked
from weights.directory import WEIGHTS_FILE, Layout, layout_bytes, open_weights
from weights.table import DTYPES, OUTPUT, bitwise_equal, expected_shapes, shapes
from weights.tokenizer_file import copy_tokenizer

# Another kind than a run's own, so that none of its checkpoints is ever replaced.
KIND = "consolidated checkpoint"
BESIDE = (PARAMS_FILE, BASE_FILE, CONFIG_FILE)


@dataclass(frozen=True)
class Consolidated:
    """What was written: `file` with so many tensors and bytes, of the checkpoint `step`.

    `shards` counts the ranks whose parts were joined, 0 where nothing is sharded; `compared` says
    whether the file gathered by the run was there to compare with. `base` is the base's path.
    """

    step: Path
    file: Path
    tensors: int
    bytes: int
    shards: int
    compared: bool
    base: str


def consolidate_checkpoint(
    checkpoint_dir: Path | str,
    output_dir: Path | str,
    tag: str | None,
    warn: Callable[[str], None],
) -> Consolidated:
    """Write the trained weights of a checkpoint, or of the one a run's `latest` names.

    Raises ValueError or FileNotFoundError, with nothing written, for what is damaged or foreign.
    """
    target = Path(output_dir).expanduser()
    check_own_directory(target, KIND)
    step = _find_checkpoint(Path(checkpoint_dir).expanduser(), tag, warn)
    lora = LoraConfig.read(step) if (step / LORA_FILE).is_file() else None
    name = ADAPTER_FILE if lora else WEIGHTS_FILE
    gathered = _gathered(step, name)
    model: dict[str, Any] = read_json_object(step / CONFIG_FILE)["model"]
    layout = _layout(ModelConfig.read(step), lora, DTYPES[model["dtype"]])
    shards = _shards(step)
    tensors = joined_masters(step) if shards else {n: t.clone for n, t in (gathered or {}).items()}
    _check_tensor_names(step, tensors, layout)
    require_space(target, layout_bytes(layout))
    with new_directory(target, KIND) as partial:
        for beside in (*BESIDE, LORA_FILE) if lora else BESIDE:
            copy_verified(step / beside, partial / beside)
        copy_tokenizer(step, partial)
        copy_chat_record(partial, step)
        write_checked({partial / name: layout}, lambda: _cast(tensors, layout))
        if gathered is not None:
            _check_same_bits(step / name, gathered, partial / name)
    size = layout_bytes(layout)
    base = str(model["checkpoint_dir"])
    return Consolidated(step, target / name, len(layout), size, shards, gathered is not None, base)


def _find_checkpoint(path: Path, tag: str | None, warn: Callable[[str], None]) -> Path:
    """Return the checkpoint meant: the directory itself, the one named, or a run's latest."""
    if has_manifest(path):
        if tag is not None:
            raise ValueError(f"{path} is one checkpoint already; leave out --tag {tag}")
        return path
    if tag is not None:
        found = [checkpoint.name for checkpoint in saved_steps(path)]
        found += [name for name in WEIGHTS_ONLY if (path / name).is_dir()]
        if tag not in found:
            raise FileNotFoundError(
                f"{path} has no checkpoint {tag!r}; there is {', '.join(found) or 'none'}"
            )
        return path / tag
    step, _ = newest_whole(path, warn)
    if step is None:
        raise FileNotFoundError(
            f"{path} holds no whole checkpoint; wanted a run's directory such as "
            "checkpoints/NAME, or a checkpoint in it such as checkpoints/NAME/step-000200"
        )
    return step


def _gathered(step: Path, name: str) -> Mapping[str, Tensor] | None:
    """Return the weights the run gathered; None where they are damaged and shards stand for them.

    Raises ValueError when anything else in the checkpoint is damaged.
    """
    problems = damaged_files(step)
    needed = [line for line in problems if not (_shards(step) and line.startswith(f"{name} "))]
    if needed:
        raise ValueError(f"{step} is damaged ({needed[0]}); take another checkpoint")
    return None if problems else open_weights(step / name)


def _shards(step: Path) -> int:
    """Return how many ranks hold a part of the weights; 0 where each holds them whole."""
    file = step / SHARDS_FILE
    if not file.is_file():
        return 0
    saved = read_json_object(file)
    return int(saved["ranks"]) if saved["zero_stage"] else 0


def _layout(config: ModelConfig, lora: LoraConfig | None, dtype: torch.dtype) -> Layout:
    """Return the trained tensors in the model's order; an adapter is stored in float32."""
    if lora is None:
        return {name: (shape, dtype) for name, shape in expected_shapes(config).items()}
    with torch.device("meta"):
        model = Transformer(config)
        add_lora(model, lora)
    return {name: (shape, torch.float32) for name, shape in shapes(adapter_state(model)).items()}


def _check_tensor_names(step: Path, tensors: Mapping[str, object], layout: Layout) -> None:
    """Raise ValueError unless the tensors found are the ones of the model described."""
    # A tied model's embedding is found under both of its names.
    left_over = tensors.keys() - layout.keys() - {OUTPUT}
    if strange := layout.keys() - tensors.keys() or left_over:
        raise ValueError(
            f"{step} holds the weights of another model than its {PARAMS_FILE} describes "
            f"({min(strange)} is in one of them only); take another checkpoint"
        )


def _cast(
    tensors: Mapping[str, Callable[[], Tensor]], layout: Layout
) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of a layout, each made in its turn and of the dtype wanted."""
    for name, (_, dtype) in layout.items():
        yield name, tensors[name]().to(dtype)


def _check_same_bits(file: Path, gathered: Mapping[str, Tensor], written: Path) -> None:
    """Raise ValueError unless the run gathered the very bits that its shards hold."""
    joined = open_weights(written)
    for name in joined.keys() | gathered.keys():
        both = name in joined and name in gathered
        if not (both and bitwise_equal(joined[name], gathered[name])):
            raise ValueError(
                f"{file} and the shards beside it differ in {name}: one of them is of another "
                "run; take another checkpoint"
            )
