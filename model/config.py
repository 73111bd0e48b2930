"""The sizes and constants of a model, read once from `params.json` into explicit numbers.

Meta writes the hidden size as a rule (`multiple_of`, `ffn_dim_multiplier`); a native directory
keeps those keys and adds the explicit ones, so that nothing after this file derives a size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeGuard

from model.params_keys import LONG_ROPE_KEYS, check_known
from storage.json_file import read_json_object

PARAMS_FILE = "params.json"
# Far above every model; a number beyond it would only take memory before its weights are missed.
MOST_LAYERS = 1000
# Beyond these no size and no constant is meant, and products of them would overflow.
MOST_WHOLE = 2**31 - 1
MOST_NUMBER = 1e30


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
class LongRope:
    """Phi's rotary frequencies: each pair's is divided by a factor, and the pairs are scaled.

    A sequence of more than `original_length` tokens takes the long factors, a shorter one the
    short ones; both have one factor a pair. `attention_factor` multiplies queries and keys.
    Source: `longrope` of Transformers' rotary embeddings.
    """

    short_factor: tuple[float, ...]
    long_factor: tuple[float, ...]
    original_length: int
    attention_factor: float


@dataclass(frozen=True)
class ModelConfig:
    """Everything that changes the shapes or the mathematics of a model.

    family: The row of `weights/families/` that names its tensors in other formats.
    rotary_dim: How many values of a head are rotated, the first ones; None is all.
    sliding_window: How many tokens one attends to, itself included; None is all before it.
    qkv_bias: Whether the projections to queries, keys and values have biases.
    qk_norm: Whether each head of queries and keys is normalised before it is rotated.
    """

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    vocab_size: int
    norm_eps: float = 1e-5
    rope_theta: float = 500000.0
    rope_scaling: RopeScaling | LongRope | None = None
    tied_embeddings: bool = False
    family: str = "llama"
    rotary_dim: int | None = None
    sliding_window: int | None = None
    qkv_bias: bool = False
    qk_norm: bool = False

    def __post_init__(self) -> None:
        for name in ("dim", "n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden_dim"):
            _check_whole_number(name, getattr(self, name))
        if self.n_layers > MOST_LAYERS:
            raise ValueError(f"n_layers is {self.n_layers}, wanted at most {MOST_LAYERS}")
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
        if self.rotary_dim is not None:
            _check_whole_number("rotary_dim", self.rotary_dim)
            if self.rotary_dim % 2 or self.rotary_dim > self.head_dim:
                raise ValueError(
                    f"rotary_dim is {self.rotary_dim}, wanted an even number up to head_dim "
                    f"{self.head_dim}"
                )
        if self.sliding_window is not None:
            _check_whole_number("sliding_window", self.sliding_window)
        if isinstance(self.rope_scaling, LongRope):
            _check_factors(self.rope_scaling, self.rotary_pairs)

    @property
    def rotary_pairs(self) -> int:
        """How many pairs of values of a head are rotated."""
        return (self.rotary_dim or self.head_dim) // 2

    @staticmethod
    def from_params(params: Mapping[str, Any], origin: str = PARAMS_FILE) -> "ModelConfig":
        """Read the object of a `params.json`, Meta's or native; ValueError names what is wrong."""
        for key in ("dim", "n_layers", "n_heads", "vocab_size"):
            if key not in params:
                raise ValueError(f"{origin} has no {key!r}; found {', '.join(sorted(params))}")
        try:
            check_known(params, {field.name for field in fields(ModelConfig)})
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
    return read_json_object(path)


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
    tied = _flag(params, "tied_embeddings")
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
        family=str(params.get("family") or "llama"),
        rotary_dim=params.get("rotary_dim"),
        sliding_window=params.get("sliding_window"),
        qkv_bias=_flag(params, "qkv_bias"),
        qk_norm=_flag(params, "qk_norm"),
    )


def _rope_scaling(params: Mapping[str, Any], tied: bool) -> RopeScaling | LongRope | None:
    """Meta's files say only `use_scaled_rope`; the factor differs for tied (docs/decisions)."""
    if any(params.get(key) is not None for key in LONG_ROPE_KEYS):
        return LongRope(
            short_factor=_numbers(params, "rope_short_factor"),
            long_factor=_numbers(params, "rope_long_factor"),
            original_length=_whole(params, "rope_original_length"),
            attention_factor=_number(params, "rope_attention_factor", 1.0),
        )
    if not _flag(params, "use_scaled_rope"):
        return None
    return RopeScaling(
        factor=_number(params, "rope_scaling_factor", 32.0 if tied else 8.0),
        low_frequency_factor=_number(params, "rope_low_frequency_factor", 1.0),
        high_frequency_factor=_number(params, "rope_high_frequency_factor", 4.0),
        original_length=_whole(params, "rope_original_length", 8192),
    )


def rope_params(scaling: RopeScaling | LongRope | None) -> dict[str, Any]:
    """Return the keys of a native `params.json` that say this scaling."""
    if scaling is None:
        return {}
    if isinstance(scaling, LongRope):
        return {
            "rope_short_factor": list(scaling.short_factor),
            "rope_long_factor": list(scaling.long_factor),
            "rope_original_length": scaling.original_length,
            "rope_attention_factor": scaling.attention_factor,
        }
    usual = RopeScaling(scaling.factor)
    params = {"use_scaled_rope": True, "rope_scaling_factor": scaling.factor}
    for name in ("low_frequency_factor", "high_frequency_factor", "original_length"):
        if getattr(scaling, name) != getattr(usual, name):
            params[f"rope_{name}"] = getattr(scaling, name)
    return params


def _check_factors(scaling: LongRope, pairs: int) -> None:
    for name in ("short_factor", "long_factor"):
        if len(getattr(scaling, name)) != pairs:
            raise ValueError(
                f"rope_{name} has {len(getattr(scaling, name))} numbers, wanted {pairs}, one for "
                "each rotary pair of a head"
            )


def _numbers(params: Mapping[str, Any], key: str) -> tuple[float, ...]:
    values = params.get(key)
    if not isinstance(values, list):
        raise ValueError(f"{key} is {str(values)[:40]}, wanted a list of numbers")
    return tuple(_number({key: value or -1}, key, None) for value in values)


def _flag(params: Mapping[str, Any], key: str) -> bool:
    value = params.get(key)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{key} is {value!r:.40}, wanted true or false")
    return bool(value)


def _whole(params: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Return a positive whole number; Meta writes null where the default is meant."""
    value: Any = default if params.get(key) is None else params[key]
    _check_whole_number(key, value)
    return value


def _check_whole_number(name: str, value: object) -> None:
    if not is_whole(value):
        raise ValueError(
            f"{name} is {value!r:.40}, wanted a positive whole number up to {MOST_WHOLE:,}"
        )


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number that a model's size can be."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_WHOLE


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number that a model's constant can be."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 < value <= MOST_NUMBER


def _number(params: Mapping[str, Any], key: str, default: float | None) -> Any:
    value = params.get(key)
    if value is None:
        return default
    if not is_number(value):
        raise ValueError(f"{key} is {value!r:.40}, wanted a positive number up to {MOST_NUMBER:g}")
    return float(value)
