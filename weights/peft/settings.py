"""PEFT's `adapter_config.json`, read where a LoRA of this project can say all of it.

Source of the keys and of how they match: `LoraConfig`, `check_target_module_exists` and
`get_pattern_key` of PEFT 0.21.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.json_file import read_json_object

ADAPTER_CONFIG = "adapter_config.json"
# A pattern that repeats what repeats can take longer than anybody waits.
_SECONDS = 1

# What has no say in what a trained adapter computes.
_WITHOUT_EFFECT = (
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
)
_READ = (
    "peft_type",
    "task_type",
    "bias",
    "init_lora_weights",
    "r",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "exclude_modules",
    "trainable_token_indices",
    "layers_to_transform",
    "layers_pattern",
)
# "all" is of every layer; where one is not adapted its bias is left over, and refused.
_BIASES = ("none", "lora_only", "all")
_REASONS = {
    "lora_bias": "its B has a bias",
    "fan_in_fan_out": "it is for layers that hold their weights transposed",
    "modules_to_save": "these modules were trained whole, beside the adapter",
    "layer_replication": "it repeats layers of the base",
    "target_parameters": "it adapts parameters that are no linear layers",
}
# Those that leave the base as it was; the others, such as pissa and loftq, change it.
_INITIAL = (True, False, None, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class PeftSettings:
    """What an `adapter_config.json` says of a LoRA; names are those of Hugging Face.

    targets: Ends of names, or one regular expression.
    layers: The numbers of the layers it is restricted to; None is all.
    token_rows: The ids of tokens whose rows were trained themselves, by the last name of a layer.
    """

    rank: int
    alpha: float
    dropout: float
    rslora: bool
    targets: tuple[str, ...] | str
    excluded: tuple[str, ...] | str
    layers: tuple[int, ...] | None
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    dora: bool = False
    biases: bool = False
    token_rows: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def rank_of(self, module: str) -> int:
        """Return the rank that a module's A and B have."""
        return _first_match(self.rank_pattern, module, self.rank)

    def alpha_of(self, module: str) -> float:
        """Return a module's alpha."""
        return _first_match(self.alpha_pattern, module, self.alpha)

    def is_target(self, module: str) -> bool:
        """Whether a module, such as `model.layers.0.self_attn.q_proj`, is adapted."""
        if is_named(module, self.excluded):
            return False
        if isinstance(self.targets, str) or module in self.targets or self.layers is None:
            return is_named(module, self.targets)
        number = re.search(r"\.(\d+)\.", module)
        in_reach = number is not None and int(number[1]) in self.layers
        return in_reach and is_named(module, self.targets)


def is_named(module: str, names: tuple[str, ...] | str) -> bool:
    """Whether a module's name ends in one of `names`, or matches them where they are a pattern."""
    if names == "all-linear":
        return _in_block(module)
    if isinstance(names, str):
        return bool(names) and _matches(names, module)
    return any(module == name or module.endswith(f".{name}") for name in names)


def _in_block(module: str) -> bool:
    return module.startswith("model.layers.")


def read_settings(directory: Path) -> PeftSettings:
    """Read a directory's `adapter_config.json`; ValueError names what cannot be represented."""
    file = directory / ADAPTER_CONFIG
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing; wanted a directory that PEFT's save_pretrained wrote"
        )
    values = read_json_object(file)
    try:
        _check_plain(values)
        return _settings(values)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _check_plain(values: Mapping[str, Any]) -> None:
    """Raise ValueError unless this is a LoRA of frozen linear layers and nothing besides."""
    for name, wanted in (("peft_type", ("LORA",)), ("task_type", ("CAUSAL_LM", None))):
        if values.get(name) not in wanted:
            raise ValueError(f"{name} is {values.get(name)!r}, wanted {wanted[0]!r}")
    if values.get("bias", "none") not in _BIASES:
        raise ValueError(f"bias is {values['bias']!r}, wanted one of {', '.join(_BIASES)}")
    if values.get("init_lora_weights") not in _INITIAL:
        raise ValueError(
            f"init_lora_weights is {values['init_lora_weights']!r}, which may have changed the "
            "base it was trained on; let PEFT convert it (save_pretrained with "
            "path_initial_model_for_weight_conversion)"
        )
    for name, value in values.items():
        if value and name not in (*_READ, *_WITHOUT_EFFECT):
            reason = _REASONS.get(name, "it is not known here and may change what is computed")
            raise ValueError(f"{name} is {str(value)[:60]}, which cannot be represented: {reason}")


def _settings(values: Mapping[str, Any]) -> PeftSettings:
    if values.get("layers_pattern") not in (None, "", [], "layers", ["layers"]):
        raise ValueError(f"layers_pattern is {values['layers_pattern']!r}, wanted 'layers'")
    settings = PeftSettings(
        rank=values.get("r", 8),
        alpha=values.get("lora_alpha", 8),
        dropout=values.get("lora_dropout", 0.0),
        rslora=values.get("use_rslora", False),
        targets=_names(values, "target_modules"),
        excluded=_names(values, "exclude_modules"),
        layers=_numbers(values.get("layers_to_transform")),
        rank_pattern=_patterns(values, "rank_pattern"),
        alpha_pattern=_patterns(values, "alpha_pattern"),
        dora=values.get("use_dora") or False,
        biases=values.get("bias", "none") != "none",
        token_rows=_token_rows(values.get("trainable_token_indices")),
    )
    _check_numbers(settings)
    _check_expressions(settings)
    return settings


def _check_numbers(settings: PeftSettings) -> None:
    for name, rank in (("r", settings.rank), *settings.rank_pattern.items()):
        if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
            raise ValueError(f"the rank {name!r} is {rank!r}, wanted a positive whole number")
    for name, alpha in (("lora_alpha", settings.alpha), *settings.alpha_pattern.items()):
        is_number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
        if not (is_number and 0 < alpha <= sys.float_info.max):
            raise ValueError(
                f"the alpha {name!r} is {alpha!r:.60}, wanted a positive number below infinity"
            )
    if not isinstance(settings.dropout, int | float) or not 0 <= settings.dropout < 1:
        raise ValueError(f"lora_dropout is {settings.dropout!r}, wanted 0 or more and below 1")
    for name, switch in (("use_rslora", settings.rslora), ("use_dora", settings.dora)):
        if not isinstance(switch, bool):
            raise ValueError(f"{name} is {switch!r}, wanted true or false")


def _check_expressions(settings: PeftSettings) -> None:
    names = [names for names in (settings.targets, settings.excluded) if isinstance(names, str)]
    for expression in (*names, *settings.rank_pattern, *settings.alpha_pattern):
        try:
            re.compile(expression)
        except re.error as error:
            raise ValueError(f"the pattern {expression!r} cannot be read: {error}") from None


def _patterns(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key) or {}
    if not isinstance(found, dict):
        raise ValueError(f"{key} is {str(found)[:60]}, wanted an object")
    return found


def _names(values: Mapping[str, Any], key: str) -> tuple[str, ...] | str:
    found = values.get(key) or []
    if isinstance(found, str):
        return found
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{key} is {str(found)[:60]}, wanted a list of names")
    return tuple(found)


def _numbers(found: object) -> tuple[int, ...] | None:
    numbers = [found] if isinstance(found, int) else found or None
    if numbers is None:
        return None
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise ValueError(f"layers_to_transform is {str(found)[:60]}, wanted a list of numbers")
    return tuple(numbers)


def _token_rows(found: object) -> dict[str, tuple[int, ...]]:
    """Return the ids by layer; a list is of the embedding, and of a head that is tied to it."""
    by_layer: dict[str, Any] = {"embed_tokens": found} if found else {}
    if isinstance(found, dict):
        by_layer = found
    for ids in by_layer.values():
        if not isinstance(ids, list) or not all(type(number) is int for number in ids):
            raise ValueError(
                f"trainable_token_indices is {str(found)[:60]}, wanted ids of tokens, or an object "
                "with such lists"
            )
    return {name: tuple(ids) for name, ids in by_layer.items() if ids}


def _first_match(patterns: Mapping[str, Any], module: str, otherwise: Any) -> Any:
    """Return the value of the first pattern that matches the end of a module's name."""
    found = (value for key, value in patterns.items() if _matches(rf"(.*\.)?({key})", module))
    return next(found, otherwise)


def _matches(pattern: str, module: str) -> bool:
    """Whether a pattern that the file gives matches a whole name; ValueError after a second."""
    import regex

    try:
        return bool(regex.fullmatch(pattern, module, timeout=_SECONDS))
    except TimeoutError:
        raise ValueError(
            f"the pattern {pattern!r} takes too long on {module}; write names instead"
        ) from None
