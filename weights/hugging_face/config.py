"""Hugging Face's `config.json` read to native params.

It may have the layout of Transformers 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.config import (
    MOST_NUMBER,
    MOST_WHOLE,
    LongRope,
    ModelConfig,
    RopeScaling,
    is_number,
    is_whole,
    rope_params,
)
from weights.families.family import Family
from weights.families.known import FAMILIES, family_of

CONFIG_FILE = "config.json"

# Native size by Hugging Face's name of it.
SIZES = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "vocab_size": "vocab_size",
}
# Parts of names that tell of mathematics which no family here has, where their value is not empty.
_FOREIGN = ("expert", "moe", "softcap", "multiplier", "logits_scaling", "logit_scale", "mup")
_BIASES = ("attention_bias", "mlp_bias", "bias", "use_bias", "qkv_bias")
# What a config.json means where it does not say it, unless its family's row has another value.
_DEFAULTS = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "partial_rotary_factor": 1.0}


def params_from_config(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the native params of a `config.json`; ValueError, beginning with `origin`, otherwise.

    It is refused when no family here can compute it: another architecture, experts, biases
    elsewhere than in Qwen2, a window in some layers only, other rope scalings, quantised weights.
    """
    try:
        family = _family(config)
        _check_mathematics(config)
        values = _Values({**_DEFAULTS, **family.defaults, **config})
        params = _sizes(values, family)
        params |= {"qkv_bias": True} if family.qkv_bias else {}
        params |= {"qk_norm": True} if family.qk_norm else {}
        params |= _window(values, family, params["n_layers"])
        params |= _rope(values, family, params["head_dim"])
        family_of(ModelConfig.from_params(params, CONFIG_FILE))
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None
    return params


@dataclass(frozen=True)
class _Values:
    """Values of an object by name, of the kind that is asked for; ValueError names another."""

    given: Mapping[str, Any]

    def whole(self, name: str, default: int | None = None) -> int:
        """Return a positive whole number; an absent one, or null, is the default."""
        value = self.given.get(name)
        if value is None and default is not None:
            return default
        if not is_whole(value):
            raise ValueError(
                f"{name} is {value!r:.40}, wanted a positive whole number up to {MOST_WHOLE:,}"
            )
        return value

    def number(self, name: str) -> float:
        """Return a positive number."""
        value = self.given.get(name)
        if not is_number(value):
            raise ValueError(
                f"{name} is {value!r:.40}, wanted a positive number up to {MOST_NUMBER:g}"
            )
        return float(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return a list of positive numbers."""
        value = self.given.get(name)
        if not isinstance(value, list):
            raise ValueError(f"{name} is {str(value)[:40]!r}, wanted a list of numbers")
        return tuple(_Values({name: item}).number(name) for item in value)

    def flag(self, name: str) -> bool:
        """Return true or false; an absent one is false."""
        value = self.given.get(name, False)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {str(value)[:40]!r}, wanted true or false")
        return value


def _family(config: Mapping[str, Any]) -> Family:
    model_type, architectures = config.get("model_type"), config.get("architectures") or []
    for family in FAMILIES.values():
        if family.model_type == model_type and architectures in ([], [family.architecture]):
            return family
    known = ", ".join(family.architecture for family in FAMILIES.values())
    names = architectures if isinstance(architectures, list) else [architectures]
    found = ", ".join(map(str, names))[:80] or "no architecture"
    raise ValueError(f"model_type is {str(model_type)[:40]!r} ({found}); known are {known}")


def _check_mathematics(config: Mapping[str, Any]) -> None:
    if quantised := config.get("quantization_config"):
        kind = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise ValueError(
            f"the weights are quantised ({str(kind)[:40]}); fetch the repository of the whole "
            "ones, in bfloat16, float16 or float32"
        )
    if config.get("hidden_act", "silu") != "silu":
        raise ValueError(f"hidden_act is {str(config['hidden_act'])[:40]!r}, wanted 'silu'")
    for name, value in config.items():
        if value and (name in _BIASES or any(part in name for part in _FOREIGN)):
            raise ValueError(
                f"{name} is {str(value)[:40]}, which changes the mathematics; no family here has it"
            )


def _sizes(config: _Values, family: Family) -> dict[str, Any]:
    params: dict[str, Any] = {ours: config.whole(theirs) for theirs, ours in SIZES.items()}
    heads = params["n_heads"]
    params["n_kv_heads"] = config.whole("num_key_value_heads", heads)
    params["head_dim"] = config.whole("head_dim", max(1, params["dim"] // heads))
    params |= {
        "family": family.name,
        "norm_eps": config.number("rms_norm_eps"),
        "tied_embeddings": config.flag("tie_word_embeddings"),
    }
    if config.given.get("max_position_embeddings") is not None:
        params["max_position_embeddings"] = config.whole("max_position_embeddings")
    return params


def _window(config: _Values, family: Family, layers: int) -> dict[str, Any]:
    """Return the window of all layers, or nothing; ValueError where only some have one."""
    sliding = _sliding_layers(config, layers)
    if not family.window_is_switched:
        has_window = family.window and config.given.get("sliding_window") is not None
    elif not config.flag("use_sliding_window"):
        has_window = False
    else:
        has_window = _has_late_layers(config, layers) if sliding is None else sliding
    if sliding is not None and sliding != has_window:
        raise ValueError(
            f"layer_types says that the layers have {'a' if sliding else 'no'} window, and the "
            "other settings contradict it"
        )
    return {"sliding_window": config.whole("sliding_window")} if has_window else {}


def _sliding_layers(config: _Values, layers: int) -> bool | None:
    """Return whether all layers are said to have a window, or none; None where it is not said."""
    kinds = config.given.get("layer_types")
    if kinds is None:
        return None
    if not isinstance(kinds, list) or len(kinds) != layers:
        raise ValueError(f"layer_types is {str(kinds)[:40]}, wanted one kind for each layer")
    named = sorted({str(kind) for kind in kinds})
    if named not in (["full_attention"], ["sliding_attention"]):
        raise ValueError(
            f"layer_types has {', '.join(named[:2])}; wanted full_attention in all layers, or "
            "sliding_attention in all"
        )
    return named == ["sliding_attention"]


def _has_late_layers(config: _Values, layers: int) -> bool:
    """Return whether there are layers from the first that has a window; ValueError for a few."""
    first = config.given.get("max_window_layers")
    if not isinstance(first, int) or 0 < first < layers:
        raise ValueError(
            f"max_window_layers is {str(first)[:40]} of {layers}: a window in some of the layers "
            "is not supported"
        )
    return first < layers


def _rope(config: _Values, family: Family, head_dim: int) -> dict[str, Any]:
    layouts = [config.given.get(name) for name in ("rope_parameters", "rope_scaling")]
    for layout in layouts:
        if layout is not None and not isinstance(layout, dict):
            raise ValueError(f"rope_scaling is {str(layout)[:40]}, wanted an object")
    given = [layout for layout in layouts if layout]
    found = given[0] if given else {}
    if len(given) == 2 and given[0] != given[1]:
        raise ValueError("rope_parameters and rope_scaling differ; keep the one that is meant")
    kind = found.get("rope_type", found.get("type", "default"))
    kind = "longrope" if kind == "su" else kind
    if kind not in family.rope_kinds:
        raise ValueError(
            f"the rope scaling is {str(kind)[:40]!r}; known for {family.architecture} are "
            f"{', '.join(family.rope_kinds)}"
        )
    # The values inside win over those beside, except that Phi's original length is beside.
    rope = _Values({**config.given, **found})
    params: dict[str, Any] = {"rope_theta": rope.number("rope_theta")}
    rotated = int(head_dim * rope.number("partial_rotary_factor"))
    if rotated != head_dim:
        params["rotary_dim"] = rotated
    if kind == "llama3":
        params |= rope_params(_llama3(rope))
    if kind == "longrope":
        params |= rope_params(_long_rope(config, rope))
    return params


def _llama3(rope: _Values) -> RopeScaling:
    return RopeScaling(
        rope.number("factor"),
        rope.number("low_freq_factor"),
        rope.number("high_freq_factor"),
        rope.whole("original_max_position_embeddings"),
    )


def _long_rope(config: _Values, rope: _Values) -> LongRope:
    # Transformers takes the one beside the scaling.
    key = "original_max_position_embeddings"
    original = config.whole(key)
    inside = rope.whole(key, original)
    if original < 2 or inside != original:
        raise ValueError(
            f"{key} is {original}, and {inside} in the rope scaling; wanted one length"
        )
    if rope.given.get("factor") is None:
        factor = rope.whole("max_position_embeddings") / original
    else:
        factor = rope.number("factor")
    return LongRope(
        rope.numbers("short_factor"),
        rope.numbers("long_factor"),
        original,
        attention_factor(factor, original)
        if rope.given.get("attention_factor") is None
        else rope.number("attention_factor"),
    )


def attention_factor(factor: float, original_length: int) -> float:
    """Return by how much long RoPE scales queries and keys of models made `factor` times as long.

    Source: `longrope` of Transformers.
    """
    return math.sqrt(1 + math.log(factor) / math.log(original_length)) if factor > 1 else 1.0
