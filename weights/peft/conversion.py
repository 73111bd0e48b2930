"""An adapter to PEFT's layout and back: read back bit for bit, written whole or not at all.

vLLM loads what is written as it is. It reads one scale for all layers, `lora_alpha` over `r` (or
its root), no patterns, and refuses an `r` above its --max-lora-rank; so `r` is the largest rank
that a layer has, which a fused layer's is, and `lora_alpha` that layer's.
Source: `PEFTHelper` of vLLM.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from model.config import PARAMS_FILE, ModelConfig, params_file
from model.lora.config import ADAPTER_FILE, LoraConfig
from model.quantized import NF4_KINDS
from storage.atomic import check_own_directory, new_directory
from storage.json_file import write_json
from storage.verified import copy_verified
from weights.adapter import (
    PEFT_FILE,
    Adapter,
    base_directory,
    base_quantization,
    base_sha256,
    copy_base_record,
    read_adapter,
    write_base_record,
)
from weights.chat_record import copy_chat_record
from weights.conversion import dtypes_of, require_space, write_checked
from weights.directory import layout_bytes, layout_of, weights_file
from weights.nf4.directory import original_directory
from weights.peft.card import CARD_FILE, quantization_card
from weights.peft.layers import LoraLayer, from_peft, linear_of, peft_modules, to_peft
from weights.peft.patterns import name_exceptions, name_layers
from weights.peft.reading import PeftAdapter, peft_tensors, read_peft
from weights.peft.settings import ADAPTER_CONFIG
from weights.peft.token_rows import peft_token_rows, token_rows
from weights.tokenizer_file import copy_tokenizer

PEFT_KIND = "PEFT adapter"
IMPORTED_KIND = "imported adapter"


@dataclass(frozen=True)
class ConvertedAdapter:
    """What was written: so many adapted linear layers, of this rank at most.

    `unusual` names the first thing about it that PEFT reads and vLLM does not, if there is one.
    """

    directory: Path
    config: ModelConfig
    layers: int
    largest_rank: int
    bytes: int
    dtypes: tuple[str, ...]
    unusual: str | None


def export_adapter(source: Path | str, target: Path | str) -> ConvertedAdapter:
    """Write a LoRA checkpoint as PEFT's `adapter_config.json` and `adapter_model.safetensors`."""
    target = Path(target).expanduser()
    check_own_directory(target, PEFT_KIND)
    adapter = read_adapter(source)
    config = adapter.params
    if config is None:
        raise FileNotFoundError(
            f"{adapter.directory / PARAMS_FILE} is missing; copy it there from the base that the "
            "adapter was trained on"
        )
    adapter.check(config, adapter.directory)
    layers = to_peft(config, adapter.lora, adapter.state)
    tensors: dict[str, Tensor] = {}
    for module, layer in layers.items():
        tensors |= peft_tensors(module, layer)
    tensors |= token_rows(config, adapter.state)
    require_space(target, layout_bytes(layout_of(tensors)))
    with new_directory(target, PEFT_KIND) as partial:
        settings = _peft_settings(config, adapter.lora, layers)
        if base := base_directory(adapter.directory):
            settings["base_model_name_or_path"] = str(original_directory(base))
        write_json(partial / ADAPTER_CONFIG, settings)
        copy_base_record(partial, adapter.directory)
        if adapter.quantization in NF4_KINDS:
            (partial / CARD_FILE).write_text(quantization_card(adapter.quantization))
        copy_tokenizer(adapter.directory, partial)
        copy_chat_record(partial, adapter.file.parent, adapter.directory)
        write_checked({partial / PEFT_FILE: layout_of(tensors)}, tensors.items)
    return _converted(target, config, layers, tensors, adapter.lora)


def import_adapter(
    source: Path | str, base: Path | str, target: Path | str, quantization: str | None = None
) -> ConvertedAdapter:
    """Write an adapter of PEFT as a LoRA checkpoint of a native base.

    `quantization` is how the base was stored while it was trained; None takes what our own export
    says, which other adapters do not.
    What cannot be represented is refused by name, before anything is written.
    """
    target = Path(target).expanduser()
    check_own_directory(target, IMPORTED_KIND)
    if quantization not in (None, *NF4_KINDS):
        wanted = ", ".join(NF4_KINDS)
        raise ValueError(f"--quantization is {quantization!r}, wanted one of {wanted}")
    base_dir = weights_file(base).parent
    config = ModelConfig.read(base_dir)
    found = read_peft(source, config, weights_file(base))
    layers = from_peft(config, found.layers, found.settings.rslora)
    lora = _lora_config(config, found, layers)
    tensors = dict(found.token_rows)
    for linear, layer in layers.items():
        tensors |= {f"{linear}.lora_a": layer.a, f"{linear}.lora_b": layer.b}
        tensors |= {f"{linear}.{name}": own for name, own in layer.vectors.items()}
    sha256, stored = base_sha256(found.directory), base_quantization(found.directory)
    Adapter(found.file, found.directory, lora, config, tensors, sha256).check(config, base_dir)
    require_space(target, layout_bytes(layout_of(tensors)))
    with new_directory(target, IMPORTED_KIND) as partial:
        lora.write(partial)
        copy_verified(params_file(base_dir), partial / PARAMS_FILE)
        write_base_record(partial, base_dir, quantization or stored)
        copy_tokenizer(base_dir, partial)
        copy_chat_record(partial, found.directory)
        write_checked({partial / ADAPTER_FILE: layout_of(tensors)}, tensors.items)
    return _converted(target, config, layers, tensors, lora)


def _peft_settings(
    config: ModelConfig, lora: LoraConfig, layers: Mapping[str, LoraLayer]
) -> dict[str, Any]:
    """Return the object of `adapter_config.json`, with keys that PEFT has had for long."""
    largest = max(layers.values(), key=lambda layer: layer.rank)
    ranks = {module: layer.rank for module, layer in layers.items()}
    alphas = {module: _written(layer.alpha) for module, layer in layers.items()}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": largest.rank,
        "lora_alpha": _written(largest.alpha),
        "lora_dropout": lora.dropout,
        "use_rslora": lora.rslora,
        "target_modules": name_layers(layers, peft_modules(config)),
        "rank_pattern": name_exceptions(ranks, largest.rank),
        "alpha_pattern": name_exceptions(alphas, _written(largest.alpha)),
        "bias": "lora_only" if lora.biases else "none",
        **({"use_dora": True} if lora.dora else {}),
        **peft_token_rows(config, lora.token_rows),
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
    }


def _lora_config(
    config: ModelConfig, found: PeftAdapter, layers: Mapping[str, LoraLayer]
) -> LoraConfig:
    """Return the configuration that gives every layer its rank and alpha, the commonest first."""
    rank = Counter(layer.rank for layer in layers.values()).most_common(1)[0][0]
    alpha = Counter(layer.alpha for layer in layers.values()).most_common(1)[0][0]
    ranks = {linear: layer.rank for linear, layer in layers.items()}
    alphas = {linear: layer.alpha for linear, layer in layers.items()}
    linears = [linear_of(row) for rows in peft_modules(config).values() for row in rows]
    return LoraConfig(
        rank=rank,
        alpha=alpha,
        dropout=found.settings.dropout,
        targets=tuple(name_layers(layers, linears)),
        rslora=found.settings.rslora,
        ranks=tuple(name_exceptions(ranks, rank).items()),
        alphas=tuple(name_exceptions(alphas, alpha).items()),
        dora=found.settings.dora,
        biases=any("lora_bias" in layer.vectors for layer in layers.values()),
        token_rows=found.token_ids,
    )


def _written(alpha: float) -> float:
    """Return an alpha as PEFT's files have it: a whole number without a point."""
    return int(alpha) if alpha == int(alpha) else alpha


def _converted(
    target: Path,
    config: ModelConfig,
    layers: Mapping[str, LoraLayer],
    tensors: Mapping[str, Tensor],
    lora: LoraConfig,
) -> ConvertedAdapter:
    layout = layout_of(tensors)
    return ConvertedAdapter(
        target,
        config,
        len(layers),
        max(layer.rank for layer in layers.values()),
        layout_bytes(layout),
        dtypes_of(layout),
        _unusual(lora, layers),
    )


def _unusual(lora: LoraConfig, layers: Mapping[str, LoraLayer]) -> str | None:
    """Return what vLLM does not read; source: `PEFTHelper` of vLLM."""
    scales = [layer.scale(lora.rslora) for layer in layers.values()]
    found = {
        "layers of different scales": not math.isclose(min(scales), max(scales), rel_tol=1e-9),
        "magnitudes (DoRA)": lora.dora,
        "trained biases": lora.biases,
        "trained rows of tokens": bool(lora.token_rows),
    }
    return next((name for name, is_so in found.items() if is_so), None)
