"""What Meta's `params.json` leaves open, filled in, and written back the way Meta writes it."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from model.config import PARAMS_FILE, ModelConfig, RopeScaling, hidden_dim_by_rule
from weights.families.known import family_of
from weights.mistral import mistral_params

# Llama 1 and 2 came with a SentencePiece tokenizer and no `rope_theta`; their code fixed it here.
SENTENCEPIECE_ROPE_THETA = 10000.0
_MOST_DECIMALS = 17


def native_params(
    params: Mapping[str, Any],
    vocab_size: int,
    *,
    tied: bool,
    sentencepiece: bool,
    origin: str = PARAMS_FILE,
) -> dict[str, Any]:
    """Return Meta's keys as they are, plus every size and constant that `ModelConfig` reads.

    Only what Meta leaves open is filled in: an absent or null key, a `vocab_size` of -1.
    Raises ValueError, beginning with `origin`, for a value that no model can have.
    """
    filled = {key: value for key, value in params.items() if value is not None}
    filled |= {"vocab_size": vocab_size, "tied_embeddings": tied}
    if sentencepiece:
        filled.setdefault("rope_theta", SENTENCEPIECE_ROPE_THETA)
    config = ModelConfig.from_params(filled, origin)
    for key in ("n_kv_heads", "head_dim", "hidden_dim", "norm_eps", "rope_theta"):
        filled.setdefault(key, getattr(config, key))
    if isinstance(config.rope_scaling, RopeScaling):
        filled.setdefault("rope_scaling_factor", config.rope_scaling.factor)
    return filled


def meta_params(params: Mapping[str, Any], config: ModelConfig) -> dict[str, Any]:
    """Return the `params.json` of an export: Meta's or Mistral's keys only, all given, no nulls.

    Raises ValueError when Meta's keys cannot say what the model is.
    """
    family = family_of(config)
    if not family.in_meta_format:
        raise ValueError(
            f"Meta's format cannot hold {family.architecture}, which has other layers than Llama; "
            "write this model for its servers with python scripts/convert_to_hf_weights.py"
        )
    if family.name == "mistral":
        return dict(mistral_params(config))
    if config.head_dim * config.n_heads != config.dim:
        raise ValueError(
            f"head_dim is {config.head_dim}, and Meta's format takes dim / n_heads = {config.dim} "
            f"/ {config.n_heads}; this model cannot be written as Meta weights"
        )
    keys = ("dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size")
    exported: dict[str, Any] = {key: getattr(config, key) for key in keys}
    exported |= feed_forward_rule(params, config.dim, config.hidden_dim)
    exported |= {"norm_eps": config.norm_eps, "rope_theta": config.rope_theta}
    if config.rope_scaling:
        exported["use_scaled_rope"] = True
    _check_same_model(exported, config)
    return exported


def feed_forward_rule(params: Mapping[str, Any], dim: int, hidden_dim: int) -> dict[str, Any]:
    """Return the `multiple_of` and `ffn_dim_multiplier` from which Meta's rule gives `hidden_dim`.

    The pair in `params` is kept when it is there and right; otherwise one is solved for.
    """
    multiple = params.get("multiple_of")
    multiplier = params.get("ffn_dim_multiplier")
    if multiple and hidden_dim_by_rule(dim, multiple, multiplier) == hidden_dim:
        return _pair(multiple, multiplier)
    multiple = math.gcd(hidden_dim, 256)
    if hidden_dim_by_rule(dim, multiple, None) == hidden_dim:
        return _pair(multiple, None)
    # The rule cuts a fraction off before it rounds up, so the largest multiplier ends in a half.
    largest = (hidden_dim + 0.5) / int(8 * dim / 3)
    for decimals in range(1, _MOST_DECIMALS + 1):
        multiplier = math.floor(largest * 10**decimals) / 10**decimals
        if hidden_dim_by_rule(dim, multiple, multiplier) == hidden_dim:
            return _pair(multiple, multiplier)
    raise ValueError(
        f"hidden_dim is {hidden_dim}, and no multiple_of and ffn_dim_multiplier give it for dim "
        f"{dim}; this model cannot be written as Meta weights"
    )


def _pair(multiple: int, multiplier: float | None) -> dict[str, Any]:
    optional = {} if multiplier is None else {"ffn_dim_multiplier": multiplier}
    return {"multiple_of": multiple, **optional}


def _check_same_model(exported: Mapping[str, Any], config: ModelConfig) -> None:
    """Read the export as a reader would: it must be the same model (rope factors are implied)."""
    kept = {"tied_embeddings": config.tied_embeddings, "family": config.family}
    wanted, found = asdict(config), asdict(ModelConfig.from_params({**exported, **kept}))
    for key, value in wanted.items():
        if found[key] != value:
            raise ValueError(
                f"{key} is {value}, and from Meta's params.json a reader takes {found[key]}; "
                "this model cannot be written as Meta weights"
            )
