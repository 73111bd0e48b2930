"""Hugging Face's `config.json` written from native params, in the layout of Transformers 4.

Version 5 reads it, too.
"""

import math
from collections.abc import Mapping
from typing import Any

from model.config import LongRope, ModelConfig, RopeScaling
from weights.families.known import family_of
from weights.hugging_face.config import SIZES, attention_factor


def config_from_params(
    params: Mapping[str, Any], dtype: str, tokens: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the `config.json` of native params, with the ids `tokens` of special tokens in it."""
    config = ModelConfig.from_params(params)
    family = family_of(config)
    longest = params.get("max_position_embeddings") or _longest(config)
    written: dict[str, Any] = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        **{theirs: getattr(config, ours) for theirs, ours in SIZES.items()},
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
    if family.window_is_switched:
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
    usual = attention_factor(longest / scaling.original_length, scaling.original_length)
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
