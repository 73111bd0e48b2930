"""Hugging Face's `config.json` read to native params, and written of them.

Read are the layouts of Transformers 4 (`rope_theta`, `rope_scaling`) and 5 (`rope_parameters`);
written is that of 4, which both read.
"""

import math
from collections.abc import Mapping
from typing import Any

from model.config import LongRope, ModelConfig, RopeScaling, rope_params
from weights.families.family import Family
from weights.families.known import FAMILIES

CONFIG_FILE = "config.json"

# Native size by Hugging Face's name of it.
_SIZES = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "vocab_size": "vocab_size",
}
# Parts of names that tell of mathematics which no family here has, where their value is not empty.
_FOREIGN = ("expert", "moe", "softcap", "multiplier", "logits_scaling", "logit_scale", "mup")
_BIASES = ("attention_bias", "mlp_bias", "bias", "use_bias", "qkv_bias")
# Where a config.json does not say it; the values of Transformers' configuration classes.
_MISTRAL_WINDOW = 4096
_ROPE_THETA = 10000.0
_NORM_EPS = {"phi3": 1e-5}
_HEAD_DIM = {"qwen3": 128}


def params_from_config(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the native params of a `config.json`; ValueError, beginning with `origin`, otherwise.

    Refused is what no family here can compute: another architecture, experts, biases elsewhere
    than in Qwen2, a window in some layers only, rope scalings of other kinds, quantised weights.
    """
    try:
        family = _family(config)
        _check_mathematics(config)
        params = _sizes(config, family)
        params |= {"qkv_bias": True} if family.qkv_bias else {}
        params |= {"qk_norm": True} if family.qk_norm else {}
        params |= _window(config, family) | _rope(config, family, params["head_dim"])
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None
    ModelConfig.from_params(params, origin)
    return params


def config_from_params(
    params: Mapping[str, Any], dtype: str, tokens: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the `config.json` of native params, with the ids `tokens` of special tokens in it."""
    config = ModelConfig.from_params(params)
    family = FAMILIES[config.family]
    longest = params.get("max_position_embeddings") or _longest(config)
    written: dict[str, Any] = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        **{theirs: getattr(config, ours) for theirs, ours in _SIZES.items()},
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": _rope_scaling(config.rope_scaling, longest),
        "max_position_embeddings": longest,
        "tie_word_embeddings": config.tied_embeddings,
        "torch_dtype": dtype,
        "use_cache": True,
        **tokens,
    }
    if family.window:
        written["sliding_window"] = config.sliding_window
    if family.window and family.model_type.startswith("qwen"):
        has_window = config.sliding_window is not None
        written |= {
            "use_sliding_window": has_window,
            "max_window_layers": 0 if has_window else config.n_layers,
        }
    if isinstance(config.rope_scaling, LongRope):
        written["original_max_position_embeddings"] = config.rope_scaling.original_length
    if config.rotary_dim is not None:
        written["partial_rotary_factor"] = config.rotary_dim / config.head_dim
    return written


def _family(config: Mapping[str, Any]) -> Family:
    model_type, architectures = config.get("model_type"), config.get("architectures") or []
    for family in FAMILIES.values():
        if family.model_type == model_type and architectures in ([], [family.architecture]):
            return family
    known = ", ".join(family.architecture for family in FAMILIES.values())
    found = ", ".join(map(str, architectures)) or "no architecture"
    raise ValueError(f"model_type is {model_type!r} ({found}); known are {known}")


def _check_mathematics(config: Mapping[str, Any]) -> None:
    if config.get("quantization_config"):
        kind = dict(config["quantization_config"]).get("quant_method", "unknown")
        raise ValueError(
            f"the weights are quantised ({kind}); fetch the repository of the whole ones, in "
            "bfloat16, float16 or float32"
        )
    if config.get("hidden_act", "silu") != "silu":
        raise ValueError(f"hidden_act is {config['hidden_act']!r}, wanted 'silu'")
    for name, value in config.items():
        if value and (name in _BIASES or any(part in name for part in _FOREIGN)):
            raise ValueError(
                f"{name} is {str(value)[:40]}, which changes the mathematics; no family here has it"
            )


def _sizes(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    if missing := [name for name in _SIZES if not isinstance(config.get(name), int)]:
        raise ValueError(f"{missing[0]} is {config.get(missing[0])!r}, wanted a whole number")
    params = {ours: config[theirs] for theirs, ours in _SIZES.items()}
    heads = params["n_heads"]
    params["n_kv_heads"] = config.get("num_key_value_heads") or heads
    default_head = _HEAD_DIM.get(family.name) or params["dim"] // heads
    params["head_dim"] = config.get("head_dim") or default_head
    return params | {
        "family": family.name,
        "norm_eps": config.get("rms_norm_eps", _NORM_EPS.get(family.name, 1e-6)),
        "tied_embeddings": bool(config.get("tie_word_embeddings", False)),
        "max_position_embeddings": config.get("max_position_embeddings"),
    }


def _window(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    if not family.window:
        return {}
    layers = config.get("num_hidden_layers", 0)
    window = config.get("sliding_window", _MISTRAL_WINDOW if family.name == "mistral" else None)
    if family.name.startswith("qwen"):
        first = config.get("max_window_layers", layers)
        if not config.get("use_sliding_window", False) or first >= layers:
            return {}
        if first > 0:
            raise ValueError(
                f"max_window_layers is {first} of {layers}: a window in some of the layers is not "
                "supported"
            )
    return {} if window is None else {"sliding_window": window}


def _rope(config: Mapping[str, Any], family: Family, head_dim: int) -> dict[str, Any]:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise ValueError(f"rope_scaling is {str(rope)[:40]}, wanted an object")
    kind = rope.get("rope_type", rope.get("type", "default"))
    kind = "longrope" if kind == "su" else kind
    if kind not in family.rope_kinds:
        raise ValueError(
            f"the rope scaling is {kind!r}; known for {family.architecture} are "
            f"{', '.join(family.rope_kinds)}"
        )
    params = {"rope_theta": rope.get("rope_theta", config.get("rope_theta", _ROPE_THETA))}
    share = rope.get("partial_rotary_factor", config.get("partial_rotary_factor")) or 1.0
    if int(head_dim * share) != head_dim:
        params["rotary_dim"] = int(head_dim * share)
    if kind == "default":
        return params
    try:
        scaling = _long_rope(config, rope) if kind == "longrope" else _llama3(rope)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"the rope scaling {kind!r} is not whole: {error!r}") from None
    return params | rope_params(scaling)


def _llama3(rope: Mapping[str, Any]) -> RopeScaling:
    return RopeScaling(
        float(rope["factor"]),
        float(rope["low_freq_factor"]),
        float(rope["high_freq_factor"]),
        int(rope["original_max_position_embeddings"]),
    )


def _long_rope(config: Mapping[str, Any], rope: Mapping[str, Any]) -> LongRope:
    key = "original_max_position_embeddings"
    original = int(config.get(key) or rope[key])
    factor = rope.get("factor") or config["max_position_embeddings"] / original
    given = rope.get("attention_factor")
    return LongRope(
        tuple(map(float, rope["short_factor"])),
        tuple(map(float, rope["long_factor"])),
        original,
        float(_attention_factor(factor, original) if given is None else given),
    )


def _attention_factor(factor: float, original_length: int) -> float:
    """Source: `longrope` of Transformers; the text it was trained on is `factor` times as long."""
    return math.sqrt(1 + math.log(factor) / math.log(original_length)) if factor > 1 else 1.0


def _rope_scaling(scaling: RopeScaling | LongRope | None, longest: int) -> dict[str, Any] | None:
    if scaling is None:
        return None
    if isinstance(scaling, RopeScaling):
        return {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_frequency_factor,
            "high_freq_factor": scaling.high_frequency_factor,
            "original_max_position_embeddings": scaling.original_length,
        }
    # Transformers 4.46 takes these three keys and no other.
    rope: dict[str, Any] = {
        "type": "longrope",
        "short_factor": list(scaling.short_factor),
        "long_factor": list(scaling.long_factor),
    }
    usual = _attention_factor(longest / scaling.original_length, scaling.original_length)
    if not math.isclose(scaling.attention_factor, usual, rel_tol=1e-12):
        rope["attention_factor"] = scaling.attention_factor
    return rope


def _longest(config: ModelConfig) -> int:
    """Return how long a sequence may be where params.json does not say: Meta's files do not."""
    if isinstance(config.rope_scaling, LongRope):
        return config.rope_scaling.original_length
    if config.rope_scaling is not None:
        return 131072
    return 8192 if config.rope_theta == 500000.0 else 4096
