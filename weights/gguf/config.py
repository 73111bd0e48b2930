"""The metadata of a GGUF file read to native params.

Keys are those of ggml's description of the format; llama.cpp's converters say what they hold.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from model.config import ModelConfig, RopeScaling
from model.rope import inverse_frequencies
from weights.gguf.reading import GgufFile
from weights.hugging_face.config import params_from_config

# Of Mistral, too: llama.cpp tells the two by nothing but their names.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "phi3")
# The tensors that hold no weights but factors of the rotary frequencies.
LLAMA3_FACTORS = "rope_freqs.weight"
SHORT_FACTORS, LONG_FACTORS = "rope_factors_short.weight", "rope_factors_long.weight"

_EMBEDDING, _OUTPUT = "token_embd.weight", "output.weight"
# Hugging Face's name of a size by its key here.
_SIZES = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "feed_forward_length": "intermediate_size",
}
_READ = {
    *_SIZES,
    "vocab_size",
    "context_length",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.causal",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
}
# These change nothing that is computed here.
_NOT_READ = {"rope.scaling.finetuned", "tensor_data_layout", "attention.layer_norm_epsilon"}


def params_from_metadata(file: GgufFile) -> dict[str, Any]:
    """Return the native params of a GGUF file; ValueError, beginning with its path, otherwise.

    It is refused when no family here can compute it: another architecture, experts, keys that are
    not known, rope scalings of other kinds.
    """
    own = _own_keys(file)
    try:
        _check_mathematics(own, file.metadata["general.architecture"])
        config = _hugging_face_config(file, own)
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from None
    params = params_from_config(config, str(file.path))
    if LLAMA3_FACTORS in file.tensors:
        params = _with_llama3_scaling(file, config, params)
    return _with_attention_factor(file, own, params)


def _own_keys(file: GgufFile) -> dict[str, Any]:
    """Return the metadata under the architecture's own name, without that name."""
    kind = file.metadata.get("general.type", "model")
    if kind != "model":
        raise ValueError(f"{file.path} holds a GGUF of type {kind!r}, wanted a whole model")
    architecture = file.metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"{file.path}: general.architecture is {architecture!r}; known are "
            f"{', '.join(ARCHITECTURES)} (Mistral's is llama)"
        )
    start = f"{architecture}."
    return {
        key.removeprefix(start): value
        for key, value in file.metadata.items()
        if key.startswith(start)
    }


def _check_mathematics(own: Mapping[str, Any], architecture: str) -> None:
    for key, value in own.items():
        if value and value != "none" and key not in _READ | _NOT_READ:
            raise ValueError(
                f"{architecture}.{key} is {str(value)[:40]}, which may change the mathematics; no "
                "family here has it"
            )
    if not own.get("attention.causal", True):
        raise ValueError(f"{architecture}.attention.causal is False; wanted a model that generates")


def _hugging_face_config(file: GgufFile, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Hugging Face's `config.json` would say, but for the stretch of Llama 3.1."""
    for key in (*_SIZES, "attention.layer_norm_rms_epsilon"):
        if not isinstance(own.get(key), int | float):
            raise ValueError(f"{key} is {str(own.get(key))[:40]}, wanted a number")
    if _EMBEDDING not in file.tensors:
        raise ValueError(f"the file has no {_EMBEDDING}; is it a vocabulary alone?")
    sizes = {theirs: own[ours] for ours, theirs in _SIZES.items()}
    head_dim = own.get("attention.key_length") or _head_dim(own)
    return {
        **sizes,
        "model_type": _model_type(file, own),
        "num_key_value_heads": own.get("attention.head_count_kv") or own["attention.head_count"],
        "head_dim": head_dim,
        "vocab_size": file.tensors[_EMBEDDING].shape[0],
        "rms_norm_eps": _decimal(own["attention.layer_norm_rms_epsilon"]),
        "rope_theta": _decimal(own.get("rope.freq_base")) or 10000.0,
        "tie_word_embeddings": _OUTPUT not in file.tensors,
        "max_position_embeddings": own.get("context_length"),
        "sliding_window": own.get("attention.sliding_window") or None,
        "partial_rotary_factor": _rotary_share(file, own, head_dim),
        "original_max_position_embeddings": own.get("rope.scaling.original_context_length"),
        "rope_scaling": _rope_scaling(file, own),
    }


def _model_type(file: GgufFile, own: Mapping[str, Any]) -> str:
    """Return Hugging Face's name of the family; a window, or its name, tells a Mistral.

    A model of either kind computes the same where there is no window.
    """
    architecture = file.metadata["general.architecture"]
    window = own.get("attention.sliding_window")
    if architecture == "llama":
        keys = ("general.name", "general.basename", "general.base_model.0.name")
        names = " ".join(str(file.metadata.get(key, "")) for key in keys).lower()
        named = "mistral" in names and LLAMA3_FACTORS not in file.tensors
        return "mistral" if window or named else "llama"
    if window and architecture.startswith("qwen"):
        raise ValueError(
            f"{architecture}.attention.sliding_window is {window}, and the file does not say in "
            "which layers; take the model's Hugging Face directory"
        )
    return architecture


def _head_dim(own: Mapping[str, Any]) -> int:
    width, heads = own["embedding_length"], own["attention.head_count"]
    if width % heads:
        raise ValueError(f"embedding_length {width} is not a multiple of head_count {heads}")
    return width // heads


def _rotary_share(file: GgufFile, own: Mapping[str, Any], head_dim: int) -> float:
    values = own.get("attention.value_length", head_dim)
    if values != head_dim:
        raise ValueError(
            f"attention.value_length is {values}, and keys have {head_dim}; wanted the same"
        )
    rotary = own.get("rope.dimension_count") or head_dim
    # Rows of this architecture are in Meta's order over the whole head.
    if rotary != head_dim and file.metadata["general.architecture"] == "llama":
        raise ValueError(f"llama.rope.dimension_count is {rotary}, wanted the head's {head_dim}")
    return rotary / head_dim


def _rope_scaling(file: GgufFile, own: Mapping[str, Any]) -> dict[str, Any] | None:
    has = [name in file.tensors for name in (SHORT_FACTORS, LONG_FACTORS)]
    if any(has):
        if not all(has) or not own.get("rope.scaling.original_context_length"):
            raise ValueError(
                f"long RoPE wants {SHORT_FACTORS}, {LONG_FACTORS} and "
                "rope.scaling.original_context_length, and not all are there"
            )
        if own.get("rope.scaling.factor", 1.0) not in (0.0, 1.0):
            raise ValueError("rope.scaling.factor is not 1 beside the factors of long RoPE")
        return {
            "rope_type": "longrope",
            "short_factor": _factors(file, SHORT_FACTORS),
            "long_factor": _factors(file, LONG_FACTORS),
        }
    # llama.cpp takes a factor without a type as a linear one.
    factor = own.get("rope.scaling.factor") or 1.0
    kind = own.get("rope.scaling.type") or ("none" if factor == 1.0 else "linear")
    return None if kind == "none" else {"rope_type": kind}


def _with_llama3_scaling(
    file: GgufFile, config: Mapping[str, Any], params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the params with the scaling whose factors the file holds.

    They are written for each rotary pair; what they were computed of is not. Every Llama since 3.1
    has the same constants but for the largest factor, so that is read off and the others checked.
    """
    factors = torch.tensor(_factors(file, LLAMA3_FACTORS))
    if bool((factors == 1).all()):
        return dict(params)
    plain = ModelConfig.from_params({**params, "family": "llama"})
    scaling = RopeScaling(float(factors.max()))
    device = torch.device("cpu")
    stretched = inverse_frequencies(replace(plain, rope_scaling=scaling), device)
    expected = inverse_frequencies(plain, device) / stretched
    if factors.shape != expected.shape or not torch.allclose(factors, expected, rtol=1e-4):
        raise ValueError(
            f"{file.path}: {LLAMA3_FACTORS} does not hold the factors of Llama 3.1 nor 3.2; take "
            "the model's Hugging Face directory"
        )
    usual = {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_frequency_factor,
        "high_freq_factor": scaling.high_frequency_factor,
        "original_max_position_embeddings": scaling.original_length,
    }
    return params_from_config({**config, "rope_scaling": usual}, str(file.path))


def _with_attention_factor(
    file: GgufFile, own: Mapping[str, Any], params: dict[str, Any]
) -> dict[str, Any]:
    """Return the params with the file's scale of queries and keys where it is not the usual one.

    The file's is rounded to float32; the usual one is computed of the lengths.
    """
    stored = _decimal(own.get("rope.scaling.attn_factor"))
    usual = params.get("rope_attention_factor")
    if usual is None and stored not in (None, 1.0):
        raise ValueError(
            f"{file.path}: rope.scaling.attn_factor is {stored}, and only long RoPE has one"
        )
    if stored is None or usual is None or math.isclose(stored, usual, rel_tol=1e-6):
        return params
    return {**params, "rope_attention_factor": stored}


def _factors(file: GgufFile, name: str) -> list[float]:
    tensor = file.tensors[name]
    return [_decimal(value) for value in tensor.read(0, tensor.shape[0], torch.float32).tolist()]


def _decimal(value: float | None) -> Any:
    """Return the decimal that a float32 was written for: 1e-05, not 9.99999974e-06."""
    return None if value is None else float(str(np.float32(value)))
