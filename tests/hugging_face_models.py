"""Tiny random models of every family, made by Transformers and saved as it saves them."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 320
# Of these the vocabulary's last tokens are padding, as in Qwen's and Phi's.
TOKENS = 300
_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "attn_implementation": "eager",
}
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def _long_rope(pairs: int) -> dict[str, Any]:
    return {
        "type": "longrope",
        "short_factor": [1 + 0.1 * pair for pair in range(pairs)],
        "long_factor": [1.5 + 0.7 * pair for pair in range(pairs)],
    }


# Beyond so many tokens the long factors of Phi's rotation are taken.
LONG = 16
_PHI_LONG = {"original_max_position_embeddings": LONG}

MODELS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {"rope_theta": 500000.0}),
    "llama3_1": (LlamaConfig, LlamaForCausalLM, {"rope_scaling": _LLAMA3_ROPE}),
    "llama_tied": (LlamaConfig, LlamaForCausalLM, {"tie_word_embeddings": True}),
    "mistral_window": (MistralConfig, MistralForCausalLM, {"sliding_window": 7}),
    "mistral_nemo": (MistralConfig, MistralForCausalLM, {"sliding_window": None, "head_dim": 24}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": True}),
    "qwen2_window": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 0},
    ),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 32}),
    "phi3_4k": (Phi3Config, Phi3ForCausalLM, {"sliding_window": 11}),
    "phi3_128k": (Phi3Config, Phi3ForCausalLM, {**_PHI_LONG, "rope_scaling": _long_rope(8)}),
    "phi4": (
        Phi3Config,
        Phi3ForCausalLM,
        {
            **_PHI_LONG,
            "rope_scaling": _long_rope(6),
            "partial_rotary_factor": 0.75,
            "tie_word_embeddings": True,
        },
    ),
}


def hugging_face_model(name: str, **sizes: Any) -> PreTrainedModel:
    """Return a model of MODELS, its weights random and of a trained model's scale."""
    config, model_class, changes = MODELS[name]
    torch.manual_seed(0)
    model = model_class(config(**{**_SIZES, **changes, **sizes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.15)
    return model


def write_hugging_face(path: Path, name: str, shard_size: str = "5GB") -> PreTrainedModel:
    """Save a model of MODELS with a tokenizer of single bytes; return the model."""
    model = hugging_face_model(name)
    model.save_pretrained(path, max_shard_size=shard_size)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: id for id, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([f"<|{number}|>" for number in range(TOKENS - len(letters))])
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return model


def change_config(path: Path, **changes: Any) -> None:
    """Set keys of a directory's config.json."""
    file = path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
