"""The sizes and constants of a model, read once from `params.json` into explicit numbers.

Meta writes the hidden size as a rule (`multiple_of`, `ffn_dim_multiplier`); a native directory
keeps those keys and adds the explicit ones, so that nothing after this file derives a size.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARAMS_FILE = "params.json"


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3.1's stretch of the rotary frequencies.

    Source: `apply_scaling` of Meta's llama-models (factor 8) and the `rope_scaling` of the
    published Hugging Face configurations (factor 8 for 3.1 and 3.3, 32 for 3.2).
    """

    factor: float = 8.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_length: int = 8192


@dataclass(frozen=True)
class ModelConfig:
    """Everything that changes the shapes or the mathematics of a model."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    vocab_size: int
    norm_eps: float = 1e-5
    rope_theta: float = 500000.0
    rope_scaling: RopeScaling | None = None
    tied_embeddings: bool = False

    def __post_init__(self) -> None:
        for name in ("dim", "n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden_dim"):
            _check_whole_number(name, getattr(self, name))
        if self.vocab_size == -1:
            raise ValueError(
                "vocab_size is -1; Meta's loaders fill it in from the tokenizer, and python "
                "scripts/convert_from_meta_weights.py from the embedding's shape"
            )
        _check_whole_number("vocab_size", self.vocab_size)
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; rotary pairs need an even number")

    @staticmethod
    def from_params(params: Mapping[str, Any], origin: str = PARAMS_FILE) -> "ModelConfig":
        """Read the object of a `params.json`, Meta's or native; ValueError names what is wrong."""
        for key in ("dim", "n_layers", "n_heads", "vocab_size"):
            if key not in params:
                raise ValueError(f"{origin} has no {key!r}; found {', '.join(sorted(params))}")
        try:
            return _config(params)
        except ValueError as error:
            raise ValueError(f"{origin}: {error}") from None

    @staticmethod
    def read(path: Path | str) -> "ModelConfig":
        """Read a `params.json`, named itself or by its directory."""
        return ModelConfig.from_params(read_params(path), str(params_file(path)))


def read_params(path: Path | str) -> dict[str, Any]:
    """Return the JSON object of a `params.json`, named itself or by its directory."""
    path = params_file(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; a model directory needs it beside its weights "
            "(python scripts/convert_from_meta_weights.py makes one)"
        )
    try:
        params = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(params, dict):
        raise ValueError(f"{path} must hold an object, found {type(params).__name__}")
    return params


def params_file(path: Path | str) -> Path:
    """Return the `params.json` that is named itself or by its directory."""
    path = Path(path).expanduser()
    return path if path.is_file() or path.suffix == ".json" else path / PARAMS_FILE


def hidden_dim_by_rule(dim: int, multiple_of: int, ffn_dim_multiplier: float | None) -> int:
    """Return Meta's feed-forward size: two thirds of 4 dim, scaled, rounded up to a multiple.

    Source: `FeedForward` of Meta's llama3 reference.
    """
    hidden = int(8 * dim / 3)
    if ffn_dim_multiplier is not None:
        hidden = int(ffn_dim_multiplier * hidden)
    return multiple_of * -(-hidden // multiple_of)


def _config(params: Mapping[str, Any]) -> ModelConfig:
    dim, n_heads = _whole(params, "dim"), _whole(params, "n_heads")
    if params.get("head_dim") is None and dim % n_heads:
        raise ValueError(f"dim {dim} is not a multiple of n_heads {n_heads}")
    by_rule = hidden_dim_by_rule(
        dim, _whole(params, "multiple_of", 256), _number(params, "ffn_dim_multiplier", None)
    )
    tied = bool(params.get("tied_embeddings", False))
    return ModelConfig(
        dim=dim,
        n_layers=_whole(params, "n_layers"),
        n_heads=n_heads,
        n_kv_heads=_whole(params, "n_kv_heads", n_heads),
        head_dim=_whole(params, "head_dim", dim // n_heads),
        hidden_dim=_whole(params, "hidden_dim", by_rule),
        vocab_size=params["vocab_size"],
        norm_eps=_number(params, "norm_eps", 1e-5),
        rope_theta=_number(params, "rope_theta", 500000.0),
        rope_scaling=_rope_scaling(params, tied),
        tied_embeddings=tied,
    )


def _rope_scaling(params: Mapping[str, Any], tied: bool) -> RopeScaling | None:
    """Meta's files say only `use_scaled_rope`; the factor of 3.2 (tied) differs, see DECISIONS."""
    if not params.get("use_scaled_rope", False):
        return None
    return RopeScaling(factor=_number(params, "rope_scaling_factor", 32.0 if tied else 8.0))


def _whole(params: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Return a positive whole number; Meta writes null where the default is meant."""
    value: Any = default if params.get(key) is None else params[key]
    _check_whole_number(key, value)
    return value


def _check_whole_number(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is {value!r}, wanted a positive whole number")


def _number(params: Mapping[str, Any], key: str, default: float | None) -> Any:
    value = params.get(key)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{key} is {value!r}, wanted a positive number")
    return float(value)
