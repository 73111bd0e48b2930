"""Which keys a `params.json` may have."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

LONG_ROPE_KEYS = ("rope_short_factor", "rope_long_factor", "rope_attention_factor")
# Keys of a params.json that are no field of ModelConfig: those that its fields are read from, and
# those that say something else (how long a sequence may be, what a loader or a chat needs).
KEYS_BESIDE = {
    "multiple_of",
    "ffn_dim_multiplier",
    "use_scaled_rope",
    "rope_scaling_factor",
    "rope_low_frequency_factor",
    "rope_high_frequency_factor",
    "rope_original_length",
    "rope_short_factor",
    "rope_long_factor",
    "rope_attention_factor",
    "max_position_embeddings",
    "max_seq_len",
    "max_batch_size",
    "chat_format",
    "model_type",
    "use_biases",
}


def check_known(params: Mapping[str, Any], fields: Collection[str]) -> None:
    """Refuse keys that are not known: what they mean for the mathematics cannot be seen."""
    known = {*fields, *KEYS_BESIDE}
    for key, value in params.items():
        if key not in known and value is not None:
            near = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(
                f"{key!r} ({str(value)[:40]}) is no key of a model known here{hint}, and it may "
                "change the mathematics; remove it if it does not"
            )
    if params.get("use_biases"):
        raise ValueError("use_biases is true; biases of Mistral models are not supported")
