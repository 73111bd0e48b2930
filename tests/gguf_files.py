"""GGUF files made on the spot by the gguf library's writer, as llama.cpp's converters make them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import TINY, random_model
from torch import Tensor

from model.config import LongRope, ModelConfig, RopeScaling
from model.rope import inverse_frequencies
from weights.hugging_face.names import to_hugging_face

# A bare GPU image has no such library, and the tests that run there need none.
gguf = pytest.importorskip("gguf")
Kind = gguf.GGMLQuantizationType

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

_LONG = {
    "original_length": 16,
    # 128 tokens are the text it was trained on; the rule is of Transformers' longrope.
    "attention_factor": math.sqrt(1 + math.log(8) / math.log(16)),
}
FAMILIES: dict[str, ModelConfig] = {
    "llama": TINY,
    "llama3_1": replace(TINY, rope_scaling=RopeScaling(factor=8.0)),
    "llama3_2": replace(TINY, rope_scaling=RopeScaling(factor=32.0), tied_embeddings=True),
    "mistral": replace(TINY, family="mistral", sliding_window=9, head_dim=24, rope_theta=1e6),
    "qwen2": replace(TINY, family="qwen2", qkv_bias=True, tied_embeddings=True),
    "qwen3": replace(TINY, family="qwen3", qk_norm=True, head_dim=32, norm_eps=1e-6),
    "phi3": replace(TINY, family="phi3", sliding_window=11, rope_theta=10000.0),
    "phi3_long": replace(
        TINY,
        family="phi3",
        rope_scaling=LongRope(
            tuple(1 + pair / 8 for pair in range(8)),
            tuple(1.5 + 3 * pair / 4 for pair in range(8)),
            **_LONG,
        ),
    ),
    "phi4": replace(
        TINY,
        family="phi3",
        tied_embeddings=True,
        rotary_dim=12,
        rope_scaling=LongRope(
            tuple(1 + pair / 8 for pair in range(6)),
            tuple(1.5 + 3 * pair / 4 for pair in range(6)),
            **_LONG,
        ),
    ),
}
CONTEXT_LENGTH = 128


def byte_letters() -> list[str]:
    """Return the letter of every byte in a byte-level vocabulary, as GPT-2 wrote them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    return [letters.get(byte) or chr(256 + others.index(byte)) for byte in range(256)]


def byte_tokenizer(size: int = TINY.vocab_size) -> dict[str, Any]:
    """Return the metadata of a tokenizer of bytes, one merge and special tokens from 257 on."""
    special = [f"<|special_{number}|>" for number in range(size - 257)]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": [*byte_letters(), "ab", *special],
        "tokenizer.ggml.token_type": [NORMAL] * 257 + [CONTROL] * len(special),
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.bos_token_id": 257,
        "tokenizer.ggml.eos_token_id": 258,
    }


@dataclass
class GgufSource:
    """What goes into a GGUF file, to be changed by a test before it is written.

    `metadata` has lists of strings, lists of numbers and single values under their whole keys; a
    whole number is written as uint32, a fraction as float32.
    """

    architecture: str
    metadata: dict[str, Any]
    tensors: dict[str, np.ndarray]
    kinds: dict[str, Any] = field(default_factory=dict)

    def quantise(self, kind: int) -> None:
        """Store the matrices in this type, as the library quantises them."""
        for name, tensor in self.tensors.items():
            if tensor.ndim == 2:
                self.tensors[name] = gguf.quantize(tensor, kind)
                self.kinds[name] = kind

    def stored(self, name: str) -> np.ndarray:
        """Return the float32 numbers of a tensor as the library reads them back."""
        return gguf.dequantize(self.tensors[name], self.kinds.get(name, Kind.F32))

    def write(self, path: Path) -> Path:
        writer = gguf.GGUFWriter(path, self.architecture)
        for key, value in self.metadata.items():
            _adder(writer, value)(key, value)
        for name, tensor in self.tensors.items():
            writer.add_tensor(name, tensor, raw_dtype=self.kinds.get(name))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def gguf_source(
    config: ModelConfig,
    state: Mapping[str, Tensor] | None = None,
    tokenizer: Mapping[str, Any] | None = None,
) -> GgufSource:
    """Return a model as llama.cpp's converters write it; a random one without a `state`.

    Queries and keys of Llama and Mistral get Meta's order there, those of others keep Hugging
    Face's.
    """
    architecture = {"mistral": "llama"}.get(config.family, config.family)
    state = random_model(config).state_dict() if state is None else state
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config.n_layers)
    tensors = {}
    for name, tensor in to_hugging_face(config, state):
        numbers = tensor.float().numpy()
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            numbers = _permuted(numbers, config.n_heads if "q_proj" in name else config.n_kv_heads)
        tensors[names.get_name(name, (".weight", ".bias"))] = numbers
    metadata = {
        "general.name": f"Tiny {config.family}",
        **{f"{architecture}.{key}": value for key, value in _sizes(config).items()},
        **(tokenizer or byte_tokenizer(config.vocab_size)),
    }
    return GgufSource(architecture, metadata, tensors | _factors(config))


def _permuted(rows: np.ndarray, heads: int) -> np.ndarray:
    """Do what `permute` of llama.cpp's conversion of Llama does."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def _sizes(config: ModelConfig) -> dict[str, Any]:
    sizes = {
        "block_count": config.n_layers,
        "context_length": CONTEXT_LENGTH,
        "embedding_length": config.dim,
        "feed_forward_length": config.hidden_dim,
        "attention.head_count": config.n_heads,
        "attention.head_count_kv": config.n_kv_heads,
        "attention.layer_norm_rms_epsilon": float(config.norm_eps),
        "rope.freq_base": float(config.rope_theta),
        "rope.dimension_count": config.rotary_dim or config.head_dim,
    }
    if config.head_dim != config.dim // config.n_heads:
        sizes |= {
            "attention.key_length": config.head_dim,
            "attention.value_length": config.head_dim,
        }
    if config.family in ("mistral", "phi3"):
        sizes["attention.sliding_window"] = config.sliding_window or 0
    if isinstance(config.rope_scaling, LongRope):
        sizes["rope.scaling.original_context_length"] = config.rope_scaling.original_length
        sizes["rope.scaling.attn_factor"] = float(config.rope_scaling.attention_factor)
    return sizes


def _factors(config: ModelConfig) -> dict[str, np.ndarray]:
    scaling = config.rope_scaling
    if isinstance(scaling, LongRope):
        return {
            "rope_factors_long.weight": np.array(scaling.long_factor, np.float32),
            "rope_factors_short.weight": np.array(scaling.short_factor, np.float32),
        }
    if isinstance(scaling, RopeScaling):
        device = torch.device("cpu")
        plain = inverse_frequencies(replace(config, rope_scaling=None), device)
        return {"rope_freqs.weight": (plain / inverse_frequencies(config, device)).numpy()}
    return {}


def _adder(writer: Any, value: object) -> Callable[[str, Any], None]:
    kinds: dict[type, Callable[[str, Any], None]] = {
        bool: writer.add_bool,
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
        list: writer.add_array,
    }
    return kinds[type(value)]
